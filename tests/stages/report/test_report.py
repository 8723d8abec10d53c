"""`vitctl report` as a user runs it; the page itself is tested in tests/report."""

from __future__ import annotations

import json

import pytest

from tests import forking, schemas
from tests.forking import COMMAND, SCALING
from tests.report.studies import Page, small
from tests.waiting import PATIENCE_S
from vitctl.artifacts import Store


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return small(Store(tmp_path_factory.mktemp("study") / "store"))


@pytest.fixture
def report(study, tmp_path):
    def run(*arguments, stdin=""):
        arguments = ("report", *map(str, arguments), "--store", str(study.store.root))
        done = forking.run(
            COMMAND,
            *arguments,
            preload=SCALING,
            input=stdin,
            text=True,
            timeout=PATIENCE_S,
            cwd=tmp_path,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_answer_is_the_file(report, tmp_path):
    code, out, err = report("scores", "--out", "page.html")
    assert (code, out) == (0, "page.html\n"), err
    read = Page((tmp_path / "page.html").read_bytes())
    assert read.named("h1")[0].text == "scores"
    assert "photos" in read.text  # an ancestor


def test_the_default_file_is_announced(report, tmp_path):
    code, out, err = report("scores", "--no-parents", "--title", "A study")
    assert (code, out) == (0, "report.html\n")
    assert "--out report.html (the default)" in err
    page = Page((tmp_path / "report.html").read_bytes())
    assert page.named("title")[0].text == page.named("h1")[0].text == "A study"


def test_the_same_page_again_is_no_overwriting_and_another_is(report, tmp_path):
    assert report("scores")[0] == 0
    before = (tmp_path / "report.html").stat().st_mtime_ns
    assert report("scores")[0] == 0
    assert (tmp_path / "report.html").stat().st_mtime_ns == before
    code, out, err = report("probe")
    assert (code, out) == (5, "")
    assert "report.html already exists" in err
    assert report("probe", "--force")[0] == 0


def test_no_link_is_written_through(report, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "page.html").symlink_to("mine.txt")
    for flags in ((), ("--force",)):
        assert report("scores", "--out", "page.html", *flags)[0] == 5
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_json_and_the_whole_store(report, study):
    code, out, _ = report("--all", "--json")
    assert code == 0
    answer = json.loads(out)
    schemas.check(answer, "report")
    names = [one["name"] for one in answer["reported"]]
    assert sorted(names) == ["S-16", "S-16-12", "S-16-16", "photos", "probe", "scores"]
    assert names.index("photos") < names.index("S-16") < names.index("S-16-12")
    assert answer["problems"] == []


def test_what_is_piped_in(report, study):
    lines = f"{study.probe.path}\n{study.evaluation.path}\n"
    code, out, _ = report("-", "--json", stdin=lines)
    assert code == 0
    assert {"probe", "scores"} <= {one["name"] for one in json.loads(out)["reported"]}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("nothing",), 4, "is neither a path nor an artifact"),
        (("S-16@9",), 4, "no checkpoint at step 9"),
        (("scores", "--out", "page.pdf"), 2, "names no page"),
        (("scores", "--out", "."), 2, "names no page"),
        (("scores", "--title", " "), 2, "--title is empty"),
        (("scores", "--all"), 2, "--all and REF are both given"),
        (("-", "scores"), 2, "- (stdin) and other references are both given"),
        (("scores", "--out", "/dev/null/x.html"), 2, "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_are_a_sentence_and_leave_nothing(report, tmp_path, arguments, code, sentence):
    got, out, err = report(*arguments)
    assert (got, out) == (code, ""), err
    assert sentence in err
    assert list(tmp_path.glob("*.html")) == []


def test_an_empty_store(tmp_path):
    from stages import api
    from vitctl.errors import NotFoundError

    with pytest.raises(NotFoundError, match="there is nothing in"):
        api.report(every=True, store=tmp_path / "none", out=tmp_path / "x.html")


def test_python_writes_the_same(report, study, tmp_path):
    from stages import api

    assert report("scores", "probe")[0] == 0
    written = api.report("scores", "probe", store=study.store, out=tmp_path / "python.html")
    assert written.file.read_bytes() == (tmp_path / "report.html").read_bytes()
