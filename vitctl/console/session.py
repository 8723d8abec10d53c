"""What a command has at hand: the store, its inputs, and the way its answer gets out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from vitctl import processes, signals
from vitctl.artifacts import inputs
from vitctl.artifacts.ancestry import inherited
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import RUN
from vitctl.artifacts.kinds import phrase_of
from vitctl.artifacts.pasteable import store_flags
from vitctl.artifacts.references import LATEST, Entry, find
from vitctl.artifacts.store import Store, checked_name
from vitctl.console import multiprocess
from vitctl.console.streams import answer, answer_columns, read_references, stdin_is_pipe
from vitctl.console.text import json_safe
from vitctl.errors import UsageError
from vitctl.events import Answering, Emit, Event, Next, Note
from vitctl.places import Place, place
from vitctl.places.based_path import is_text
from vitctl.settings.config import Config
from vitctl.settings.overrides import Overrides, build, parse_set, read_toml, to_toml
from vitctl.settings.trees import Tree
from vitctl.stage import Runtime
from vitctl.text.quoting import quoted

_OF_EACH_PROCESS = {"out", "workers", "cache_dir", "image_cache"}
"""How a process runs that the others need not run alike."""

C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=Runtime)


@dataclass(frozen=True)
class Options:
    """The flags every command has."""

    store: Place = field(default_factory=lambda: place("artifacts"))
    name: str | None = None
    out: Place | None = None
    force: bool = False
    json: bool = False
    quiet: bool = False
    settings: tuple[str, ...] = ()
    config: Path | None = None
    print_config: bool = False
    flags: Tree = field(default_factory=dict)
    """What the command's own flags set."""
    running: Mapping[str, Any] = field(default_factory=dict)
    """How to run: fields of the command's Runtime."""


@dataclass
class Session:
    """One call of one command."""

    options: Options
    emit: Emit
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        if self.options.name is not None:
            if self.options.out is not None:
                raise UsageError(
                    "--name (a folder in the store) and --out (an exact folder) are both given",
                    hint="keep one of them",
                )
            checked_name(self.options.name)
        self.store = Store(self.options.store)

    # Inputs

    def one(
        self,
        kind: str,
        reference: str | None,
        *,
        option: str,
        or_kind: str | None = None,
        stdin: bool = True,
        of: Artifact | None = None,
        trunk: bool = False,
        needs_labels: bool = True,
    ) -> Artifact:
        """The input artifact; see `many`. More than one line on stdin is for others to read. What
        is named may be of `or_kind`, too. Without `needs_labels` the newest dataset may have none,
        where no other is there."""
        (artifact,) = self._inputs(
            kind,
            reference,
            option=option,
            or_kind=or_kind,
            stdin=stdin,
            of=of,
            several=False,
            trunk=trunk,
            needs_labels=needs_labels,
        )
        return artifact

    def many(
        self, kind: str, reference: str | None, *, option: str, trunk: bool = False
    ) -> list[Artifact]:
        """The input artifacts: `reference` if given; else the lines of stdin if it is a pipe;
        else the newest finished one of the store. What was not named is announced. With `trunk` a
        name that fits several runs means one of `pretrain`."""
        artifacts = self._inputs(
            kind, reference, option=option, stdin=True, of=None, several=True, trunk=trunk
        )
        self.check_one_place(len(artifacts))
        return artifacts

    def several(
        self,
        kind: str,
        references: Sequence[str] | None,
        *,
        option: str,
        into_one: bool = False,
    ) -> list[Artifact]:
        """`many` of each of the references, in order; without any that of what is left out. With
        `into_one` a command makes one result of all."""
        artifacts = [
            artifact
            for reference in references or (None,)
            for artifact in self._inputs(
                kind, reference, option=option, stdin=True, of=None, several=True
            )
        ]
        if not into_one:
            self.check_one_place(len(artifacts))
        return artifacts

    def named(
        self, reference: str | None, *, kind: str | None = None
    ) -> list[tuple[Entry, int | None]]:
        """Entries of any kind, with the step if one was given, not checked for damage: what
        `reference` names; else the lines of stdin if it is a pipe; else the newest. Of several that
        a name fits, and to be the newest, those of `kind` count if it is given."""
        references = [reference]
        if reference == "-" or (reference is None and stdin_is_pipe()):
            references = list(read_references(what="an artifact", several=True, emit=self.emit))
        return [
            find(text or LATEST, store=self.store, kind=kind, emit=self.emit) for text in references
        ]

    def _inputs(
        self,
        kind: str,
        reference: str | None,
        *,
        option: str,
        stdin: bool,
        of: Artifact | None,
        several: bool,
        or_kind: str | None = None,
        trunk: bool = False,
        needs_labels: bool = True,
    ) -> list[Artifact]:
        def resolved(text: str, *, trunk: bool = False) -> Artifact:
            return inputs.named(
                text, kind=kind, or_kind=or_kind, store=self.store, trunk=trunk, emit=self.emit
            )

        def look() -> list[Artifact]:
            if reference is not None and reference != "-":
                return [resolved(reference, trunk=trunk)]
            if reference == "-" or (stdin and stdin_is_pipe()):
                lines = read_references(what=phrase_of(kind), several=several, emit=self.emit)
                artifacts = [resolved(line) for line in lines]
                for artifact in artifacts:
                    self.emit(Note(f"{option} {artifact.path} (from stdin)"))
                return artifacts
            if of is not None:
                return [inputs.trained_on(of, option=option, store=self.store, emit=self.emit)]
            newest = inputs.newest(
                kind, option=option, store=self.store, emit=self.emit, needs_labels=needs_labels
            )
            return [newest]

        def named_here() -> Artifact | None:
            """The folder that this process itself was given, as on a disk of its own. Not a run:
            which of its checkpoints is the newest, one process decides."""
            folder = None if reference is None else Path(reference)
            if folder is None or not folder.is_dir() or (folder / RUN).exists():
                return None
            return resolved(str(reference))

        return multiprocess.inputs(
            look,
            named=named_here,
            instead=lambda: resolved(reference, trunk=trunk) if reference else None,
            store=self.store,
        )

    def trained_on(self, checkpoint: Artifact) -> Artifact | None:
        """The dataset a checkpoint was trained on; None if they were synthetic."""
        if inputs.is_synthetic(checkpoint):
            return None

        def dataset() -> Artifact:
            return inherited(checkpoint, "data", store=self.store)

        return multiprocess.inputs(lambda: [dataset()], instead=dataset, store=self.store)[0]

    def measured_on(self, checkpoint: Artifact, data: str | None) -> Artifact | None:
        """The dataset `--data` names; left out, the one the checkpoint was trained on, or None
        where that was synthetic. What was not named is announced."""
        if data is None and inputs.is_synthetic(checkpoint):
            self.emit(Note(f"no --data: synthetic images, as {checkpoint.path} was trained on"))
            return None
        return self.one("dataset", data, option="--data", stdin=False, of=checkpoint)

    def measurements(
        self, sources: Sequence[str] | None, data: Sequence[str] | None, *, results: int = 1
    ) -> Iterator[tuple[Artifact, Artifact | None]]:
        """Each checkpoint that `--from` names with each dataset that `--data` does: see `several`
        and `measured_on`. As many `results` are made of each."""
        checkpoints = self.several("checkpoint", sources, option="--from")
        references = data or (None,)
        self.check_one_place(len(checkpoints) * len(references) * results)
        for checkpoint, reference in product(checkpoints, references):
            yield checkpoint, self.measured_on(checkpoint, reference)

    # Configuration

    @cached_property
    def overrides(self) -> Overrides:
        """--config, the flags and --set. The file is read once: it may be a pipe, and must not
        change in the middle of a command."""
        options = self.options
        return Overrides(
            file=read_toml(options.config) if options.config else {},
            flags=options.flags,
            settings=parse_set(options.settings),
        )

    def runtime(self, model: type[R]) -> R:
        """The stage's Runtime: where the result goes, and how to run."""
        options = self.options
        where = {"name": options.name, "out": options.out, "force": options.force}
        return build(model, where | {**options.running})

    def check_one_place(self, results: int) -> None:
        """Raise UsageError if several results are to go to the one folder that --out names."""
        if results > 1 and self.options.out is not None:
            raise UsageError(
                f"--out names one folder, but this makes {results} results",
                hint="leave out --out: the results go to the store, under --name if given",
            )

    def _check_places(self) -> None:
        """Answers are lines, and not every library takes paths that aren't text."""
        for folder, option in ((self.options.store, "--store"), (self.options.out, "--out")):
            if folder is None:
                continue
            if "\n" in str(folder):
                raise UsageError(
                    f"{option} {quoted(str(folder))}: a path must not have a line break"
                )
            if not is_text(str(folder.absolute())):
                raise UsageError(
                    f"{option} {folder} is not UTF-8", hint="choose another place for results"
                )

    # Answers

    def deliver(
        self, stage: str, cfg: Config | None, given: Any, *, runtime: Runtime
    ) -> Artifact | None:
        """Run `stages.<stage>.run` and print the artifact it made, or with --print-config only
        the resolved configuration, which is None. A command without settings has no `cfg`."""
        artifact = self.result_of(stage, cfg, given, runtime=runtime)
        if artifact is not None:
            self.answer(artifact)
        return artifact

    def result_of(
        self, stage: str, cfg: Config | None, given: Any, *, runtime: Runtime
    ) -> Artifact | None:
        """Like `deliver`, for a command that prints something else of the artifact; None where the
        configuration was printed."""
        if cfg is not None and self.options.print_config:
            self.print_config(cfg)
            return None
        signals.go_on()
        self._check_places()
        processes.agree(
            "settings",
            {
                "stage": stage,
                **({} if cfg is None else cfg.model_dump(mode="json")),
                # When to save, say: a disk, what is copied to it, the threads that read it and the
                # memory for what they read each may have of its own.
                "runtime": runtime.model_dump(mode="json", exclude=_OF_EACH_PROCESS),
            },
            error=UsageError,
            hint="give all processes the same flags and files",
        )
        run: Callable[..., Artifact] = importlib.import_module(f"stages.{stage}.run").run
        settings = () if cfg is None else (cfg,)
        artifact = run(*settings, given, store=self.store, runtime=runtime, emit=self._with_store)
        # A signal to one of several processes ends all of them, or, from here on, none: process 0
        # answers once all have come here.
        signals.settle()
        processes.collect("answers", None)
        return artifact

    def _with_store(self, event: Event) -> None:
        """Show an event; a stage's next command goes on in the same store."""
        if isinstance(event, Next):
            event = Next((*event.arguments, *store_flags(self.store)))
        self.emit(event)

    def answer_text(self, text: str) -> None:
        """Lines for people on stdout."""
        self.emit(Answering())
        answer(text)

    def print_config(self, cfg: Config) -> None:
        """The resolved settings on stdout, as TOML."""
        self.emit(Answering())
        answer(to_toml(cfg).rstrip("\n"))

    def answer(self, artifact: Artifact) -> None:
        """One line on stdout: the path, or with --json the object."""
        if self.options.json:
            self.answer_json(artifact.as_json())
        else:
            self.answer_text(str(artifact.path))

    @cached_property
    def answers_on_screen(self) -> bool:
        """Whether a person watches the answers come."""
        return answer_columns() is not None

    def answer_lines(self, lines: Iterable[str]) -> bool:
        """Some lines of a longer answer; False if nobody reads them any more. A bar on a terminal
        goes on if the answers go elsewhere."""
        if self.answers_on_screen:
            self.emit(Answering())
        return answer("\n".join(lines))

    def answer_json_lines(self, values: Iterable[Mapping[str, Any]]) -> bool:
        """Some objects of a longer answer, a line each; see `answer_lines`."""
        return self.answer_lines(_json_line(value) for value in values)

    def answer_json(self, value: Mapping[str, Any]) -> None:
        """One object on one line of stdout, in valid UTF-8."""
        self.emit(Answering())
        answer(_json_line(value))


def _json_line(value: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(value), ensure_ascii=False, allow_nan=False)
