"""The command line as a whole: what listing and helping cost, what a wrong word leads to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stages.app import VERBS, app, load
from tests import forking
from tests.forking import COMMAND, LOOKING
from vitctl.console.failure import as_expected
from vitctl.console.help import page as help_page
from vitctl.errors import VitctlError

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"

# What takes its time to import, or must not be needed for looking.
HEAVY = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax",
    "tensorflow",
    "array_record",
    "numpy",
    "scipy",
    "PIL",
    "sklearn",
    "matplotlib",
    "fsspec",
    "s3fs",
    "gcsfs",
)

IN_GROUPS = (
    ["scaling", "fit", "--help"],
    ["scaling", "plot", "--help"],
    ["bench", "feed", "--help"],
)

# Calls the command line within one process, once for each list of arguments, and prints what each
# wrote and which modules are there in the end.
CALLS = """
import contextlib, io, json, sys
import typer
{prelude}
from stages.app import app, VERBS
pages = {{}}
for arguments in json.loads(sys.argv[1]) or [[name, "--help"] for name in VERBS]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        command = typer.main.get_command(app)
        command.main(arguments, prog_name="vitctl", standalone_mode=False)
    pages[" ".join(arguments)] = out.getvalue()
print(json.dumps({{"pages": pages, "modules": sorted(sys.modules)}}))
"""


def called(*calls, prelude=""):
    """(pages by arguments, the heavy modules imported, all modules)"""
    done = subprocess.run(
        [sys.executable, "-c", CALLS.format(prelude=prelude), json.dumps(calls)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    content = json.loads(done.stdout)
    heavy = [name for name in content["modules"] if name.split(".")[0] in HEAVY]
    return content["pages"], heavy, content["modules"]


def vitctl(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "stages.app", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(scope="module")
def helped():
    return called()


def test_the_list_of_commands_imports_next_to_nothing():
    """Its time is Python's and typer's own: not even pydantic and rich are there."""
    pages, heavy, modules = called(["--help"])
    assert heavy == []
    assert not {"pydantic", "rich", "stages.shard", "vitctl.artifacts"} & set(modules)
    page = pages["--help"]
    assert page.startswith("Example: vitctl shard photos/ | vitctl pretrain")
    assert "Usage: vitctl COMMAND [OPTIONS]" in page


def test_no_help_page_imports_an_array_library_or_rich(helped):
    _, heavy, modules = helped
    assert heavy == []
    assert "rich" not in modules


def test_that_this_would_be_noticed():
    _, heavy, _ = called(["--help"], prelude="import numpy")
    assert "numpy" in heavy


def test_each_help_page_starts_with_an_example(helped):
    pages, _, _ = helped
    groups = [call for call, page in pages.items() if "COMMAND [OPTIONS]" in page]
    assert groups == ["scaling --help", "bench --help"]
    below, heavy, _ = called(*IN_GROUPS)
    assert heavy == []
    for call, page in (pages | below).items():
        command = call.removesuffix(" --help")
        assert page.startswith(f"Example: vitctl {command}"), call
        assert "\x1b" not in page


def test_help_reads_as_reviewed(golden, helped):
    """Every page, with the options that --help leaves out."""
    pages, _, _ = helped
    names = [call.removesuffix(" --help") for call in pages]
    calls = [[*name.split(), _all(page)] for name, page in zip(names, pages.values(), strict=True)]
    complete, heavy, _ = called(*calls, *IN_GROUPS, ["--help"])
    assert heavy == []
    reviewed = {"_".join(["help", *call.split()[:-1]]): page for call, page in complete.items()}
    for name, page in reviewed.items():
        golden(f"{name}.txt", page.rstrip("\n").split("\n"))
    # None is left of a command that is gone.
    assert {path.stem for path in GOLDEN.glob("help*.txt")} == set(reviewed)


def _all(page):
    return "--help-all" if "--help-all" in page else "--help"


def test_help_shows_what_people_change(helped):
    """A dozen options of the command itself; the rest works, and is one flag away."""
    pages, _, _ = helped
    page = pages["pretrain --help"]
    assert "more options: vitctl pretrain --help-all" in page
    assert "--batch" in page
    assert "--keep-newest" not in page
    own = page.partition("\nOptions\n")[2].partition("\n\n")[0]
    assert sum(line.startswith("  -") for line in own.splitlines()) <= 14


def test_every_help_is_a_sentence(helped):
    pages, _, _ = helped
    for call, page in pages.items():
        for block in page.split("\n\n")[3:]:
            rows = " ".join(line.strip() for line in block.splitlines()[1:])
            assert "if left out" not in rows, call
            assert " so many " not in rows, call
            assert "[default:" not in rows, call  # "(default: ...)" in the sentence says it


@pytest.fixture(scope="module")
def commands():
    """(words, command) of all commands."""
    every = {name: load(name) for name in VERBS}
    below = {
        f"{group} {name}": command
        for group in ("scaling", "bench")
        for name, command in every.pop(group).commands.items()
    }
    return {**every, **below}


@pytest.mark.parametrize("width", [60, 80, 100])
def test_help_breaks_no_word_at_any_width(commands, width, monkeypatch):
    """Each text is in the page, but for blanks and line ends."""
    monkeypatch.setenv("COLUMNS", str(width))
    for name, command in commands.items():
        context = typer.Context(command, info_name=f"vitctl {name}")
        page = help_page(command, context, rare=True)
        shown = " ".join(page.split())
        texts = [command.help, *(parameter.help for parameter in command.params)]
        assert [text for text in texts if text and " ".join(text.split()) not in shown] == [], name
        pasted = [part.strip() for part in command.help.split("\n\n")]
        assert [line for line in page.splitlines() if len(line) > width if line not in pasted] == []


def test_the_module_and_the_script_call_themselves_vitctl():
    done = vitctl("ls", "--help")
    assert done.returncode == 0
    assert "Usage: vitctl ls [OPTIONS]" in done.stdout
    assert vitctl("--version").stdout.count(".") == 2


def test_nothing_asked_is_a_help_page_on_stderr():
    """An unset variable in a script must not become an answer."""
    done = vitctl()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Example: vitctl")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["pretain"], "there is no command 'pretain'", "did you mean pretrain?"),
        (["xyzzy"], "there is no command 'xyzzy'", "see vitctl --help"),
        (["train"], "there is no command 'train'", "did you mean pretrain or finetune?"),
        (["version"], "there is no command 'version'", "vitctl --version"),
        (["pretrain", "--batch_size=4"], "vitctl pretrain has no option", "did you mean --batch?"),
        (["ls", "-la"], "vitctl ls has no option -l", "see vitctl ls --help"),
        (["--colour"], "vitctl has no option --colour", "see vitctl --help"),
        (
            ["pretrain", "--steps"],
            "option '--steps' requires an argument",
            "vitctl pretrain --steps N",
        ),
        (
            ["evaluate", "--compare", "A"],
            "option '--compare' requires 2 arguments",
            "vitctl evaluate --compare A B",
        ),
        (
            ["ls", "--json=1"],
            "option '--json' does not take a value",
            "vitctl ls --json; see vitctl ls",
        ),
        (["ls", "--kid", "x"], "vitctl ls has no option --kid", "did you mean --kind?"),
        (["ls", "a"], "vitctl ls takes no arguments (got a)", "see vitctl ls --help"),
        (
            ["shard", "folder", "photos"],
            "vitctl shard takes SRC alone (got photos behind it)",
            "leave out the word folder: vitctl shard photos",
        ),
        (
            ["shard", "my", "photos"],
            "vitctl shard takes SRC alone (got photos behind it)",
            "quote a name with spaces",
        ),
        (
            ["evaluate", "RUN"],
            "vitctl evaluate takes no arguments (got RUN)",
            "options: --from RUN or --data RUN",
        ),
        (["pretrain", "photos"], "vitctl pretrain takes no arguments", "--data photos"),
        (
            ["ls", ""],
            "vitctl ls takes no arguments (got '')",
            "'' is an empty word, as of a variable that is not set",
        ),
        (["evaluate", "", "RUN"], "vitctl evaluate takes no arguments (got '' RUN)", "'' is an"),
        (
            ["shard", "", "photos"],
            "vitctl shard takes SRC alone (got photos behind it)",
            "'' is an empty word",
        ),
        (["shard", "photos", " "], "vitctl shard takes SRC alone (got ' ' behind it)", "' ' is an"),
        (
            ["pretrain", "my photos"],
            "vitctl pretrain takes no arguments (got 'my photos')",
            "--data 'my photos'",
        ),
        (
            ["shard", "folder", "my photos", "--name", "it's", "--dry-run"],
            "vitctl shard takes SRC alone (got 'my photos' behind it)",
            """vitctl shard 'my photos' --name 'it'"'"'s' --dry-run""",
        ),
        (
            ["shard", "folder", "my", "photos"],
            "vitctl shard takes SRC alone (got my photos behind it)",
            "quote a name with spaces",
        ),
        (
            ["pretrain", "--", "-x"],
            "vitctl pretrain takes no arguments (got -x)",
            "see vitctl pretrain --help",
        ),
        (
            ["ls", os.fsdecode(b"caf\xe9\n")],
            r"vitctl ls takes no arguments (got 'caf\xe9\n')",
            "see vitctl ls --help",
        ),
        (["scaling", "fti"], "no such command 'fti'", "see vitctl scaling --help"),
        (
            ["pretrain", "--recipe", "papr"],
            "invalid value for '--recipe': 'papr' is not one of 'paper', 'small', 'little'",
            "did you mean paper?",
        ),
        (
            ["pretrain", "--recipe", os.fsdecode(b"caf\xe9")],
            r"invalid value for '--recipe': 'caf\xe9' is not one of",
            "see vitctl pretrain --help",
        ),
        (
            ["pretrain", "--batch", "many"],
            "--batch must be a whole number (got 'many')",
            "see vitctl pretrain --help",
        ),
        (["pretrain", "--lr", "1e"], "--lr must be a number (got '1e')", "pretrain --help"),
        (
            ["average", "RUN", "--last", "1"],
            "--last must be at least 2 (got '1')",
            "average --help",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors(arguments, error, hint):
    command = typer.main.get_command(app)
    with pytest.raises((VitctlError, typer.BadParameter.__mro__[1])) as raised:
        command.main(arguments, prog_name="vitctl", standalone_mode=False)
    reported = as_expected(raised.value)
    assert reported.exit_code == 2
    assert reported.message.startswith(error)
    assert hint in reported.hint


def test_an_error_is_two_lines_on_stderr():
    done = vitctl("pretain")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: there is no command 'pretain'",
        "hint: did you mean pretrain?",
    ]


# The command line, and which modules it has imported in the end.
LISTING = f"""
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
{COMMAND}
"""


def completed(shell, typed_words):
    """What a shell offers behind `typed_words`, the last of which is unfinished."""
    line = " ".join(["vitctl", *typed_words])
    environment = {
        "_VITCTL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(typed_words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = forking.run(
        LISTING,
        preload=LOOKING,
        env=os.environ | {"COLUMNS": "80"} | environment,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "typer" in done.stderr.split(), "the modules were not listed"
    assert not {name.split(".")[0] for name in done.stderr.split()} & set(HEAVY)
    return done.stdout


def test_bash_completes_commands_options_and_choices():
    assert completed("bash", ["co"]).split() == ["cooldown"]
    assert completed("bash", ["pretrain", "--wd"]).split() == ["--wd-head", "--wd-body"]
    assert completed("bash", ["pretrain", "--recipe", "p"]).split() == ["paper"]
    assert completed("bash", ["scaling", "f"]).split() == ["fit"]


def test_bash_completes_values(tmp_path):
    dataset = tmp_path / "artifacts" / "shard" / "photos-1a2b3c4d"
    dataset.mkdir(parents=True)
    (dataset / "artifact.json").write_text("{ damaged")
    store = ["--store", str(tmp_path / "artifacts")]
    assert completed("bash", ["pretrain", "--model", "g/"]).split() == ["g/14"]
    assert completed("bash", ["pretrain", "--set", "optim.wd_h"]).split() == ["optim.wd_head="]
    offered = completed("bash", ["pretrain", *store, "--data", "ph"]).split()
    assert offered == ["photos-1a2b3c4d"]
    assert completed("bash", ["show", *store, "ph"]).split() == offered
    assert completed("bash", ["plan", "--topology", "v5"]).split()


def test_zsh_and_fish_show_what_things_are():
    assert '"cooldown":"Branch a finished model' in completed("zsh", ["co"])
    assert "--wd-head" in completed("zsh", ["pretrain", "--wd-h"])
    assert '"g/14":"width 1408, depth 40"' in completed("zsh", ["pretrain", "--model", "g/"])
    assert completed("fish", ["ls", "--kind", "dat"]).startswith("dataset\tvitctl shard")
    assert completed("fish", ["co"]).startswith("cooldown\tBranch a finished model")
    assert completed("fish", ["pretrain", "--wd-h"]).startswith("--wd-head\t")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_calls_vitctl(shell):
    script = vitctl(_VITCTL_COMPLETE=f"source_{shell}").stdout
    assert f"_VITCTL_COMPLETE=complete_{shell}" in script


def test_devices_that_are_not_there_are_no_bug(tmp_path):
    request = ("pretrain", "--mock", "--model", "test", "--steps", "1", "--store", str(tmp_path))
    done = vitctl(*request, JAX_PLATFORMS="abacus")
    assert done.returncode == 2, done.stderr
    assert "error: JAX_PLATFORMS=abacus, but jax cannot start abacus" in done.stderr
    assert "hint: to compute on the CPU: export JAX_PLATFORMS=cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
