"""The page as a browser reads it: whole, closed to the network, the same twice, and honest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from itertools import pairwise

import pytest

from tests.report.studies import BIDI, HOSTILE, Page, photos, republished, rows, run, small
from vitctl.artifacts import Artifact, Store
from vitctl.errors import DoesNotFitError, InputError, UsageError
from vitctl.report import page as pages
from vitctl.report import subjects
from vitctl.report.page import page


@pytest.fixture(scope="module")
def whole(study_made) -> Page:
    return Page(page(study_made.named, store=study_made.store).content)


def test_every_element_is_closed_and_every_link_leads_somewhere(whole):
    assert whole.open == []
    assert whole.unclosed == []
    ids = [node.attributes["id"] for node in whole.nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    links = [node.attributes.get("href") for node in whole.named("a")]
    assert links
    assert {str(link).removeprefix("#") for link in links} <= {*ids}


def test_nothing_is_loaded_from_anywhere(whole):
    """No address at all, but for pictures in the page; the policy forbids what a later change might
    add, and its hashes are those of the script and the style."""
    for node in whole.nodes:
        for name in ("src", "srcset"):
            assert (node.attributes.get(name) or "data:").startswith("data:image/") or (
                node.attributes.get(name) is None
            )
        assert "style" not in node.attributes  # the policy would ignore it
        assert not any(name.startswith("on") for name in node.attributes)
        assert node.name not in ("link", "iframe", "object", "embed", "base", "form")
    (policy,) = (
        str(node.attributes["content"])
        for node in whole.named("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    (style,) = whole.named("style")
    script = whole.named("script")[-1]
    for directive, node in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode()
        assert directives[directive] == f"'sha256-{digest}'"
    assert not re.search(r"https?:", re.sub(r"http://www\.w3\.org/2000/svg", "", script.text))
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_the_policy_comes_before_what_it_governs(whole):
    names = [(node.name, node.attributes.get("http-equiv")) for node in whole.nodes]
    policy = names.index(("meta", "Content-Security-Policy"))
    assert all(name not in ("style", "script", "img") for name, _ in names[:policy])


def test_who_cannot_see_reads_it(whole):
    assert whole.named("html")[0].attributes["lang"] == "en"
    assert all(node.attributes.get("alt") for node in whole.named("img"))
    assert len(whole.named("caption")) == len(whole.named("table"))
    assert all(node.attributes.get("scope") for node in whole.named("th"))
    charts = [n for n in whole.named("svg") if n.attributes.get("role") == "img"]
    assert charts
    headings = [int(node.name[1]) for node in whole.nodes if re.fullmatch(r"h[1-6]", node.name)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))


def test_results_with_intervals_are_in_the_text(whole):
    text = re.sub(r"\s+", " ", whole.text)
    for expected in ("70.0 %", "(65.0 to 75.0)", "87.5 %", "(73.0 to 96.0)", "5.1 %"):
        assert expected in text, expected


def test_a_trunk_and_its_cooldowns_are_in_one_chart(whole, study_made):
    """And a cooldown goes on at the images where its trunk was."""
    (loss,) = (
        one for one in whole.data
        if one["x"]["title"] == "images seen"
        and [line["name"] for line in one["lines"]] == ["S-16", "S-16-12", "S-16-16"]
        and one["lines"][0]["y"][0] == 2.0
    )  # fmt: skip
    trunk, cooled, _ = loss["lines"]
    assert trunk["x"] == [8.0 * step for step in range(1, 13)]
    assert cooled["x"] == [8.0 * step for step in range(9, 13)]
    assert len({line["style"] for line in loss["lines"]}) == 3


def test_the_same_artifacts_make_the_same_bytes(study_made):
    first, second = (page(study_made.named, store=study_made.store).content for _ in range(2))
    assert first == second


def test_a_copy_of_the_store_elsewhere_makes_the_same_bytes(study_made, tmp_path):
    """So the page knows nothing of where it was made."""
    copy = Store(shutil.copytree(str(study_made.store.root), tmp_path / "elsewhere"))
    named = [
        (copy.load(copy.root / entry.path.parent.name / entry.path.name), step)
        for entry, step in study_made.named
    ]
    assert page(named, store=copy).content == page(study_made.named, store=study_made.store).content


# ---- Hostile names


def test_hostile_names_are_text(store):
    study = small(store, classes=(HOSTILE, BIDI, "a\x00b\x1b[31m", "ok & <b>"))
    content = page(study.named, store=store, title=HOSTILE).content
    read = Page(content)
    assert read.open == []
    assert read.unclosed == []
    assert HOSTILE in read.text
    assert not any(node.attributes.get("src") == "x" for node in read.nodes)
    assert "safe\\u202egpj.exe" in read.text
    unsafe = {c for c in content.decode() if ord(c) < 32 and c != "\n"} | {"\u202e"}
    assert not unsafe & {*content.decode()}
    assert {node.text for node in read.named("title")} >= {HOSTILE}


def test_hostile_names_in_what_the_script_reads(store):
    trunk = run(store, "pretrain", parents=(), steps=(4,), name="S", logged=rows(1, 4))
    from vitctl.report.charts import data_block

    written = data_block({"name": f"{HOSTILE}<!--\u2028"})
    assert written.count("<") == written.count(">") == 2
    assert json.loads(Page(written.encode()).named("script")[0].text)["name"].startswith(
        "</script>"
    )
    assert page([(trunk, None)], store=store).content


def test_many_classes_stay_a_page(store):
    names = [f"class {i:05} {'x' * 50}" for i in range(10_000)]
    dataset = photos(store, classes=names, images=10_000)
    content = page([(dataset, None)], store=store).content
    read = Page(content)
    assert "and 9,800 more" in read.text
    assert len(content) < 200_000
    tiles = [
        node for node in read.named("img") if "image of class" in (node.attributes["alt"] or "")
    ]
    assert len(tiles) == 24


# ---- What it must not say


SECRETS = {
    "path": "/home/alice/secret project/photos",
    "host": "alices-laptop",
    "token": "hf_abcdefg",
}


def test_no_path_host_or_user_is_on_the_page(store, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRETS["token"])
    study = small(store)

    def change(provenance):
        provenance["host"] = SECRETS["host"]
        provenance["command"] = [
            "/home/alice/.venv/bin/vitctl",
            "shard",
            SECRETS["path"],
            "--store",
            "/mnt/alice/store",
            "--labels=/home/alice/labels.csv",
            "--coordinator",
            f"{SECRETS['host']}:1234",
            "--exclude",
            f"seen on {SECRETS['host']}",
        ]

    republished(study.photos, change)
    content = page(study.named, store=store).content.decode()
    for secret in ("alice", SECRETS["host"], "secret project", SECRETS["token"], "/mnt", "/home"):
        assert secret not in content, secret
    assert str(store.root) not in content
    assert str(study.photos.path) not in content
    assert "vitctl shard LABELS" not in content
    assert "seen on HOST" in content


def test_that_a_secret_would_be_seen(store):
    """The same strings do reach the page where they are a name that somebody gave."""
    study = small(store, classes=("alice", "bob"))
    assert "alice" in page(study.named, store=store).content.decode()


# ---- What is missing or damaged


def test_a_missing_ancestor_is_one_sentence_and_the_rest_is_there(store, tmp_path):
    study = small(store)
    shutil.move(str(study.photos.path), tmp_path / "gone")
    written = page(study.named, store=store)
    assert any("is not in this store any more" in problem for problem in written.problems)
    read = Page(written.content)
    assert "Not all of it could be reported" in read.text
    assert "87.5" in read.text
    assert str(tmp_path) not in written.content.decode()


def test_a_damaged_ancestor_is_one_sentence_and_the_rest_is_there(store):
    study = small(store)
    (study.photos.path / "artifact.json").write_bytes(b"{")
    written = page(study.named, store=store)
    assert written.problems
    assert "87.5" in Page(written.content).text


def test_a_damaged_part_is_one_sentence(store):
    study = small(store)
    shard = study.photos.path / "images-train.array_record-00000-of-00001"
    shard.write_bytes(b"x" * shard.stat().st_size)
    (study.evaluation.path / "results.json").write_text("{}")
    with (study.trunk.path / "metrics.jsonl").open("ab") as file:
        file.write(b"not a row\n")
    written = page(study.named, store=store)
    sentences = " | ".join(written.problems)
    assert "photos: its images cannot be shown" in sentences
    assert "scores: its details cannot be shown" in sentences
    assert "S-16: 1 damaged lines of metrics.jsonl" in sentences
    assert str(store.root) not in sentences


def test_what_is_named_itself_must_be_readable(store):
    study = small(store)
    (study.evaluation.path / "artifact.json").write_bytes(b"{")
    with pytest.raises(InputError):
        store.load(study.evaluation.path)
    assert isinstance(store.load(study.probe.path), Artifact)


def test_a_forged_circle_of_ancestors_ends(store, monkeypatch):
    study = small(store)
    monkeypatch.setattr(Store, "parent", lambda self, parent: study.probe)
    assert page([(study.probe, None)], store=store).content


# ---- Numbers that are none, and many of them


def test_values_that_are_not_finite_are_counted_not_drawn(store):
    logged = rows(1, 20, loss=lambda step: None if step % 5 == 0 else 2.0 / step)
    trunk = run(store, "pretrain", parents=(), steps=(20,), name="S", logged=logged)
    written = page([(trunk, None)], store=store)
    read = Page(written.content)
    assert "4 values of S are not finite" in read.text
    drawn = [one for one in read.data if len(one["lines"][0]["x"]) == 16]
    assert drawn
    assert "nan" not in json.dumps(read.data).lower()


def test_a_run_that_never_had_a_finite_loss(store):
    logged = rows(1, 5, loss=lambda step: None, grad_norm=lambda step: None)
    trunk = run(store, "pretrain", parents=(), steps=(5,), name="S", logged=logged)
    assert Page(page([(trunk, None)], store=store).content).unclosed == []


def test_more_artifacts_than_a_report_has(store, monkeypatch):
    study = small(store)
    monkeypatch.setattr(subjects, "MOST_SUBJECTS", 3)
    with pytest.raises(UsageError, match="at most 3 artifacts"):
        page(study.named, store=store)
    assert len(page([(study.probe, None)], store=store, parents=False).subjects) == 1


def test_a_page_that_is_too_large(study_made, monkeypatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 1000)
    with pytest.raises(DoesNotFitError, match="more than 1000 B"):
        page(study_made.named, store=study_made.store)


def test_pictures_stop_where_the_page_has_no_more_room(study_made, monkeypatch):
    from vitctl.report.pictures import Album

    monkeypatch.setattr(pages, "Album", lambda: Album(300))
    written = page(study_made.named, store=study_made.store)
    pictures = Page(written.content).named("img")
    assert 0 < sum(len(str(node.attributes["src"])) for node in pictures) <= 300
    assert any("no room for" in problem for problem in written.problems)
