"""One call of one command from Python: its store, its settings, and what its inputs are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from vitctl.artifacts import Artifact, Run, Store, inputs
from vitctl.artifacts.pasteable import usual_store
from vitctl.artifacts.references import LATEST, Entry, find
from vitctl.errors import UsageError
from vitctl.events import Emit, silent
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.hardware.machine import settle_platform
from vitctl.places import Place, place
from vitctl.settings.config import Config
from vitctl.settings.overrides import Overrides, build, read_toml
from vitctl.settings.trees import from_keys
from vitctl.stage import Runtime
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import did_you_mean, nearest

Reference = Artifact | Run | Place | Path | str
"""An artifact or run, or how the command line names one: a path, a name, an id, RUN@STEP, "latest".
"""
Count = int | str
"""20_000, or as the command line writes it: "20k"."""

R = TypeVar("R", bound=Runtime)


class Looking(TypedDict, total=False):
    """Keyword arguments of every command.

    store  a `Store` or its place; left out: $VITCTL_STORE, else ./artifacts
    emit   called with each event (`vitctl.events`): notes, cautions, progress
    """

    store: Store | Place | str
    emit: Emit


class Configured(Looking, total=False):
    """Keyword arguments of every command that has settings.

    config   a TOML file of settings
    set      settings by their dotted keys; they win over the file
    runtime  how to run, by the fields of the command's Runtime: {"eval_every": 500, "workers": 4}
    """

    config: Path | str | None
    set: Mapping[str, Any]
    runtime: Mapping[str, Any]


class Making(Looking, total=False):
    """Keyword arguments of a command that makes an artifact and has no settings.

    runtime  how to run, by the fields of the command's Runtime
    name     name of the result's folder in the store
    out      exact folder of the result, instead of one in the store
    force    make the result again although it is in the store
    """

    runtime: Mapping[str, Any]
    name: str | None
    out: Place | str | None
    force: bool


class Options(Configured, total=False):
    """Keyword arguments of every command that makes an artifact.

    name   name of the result's folder in the store
    out    exact folder of the result, instead of one in the store
    force  make the result again although it is in the store
    """

    name: str | None
    out: Place | str | None
    force: bool


def settings(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Config:
    """What `function` of this package would make with these arguments: its resolved settings, as
    --print-config shows them. Nothing is made. TypeError for a function without settings."""
    token = _only_settings.set(True)
    try:
        function(*arguments, **options)
    except _Resolved as resolved:
        return resolved.cfg
    finally:
        _only_settings.reset(token)
    raise TypeError(f"{getattr(function, '__name__', function)} is no function of stages.api")


class _Resolved(BaseException):
    """Ends a call that was made for its settings. No error, so that no `except Exception` on the
    way takes it for one."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg


_only_settings: ContextVar[bool] = ContextVar("only_settings", default=False)


class Call:
    """One call of a function: its store, its overrides, and what its inputs are. TypeError for
    options that are none of `takes`."""

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, Any],
        *,
        takes: type[Looking] = Options,
    ) -> None:
        for name in options:
            if name not in takes.__annotations__:
                raise TypeError(_unexpected(function, name, takes))
        if _only_settings.get() and "set" not in takes.__annotations__:
            raise TypeError(f"{function.__name__}() has no settings")
        self._function = function
        # As the command line does, before jax is imported.
        keep_compiled_programs()
        settle_platform()
        store = options.get("store") or usual_store()
        self.store = store if isinstance(store, Store) else Store(place(str(store)))
        self.emit: Emit = options.get("emit") or silent
        file = options.get("config")
        self.overrides = Overrides(
            file=read_toml(Path(file)) if file is not None else {},
            settings=from_keys(options.get("set") or {}),
        )
        self.running: Mapping[str, Any] = options.get("runtime") or {}
        out = options.get("out")
        self._where = {
            "name": options.get("name"),
            "out": None if out is None else place(str(out)),
            "force": options.get("force", False),
        }

    def runtime(self, model: type[R]) -> R:
        return build(model, {**self._where, **from_keys(self.running)})

    def resolved(self, settings: Callable[[], Config]) -> None:
        """Every function with settings calls this before its work begins, which is where a call
        for the settings alone ends."""
        if _only_settings.get():
            raise _Resolved(settings())

    def input(
        self,
        kind: str,
        reference: Reference | None,
        *,
        option: str = "data",
        or_kind: str | None = None,
        trunk: bool = False,
        needs_labels: bool = True,
    ) -> Artifact:
        """The artifact that `reference` names, of `kind` or of `or_kind`; left out, the newest of
        the store, which without `needs_labels` may be a dataset that has none. With `trunk` a name
        that fits several runs means one of `pretrain`."""
        if reference is None:
            return inputs.newest(
                kind,
                option=option,
                store=self.store,
                emit=self.emit,
                needs_labels=needs_labels,
            )
        return inputs.named(
            self.named(reference),
            kind=kind,
            or_kind=or_kind,
            store=self.store,
            trunk=trunk,
            emit=self.emit,
        )

    def named(self, reference: Reference) -> str:
        """How the command line would name it. TypeError for what is no reference, as a list."""
        if isinstance(reference, Artifact | Run):
            return str(reference.path)
        if isinstance(reference, Reference):
            return str(reference)
        raise TypeError(_no_reference(self._function, reference))

    def entry_and_step(
        self, reference: Reference | None, *, kind: str | None = None
    ) -> tuple[Entry, int | None]:
        """An artifact or a run, not checked for damage, and the step if one was given; left out,
        the newest, of `kind` if it is given."""
        name = LATEST if reference is None else self.named(reference)
        return find(name, store=self.store, kind=kind, emit=self.emit)

    def entries(
        self, references: Sequence[Reference], *, every: bool
    ) -> tuple[tuple[Entry, int | None], ...] | None:
        """`entry_and_step` of each, left out of the newest; None, for the whole store, with
        `every`."""
        if every and references:
            raise UsageError("every=True and references are both given", hint="keep one of them")
        return None if every else tuple(map(self.entry_and_step, references or (None,)))

    def trained_on(self, checkpoint: Artifact) -> Artifact:
        return inputs.trained_on(checkpoint, option="data", store=self.store, emit=self.emit)

    def measured_on(self, checkpoint: Artifact, reference: Reference | None) -> Artifact | None:
        """The dataset given, else what the checkpoint was trained on: None if synthetic images."""
        if reference is not None:
            return self.input("dataset", reference)
        return None if inputs.is_synthetic(checkpoint) else self.trained_on(checkpoint)


def _no_reference(function: Callable[..., Any], value: object) -> str:
    name = function.__name__
    parameters = inspect.signature(function).parameters.values()
    several = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    hint = f": call {name}(*{several}) for a list of them" if several and is_list else ""
    return (
        f"{name}() takes an artifact, a run, a path or a name as a reference, and got one of type "
        f"{type(value).__name__}{hint}"
    )


def _unexpected(function: Callable[..., Any], name: str, takes: type[Looking]) -> str:
    own = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    every = [*own, *takes.__annotations__]
    near = did_you_mean([f"{one}=" for one in nearest(name, every, count=1)])
    takes_settings = "set" in takes.__annotations__
    setting = f"a setting goes into set={{{quoted(name)}: ...}}" if takes_settings else None
    hint = near or setting or f"it takes {', '.join(every)}"
    return f"{function.__name__}() has no argument {quoted(name)}; {hint}"
