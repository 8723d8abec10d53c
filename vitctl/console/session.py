"""What a command has at hand: the store, its inputs, and the way its answer gets out."""

from __future__ import annotations

import copy
import importlib
import json
import os
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from vitctl import processes, signals
from vitctl.artifacts.ancestry import inherited
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import RUN
from vitctl.artifacts.references import LATEST, MAKE, Entry, find, resolve
from vitctl.artifacts.store import Store, checked_name
from vitctl.console import multiprocess
from vitctl.console.flags import running
from vitctl.console.streams import answer, read_references, stdin_is_pipe
from vitctl.console.text import json_safe
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Event, Next, Note
from vitctl.places import Place
from vitctl.settings.config import Config
from vitctl.settings.overrides import build, check_keys, parse_set, read_toml, to_toml
from vitctl.settings.trees import Tree, drop, merge, nested
from vitctl.stage import Runtime

C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=Runtime)


@dataclass(frozen=True)
class Options:
    """The flags every command has."""

    store: Place = Path("artifacts")
    name: str | None = None
    out: Place | None = None
    force: bool = False
    json: bool = False
    quiet: bool = False
    settings: tuple[str, ...] = ()
    config: Path | None = None
    print_config: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    """How to run, of commands that train: `options.TRAINING`."""


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
                    "--name names a folder in the store, --out an exact folder",
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
        stdin: bool = True,
        of: Artifact | None = None,
    ) -> Artifact:
        """The input artifact; see `many`. More than one line on stdin is for others to read."""
        return self._inputs(kind, reference, option=option, stdin=stdin, of=of, several=False)[0]

    def many(self, kind: str, reference: str | None, *, option: str) -> list[Artifact]:
        """The input artifacts: `reference` if given; else the lines of stdin if it is a pipe;
        else the newest finished one of the store. What was not named is announced."""
        found = self._inputs(kind, reference, option=option, stdin=True, of=None, several=True)
        self.check_one_place(len(found))
        return found

    def named(self, reference: str | None) -> list[tuple[Entry, int | None]]:
        """Entries of any kind, with the step if one was given, not checked for damage: what
        `reference` names; else the lines of stdin if it is a pipe; else the newest."""
        references = [reference]
        if reference == "-" or (reference is None and stdin_is_pipe()):
            references = list(read_references(what="artifact", several=True, emit=self.emit))
        return [find(text or LATEST, store=self.store) for text in references]

    def _inputs(
        self,
        kind: str,
        reference: str | None,
        *,
        option: str,
        stdin: bool,
        of: Artifact | None,
        several: bool,
    ) -> list[Artifact]:
        def found() -> list[Artifact]:
            return self._found(kind, reference, option=option, stdin=stdin, of=of, several=several)

        return multiprocess.inputs(
            found,
            named=lambda: self._named_here(reference, kind),
            instead=lambda: self._resolved(reference, kind=kind) if reference else None,
            store=self.store,
        )

    def _named_here(self, reference: str | None, kind: str) -> Artifact | None:
        """The folder that this process itself was told to take, as on a disk of its own. Not a run:
        which of its checkpoints is the newest, one process decides."""
        if reference is None or not Path(reference).is_dir() or (Path(reference) / RUN).exists():
            return None
        return self._resolved(reference, kind=kind)

    def _found(
        self,
        kind: str,
        reference: str | None,
        *,
        option: str,
        stdin: bool,
        of: Artifact | None,
        several: bool,
    ) -> list[Artifact]:
        if reference is not None and reference != "-":
            return [self._resolved(reference, kind=kind)]
        if reference == "-" or (stdin and stdin_is_pipe()):
            lines = read_references(what=kind, several=several, emit=self.emit)
            found = [self._resolved(line, kind=kind) for line in lines]
            for artifact in found:
                self.emit(Note(f"{option} {artifact.path} (from stdin)"))
            return found
        if of is not None:
            artifact = inherited(of, "data", store=self.store)
            self.emit(Note(f"{option} {artifact.path} (what {of.path} was trained on)"))
            return [artifact]
        newest = self.store.newest(kind)
        if newest is None:
            raise UsageError(
                f"no {option} given, and there is no finished {kind} in {self.store.root}",
                hint=f"make one: {MAKE[kind]}",
            )
        self.emit(Note(f"{option} {newest.path} (the newest {kind} in {self.store.root})"))
        return [newest]

    def _resolved(self, reference: str, *, kind: str) -> Artifact:
        artifact = resolve(reference, store=self.store, kind=kind)
        if not _is_text(artifact.path.absolute()):
            raise InputError(
                f"{artifact.path} is not UTF-8, which not every library can read",
                hint="rename it, or move it elsewhere; it is known by its id",
            )
        return artifact

    def trained_on(self, checkpoint: Artifact) -> Artifact | None:
        """The dataset a checkpoint was trained on; None if its images were made up."""
        if checkpoint.config["data"].get("mock") is not None:
            return None

        def found() -> list[Artifact]:
            return [inherited(checkpoint, "data", store=self.store)]

        return multiprocess.inputs(found, instead=lambda: found()[0], store=self.store)[0]

    # Configuration

    @cached_property
    def _file(self) -> Tree:
        """--config, read once: it may be a pipe, and must not change in the middle of a command."""
        return read_toml(self.options.config) if self.options.config else {}

    def overrides(
        self,
        flags: Mapping[str, Any],
        *,
        model: type[Config] | None = None,
        dropping: Collection[str] = (),
    ) -> Tree:
        """--config, then flags that were given (not None), then --set; the last wins.

        Settings of the file in `dropping` are left out: a flag stands for them. With `model` the
        keys are checked (UsageError), as settings may be derived from some before all are built.
        """
        tree = copy.deepcopy(self._file)
        for key in dropping:
            drop(tree, key)
        merge(tree, given(flags), parse_set(self.options.settings))
        if model is not None:
            check_keys(model, tree)
        return tree

    def build(
        self,
        model: type[C],
        base: Mapping[str, Any],
        flags: Mapping[str, Any],
        *,
        dropping: Collection[str] = (),
    ) -> C:
        """`base`, overridden, as a validated Config."""
        return build(model, merge({}, base, self.overrides(flags, dropping=dropping)))

    def runtime(self, model: type[R], **values: Any) -> R:
        """The stage's Runtime with the shared flags filled in."""
        options = self.options
        shared = {"name": options.name, "out": options.out, "force": options.force}
        shared |= running(options.training)
        return build(model, shared | {k: v for k, v in values.items() if v is not None})

    def check_one_place(self, results: int) -> None:
        """Raise UsageError if several results are to go to the one folder that --out names."""
        if results > 1 and self.options.out is not None:
            raise UsageError(
                f"--out names one folder, and this makes {results} results",
                hint="leave it out: they go to the store, under --name if you like",
            )

    def _check_places(self) -> None:
        """Answers are lines, and not every library takes paths that aren't text."""
        for place, option in ((self.options.store, "--store"), (self.options.out, "--out")):
            if place is None:
                continue
            if "\n" in str(place):
                raise UsageError(f"{option} {str(place)!r}: paths are answered one a line")
            if not _is_text(place.absolute()):
                raise UsageError(
                    f"{option} {place} is not UTF-8", hint="choose another place for results"
                )

    # Answers

    def begun(self, stage: str, cfg: C, before: C | None, inputs: Any) -> tuple[C, tuple[str, ...]]:
        """The settings to train with, and the sentence that says so if they are `before`, what an
        earlier version chose: its run is continued, if there is one and none of `cfg`."""
        if before is None or self.options.force:
            return cfg, ()
        recipe_of = importlib.import_module(f"stages.{stage}.run").recipe_of

        def has_begun() -> bool:
            new, old = (
                self.store.has_begun(recipe_of(c, inputs), out=self.options.out)
                for c in (cfg, before)
            )
            return bool(old and not new)

        if not processes.share(f"{stage} begun before", has_begun):
            return cfg, ()
        return before, (
            "continuing a run that an earlier version began, with the settings it "
            "chose; --force starts anew",
        )

    def deliver(self, stage: str, cfg: Config, inputs: Any, *, runtime: Runtime) -> None:
        """Run `stages.<stage>.run` and print the artifact it made, or with --print-config only
        the resolved configuration."""
        if self.options.print_config:
            self.print_config(cfg)
            return
        signals.go_on()
        self._check_places()
        processes.agree(
            "settings",
            {
                "stage": stage,
                **cfg.model_dump(mode="json"),
                # When to save, say: a disk, what is copied to it, and the threads that read it each
                # may have of its own.
                "runtime": runtime.model_dump(mode="json", exclude={"out", "workers", "cache_dir"}),
            },
            error=UsageError,
            hint="give all processes the same flags and files",
        )
        run: Callable[..., Artifact] = importlib.import_module(f"stages.{stage}.run").run
        artifact = run(cfg, inputs, store=self.store, runtime=runtime, emit=self._with_store)
        # A signal to one of several processes ends all of them, or, from here on, none: process 0
        # answers once all have come here.
        signals.settle()
        processes.collect("answers", None)
        self.answer(artifact)

    def _with_store(self, event: Event) -> None:
        """Show an event; a stage's next command goes on in the same store."""
        if isinstance(event, Next):
            event = Next(" ".join([event.command, *self._store_flags()]))
        self.emit(event)

    def _store_flags(self) -> list[str]:
        """What a later command needs to use the same store: nothing where it will anyway."""
        root = str(self.store.root)
        usual = os.environ.get("VITCTL_STORE") or "artifacts"
        return [] if root == usual else ["--store", shlex.quote(root)]

    @staticmethod
    def answer_text(text: str) -> None:
        """Lines for people on stdout."""
        answer(text)

    @staticmethod
    def print_config(cfg: Config) -> None:
        """The resolved settings on stdout, as TOML."""
        answer(to_toml(cfg).rstrip("\n"))

    def answer(self, artifact: Artifact) -> None:
        """One line on stdout: the path, or with --json the object."""
        if self.options.json:
            self.answer_json(artifact.as_json())
        else:
            answer(str(artifact.path))

    @staticmethod
    def answer_json(value: Mapping[str, Any]) -> None:
        """One object on one line of stdout, in valid UTF-8."""
        answer(json.dumps(json_safe(value), ensure_ascii=False, allow_nan=False))

    def command(self, *words: object) -> str:
        """A pasteable command line that uses this session's store."""
        return " ".join([shlex.join(["vitctl", *map(str, words)]), *self._store_flags()])


def given(flags: Mapping[str, Any]) -> Tree:
    """Flags with dotted names as a tree, those that were not given (None) left out."""
    return merge({}, *(nested(key, value) for key, value in flags.items() if value is not None))


def _is_text(path: Place) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
