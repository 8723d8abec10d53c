"""Python says what the shell says: it takes every flag, and the same words begin the same work."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from stages import api
from stages.app import app
from tests import made
from tests.artifacts.making import dataset, part_summary
from tests.artifacts.making import made as made_artifact
from tests.artifacts.making import recipe as recipe_of
from tests.stages.commands import COMMANDS
from vitctl.artifacts import Artifact, Run, Store
from vitctl.console.shared_flags import PROCESSES
from vitctl.console.streams import claim_stdout
from vitctl.errors import UsageError
from vitctl.settings.config import Config
from vitctl.settings.overrides import to_toml

each_command = pytest.mark.parametrize("command", COMMANDS, ids=str)

# ---- Every flag

RENAMED = {
    "source": "source",
    "refs": "references",
    "ref": "reference",
    "src": "source",
    "paths": "images",
    "descending": "descendants",
}
"""Parameter of a command -> argument of its function, where they differ everywhere."""
OF_ONE = {
    ("pretrain", "source"): "from_",
    ("plan", "source"): "from_",
    ("merge", "parts"): "parts",
    ("mix", "data"): "datasets",
    ("average", "refs"): "checkpoints",
    ("verify", "ref"): "references",
    ("evaluate", "compare"): "compare",
    ("fewshot", "compare"): "compare",
}
"""And where they differ in one command. `compare` is a function of its own."""
OF_THE_TERMINAL = {
    ("predict", "null"): "how paths are separated on stdin",
    "json": "the answer is an object",
    "quiet": "nothing is shown without `emit`",
    "print_config": "a function of its own: settings(pretrain, ...)",
    "help_all": "help",
}
"""Flags that Python has no use for, and why; those of several processes are the shell's, too."""
SHARED = {"settings": "set"}


def unreachable(command: Any, arguments: set[str]) -> list[str]:
    """The parameters of a command that a function with these arguments cannot be given."""
    tables = command.function.tables
    rows = {name for table in tables for name in table.parameters()}
    missing = []
    for name in inspect.signature(command.function).parameters:
        if name in rows:
            # Any setting and any field of the Runtime can be given by its key.
            row_is_set = (
                {"set"} if name in tables[0].parameters() and command.has_settings else set()
            )
            wanted = row_is_set or {"runtime"}
        elif name in PROCESSES | OF_THE_TERMINAL.keys() or (str(command), name) in OF_THE_TERMINAL:
            continue
        else:
            renamed = SHARED.get(name) or RENAMED.get(name, name)
            wanted = {OF_ONE.get((str(command), name), renamed)}
        if not wanted <= arguments:
            missing.append(name)
    return missing


def arguments_of(function: Callable[..., Any]) -> set[str]:
    """The names that a function of the API can be called with, those of its `**options` too."""
    names = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            (options,) = inspect.get_annotations(function, eval_str=False)[name][7:-1].split(",")
            names |= set(getattr(api, options).__annotations__)
        else:
            names.add(name)
    return names


@each_command
def test_every_flag_can_be_given_in_python(command):
    assert unreachable(command, arguments_of(getattr(api, command.in_python)) | {"compare"}) == []


def test_that_a_flag_out_of_reach_would_be_seen():
    (evaluate,) = (command for command in COMMANDS if str(command) == "evaluate")
    whole = arguments_of(api.evaluate) | {"compare"}
    assert unreachable(evaluate, whole - {"labels"}) == ["labels"]
    assert "eval_split" in unreachable(evaluate, whole - {"set"})
    assert "workers" in unreachable(evaluate, whole - {"runtime"})


# ---- The same words


@dataclass(frozen=True)
class Case:
    """Words of a command line, and the call that says the same; `settled` makes of its settings
    those that --print-config shows, where the work itself settles more."""

    line: str
    call: Callable[[], Any]
    settled: Callable[[Any, Any], Any] = lambda cfg, inputs: cfg


class Begun(Exception):
    """Thrown in place of the work."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Something for every command to begin with."""
    folder = tmp_path_factory.mktemp("work")
    store = Store(folder / "artifacts")
    dataset(store)
    dataset(store, name="drawings", other=True)
    for step in (4, 8, 12):
        made.checkpoint(store, step=step, saved=False, cooled=False)
    pixels = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "one.png")
    (folder / "ids.txt").write_text("train/1\ntrain/2\n")
    (folder / "map.txt").write_text("hen\tbee\nowl\tant\tcat\n")
    (folder / "classes.txt").write_text("ant\nbee\n")
    rows = [f"{compute},{0.9 / compute**0.3 + 0.1:.5f}" for compute in range(1, 12)]
    (folder / "grid.toml").write_text(_GRID)
    (folder / "runs.csv").write_text("\n".join(["compute,error", *rows]))
    for index, name in enumerate(("half", "rest"), start=1):
        made_artifact(
            store,
            recipe_of("shard", "dataset-part", part=f"{index}/2"),
            name=name,
            summary=part_summary(index, 2),
        )
    made_artifact(store, recipe_of("scaling-fit", "scaling-fit"), name="law")
    return folder


_GRID = """
models = ["test/4", { name = "mine", width = 16, depth = 1, mlp_dim = 16, heads = 2, patch = 4 }]
sizes = [4, "all"]
durations = { steps = [5, "10"] }
axes = { optim.wd_head = [0.1, 3.0] }
settings = { data.batch = 2, model.resolution = 8 }
probes = [{ command = "evaluate" }]
"""

CASES: dict[str, Case] = {
    "shard": Case(
        "digits --val-fraction 0.2 --shards 2 --set max_pixels=99 --exclude 3 "
        "--workers 0 --rehash --name small",
        lambda: api.shard(
            "digits",
            exclude=["3"],
            rehash=True,
            set={"val_fraction": 0.2, "shards": 2, "max_pixels": 99},
            runtime={"workers": 0},
            name="small",
        ),
    ),
    "merge": Case(
        "half rest --max-bad-fraction 0.2 --license CC0-1.0 --out whole --force",
        lambda: api.merge(
            "half",
            "rest",
            runtime={"max_bad_fraction": 0.2, "about": {"license": "CC0-1.0"}},
            out="whole",
            force=True,
        ),
    ),
    "subset": Case(
        "--data photos --images 3 --ids ids.txt --seed 2",
        lambda: api.subset("photos", ids="ids.txt", set={"images": 3, "seed": 2}),
    ),
    "dedup": Case(
        "--data photos --against drawings --distance 2 --against-splits val --workers 1",
        lambda: api.dedup(
            "photos",
            against=["drawings"],
            set={"distance": 2, "eval_splits": ["val"]},
            runtime={"workers": 1},
        ),
    ),
    "cluster": Case(
        "--from made@8 --data photos -k 2 --at tokens --no-spherical --seed 1 --batch 4",
        lambda: api.cluster(
            "made@8",
            data="photos",
            clusters=2,
            set={"at": "tokens", "spherical": False, "seed": 1},
            runtime={"batch": 4},
        ),
    ),
    "mix": Case(
        "photos=0.7 drawings=0.3 --force",
        lambda: api.mix("photos", "drawings", weights=[0.7, 0.3], force=True),
    ),
    "pretrain": Case(
        "--model test --mock --images 2k --batch 8 --wd-head 1 --set seed=3 --eval-every 5",
        lambda: api.pretrain(
            model="test",
            mock=True,
            images=2000,
            set={"data.batch": 8, "optim.wd_head": 1, "seed": 3},
            runtime={"eval_every": 5},
        ),
    ),
    "cooldown": Case(
        "--from made@8 --steps 2 --shape 1-sqrt --name short",
        lambda: api.cooldown("made@8", steps=2, shape="1-sqrt", name="short"),
    ),
    "finetune": Case(
        "--from made@8 --data photos --epochs 3 --res 8 --lr 0.01 --batch 2",
        lambda: api.finetune(
            "made@8",
            data="photos",
            epochs=3,
            set={"model.resolution": 8, "schedule.peak_lr": 0.01, "data.batch": 2},
        ),
    ),
    "average": Case(
        "made --last 2 --rule ema --decay 0.5",
        lambda: api.average("made", last=2, set={"rule": "ema", "decay": 0.5}),
    ),
    "fewshot": Case(
        "--from made@8 --shots 2,1 --draws 3 --features pixels --batch 4",
        lambda: api.fewshot(
            "made@8", shots=[2, 1], features="pixels", set={"draws": 3}, runtime={"batch": 4}
        ),
    ),
    "evaluate": Case(
        "--from made@8 --eval-split val --top 1,3 --class-map map.txt",
        lambda: api.evaluate(
            "made@8", class_map="map.txt", set={"eval_split": "val", "top": (1, 3)}
        ),
    ),
    "vtab": Case(
        "--from made@8 --data pets=photos --data drawings --images 4 --steps 3 --batch 2 "
        "--sweep-lr 0.1,0.01 --set finetune.optim.ema=1 --keep-newest 2",
        lambda: api.vtab(
            "made@8",
            data=["pets=photos", "drawings"],
            set={
                "images": 4,
                "steps": 3,
                "batch": 2,
                "sweep_lr": (0.1, 0.01),
                "finetune": {"optim": {"ema": 1}},
            },
            runtime={"keep_newest": 2},
        ),
    ),
    "sweep": Case(
        "grid.toml --data photos --part 2/8 --set cooldown=0.3 --checkpoint-every 5",
        lambda: api.sweep(
            "grid.toml",
            data="photos",
            set={"part": "2/8", "cooldown": 0.3},
            runtime={"checkpoint_every": 5},
        ),
    ),
    "embed": Case(
        "--from made@8 --at tokens --splits val",
        lambda: api.embed("made@8", at="tokens", splits=["val"]),
    ),
    "predict": Case(
        "one.png --from made@8 --top 3",
        lambda: list(api.predict("made@8", images=["one.png"], set={"top": 3})),
    ),
    "import": Case(
        "model.npz --classes classes.txt --res 32 --gelu tanh",
        lambda: api.import_(
            "model.npz", classes="classes.txt", set={"resolution": 32, "gelu": "tanh"}
        ),
    ),
    "export": Case(
        "--from made@8 --to safetensors --no-classifier --out given",
        lambda: api.export("made@8", to="safetensors", no_classifier=True, out="given"),
    ),
    "scaling fit": Case(
        "runs.csv --loss error --form floor --budget 20",
        lambda: api.scaling_fit(
            "runs.csv", loss="error", set={"law.form": "floor", "budgets": (20,)}
        ),
        lambda cfg, inputs: importlib.import_module("stages.scaling.settings").settled_fit(
            cfg, inputs.table
        ),
    ),
    "scaling plot": Case(
        "runs.csv --error error --figure compute --theme dark",
        lambda: api.scaling_plot(
            "runs.csv",
            set={"study.columns.error": "error", "figures": ("compute",), "themes": ("dark",)},
        ),
        lambda cfg, inputs: importlib.import_module("stages.scaling.settings").settled_plot(
            cfg, inputs
        ),
    ),
    "plan": Case(
        "--model S/16 --topology v3:4x4 --examples 1k --steps 20k --classes 7 --price 2",
        lambda: api.plan(
            model="S/16",
            topology="v3:4x4",
            examples="1k",
            steps=20_000,
            set={"model.classes": 7},
            runtime={"price": 2},
        ),
    ),
    "advise": Case(
        "--budget 200h --gpu h100:8 --data photos --model S16 --model B/16 --price 2 --batch 8",
        lambda: api.advise(
            "200h", gpu="h100:8", data="photos", model=["S16", "B/16"], price=2, batch=8
        ),
    ),
    "bench feed": Case(
        "--data photos --res 8 --batch 2 --set augment.flip=false --seconds 3 --workers 1",
        lambda: api.bench_feed(
            data="photos",
            set={"resolution": 8, "batch": 2, "augment.flip": False},
            runtime={"seconds": 3, "workers": 1},
        ),
    ),
    "doctor": Case("--data photos --timeout 3", lambda: api.doctor(data="photos", timeout=3)),
    "ls": Case("--kind dataset", lambda: api.ls(kind="dataset")),
    "show": Case("made@8 --json", lambda: api.show("made@8")),
    "lineage": Case("made@8", lambda: api.lineage("made@8")),
    "verify": Case("photos --deep", lambda: api.verify("photos", deep=True)),
    "replay": Case(
        "--from made --step 2 --first 3 --out b.png --force",
        lambda: api.replay("made", step=2, first=3, out="b.png", force=True),
    ),
    "report": Case(
        "photos made@8 --no-parents --out page.html --title Study --force",
        lambda: api.report(
            "photos", "made@8", parents=False, out="page.html", title="Study", force=True
        ),
    ),
    "rm": Case(
        "photos made@8 --descendants keep --inputs --dry-run",
        lambda: api.rm("photos", "made@8", descendants="keep", inputs=True, dry_run=True),
    ),
}


@pytest.fixture
def begun(folder, monkeypatch):
    """The settings, inputs and Runtime that a command line or a call begins its work with."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: False)

    def begin(command: Any, work: Callable[[], Any]) -> tuple[Any, ...]:
        calls = []

        def run(*positional: Any, **keywords: Any) -> Any:
            calls.append((*positional, keywords.get("runtime")))
            raise Begun

        with monkeypatch.context() as patched:
            patched.setattr(importlib.import_module(f"{command.package}.run"), "run", run)
            with pytest.raises((Begun, SystemExit)):  # a bug, as far as the command line knows
                work()
        (call,) = calls
        return call

    return begin


@pytest.fixture(scope="module", autouse=True)
def claimed() -> None:
    """The first command of a process takes its stdout and stderr, once: before a test captures
    them, whichever of these comes first."""
    claim_stdout()


def typed(*arguments: str) -> None:
    typer.main.get_command(app).main(list(arguments), prog_name="vitctl", standalone_mode=False)


def compared(value: Any) -> Any:
    """What two are the same by: artifacts by their ids, what is read once by what it has."""
    match value:
        case Artifact():
            return value.id
        case Run():
            return value.info.id
        case Iterator():
            return list(value)
        case tuple():
            return tuple(map(compared, value))
    if is_dataclass(value):
        own = {field.name: compared(getattr(value, field.name)) for field in fields(value)}
        return type(value).__name__, own
    return value


@each_command
def test_the_same_words_begin_the_same_work(command, begun):
    case = CASES[str(command)]
    shell = begun(command, lambda: typed(*command.verbs, *case.line.split()))
    python = begun(command, case.call)
    assert compared(shell) == compared(python)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.has_settings], ids=str)
def test_the_settings_are_those_that_print_config_shows(command, begun, folder, monkeypatch):
    case = CASES[str(command)]
    cfg, inputs, _ = begun(command, case.call)
    assert isinstance(cfg, Config)
    printed = []
    monkeypatch.setattr("vitctl.console.session.answer", printed.append)
    typed(*command.verbs, *case.line.split(), "--print-config")
    settings = case.settled(cfg, inputs)
    assert printed == [to_toml(settings).rstrip("\n")]
    assert api.settings(case.call) == settings


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.has_settings], ids=str)
def test_a_function_without_settings_does_no_work_when_asked_for_them(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(f"{command.package}.run.run", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(TypeError, match=r"has no settings"):
        api.settings(CASES[str(command)].call)


def test_settings_are_of_functions_of_the_api():
    with pytest.raises(TypeError, match="no function of"):
        api.settings(print)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.has_settings], ids=str)
def test_a_setting_that_there_is_none_of_is_refused_before_stdin_is_awaited(
    command, folder, monkeypatch, capsys
):
    """The command before the pipe may work for days."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: True)
    monkeypatch.setattr("vitctl.console.session.read_references", pytest.fail)
    needed = [word for word in CASES[str(command)].line.split() if word != "--print-config"]
    positional = {"shard": ["digits"], "import": needed, "mix": needed, "average": needed}
    positional["scaling fit"] = positional["sweep"] = needed
    with pytest.raises(SystemExit) as ended:
        typed(*command.verbs, *positional.get(str(command), []), "--set", "nonsense=1")
    assert ended.value.code == UsageError.exit_code
    assert "there is no setting 'nonsense'" in capsys.readouterr().err


def test_that_other_words_would_be_seen(begun):
    (subset,) = (command for command in COMMANDS if str(command) == "subset")
    arguments = [*CASES["subset"].line.split(), "--split", "val"]
    shell = begun(subset, lambda: typed("subset", *arguments))
    assert compared(shell) != compared(begun(subset, CASES["subset"].call))
