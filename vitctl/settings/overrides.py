"""What a user sets, put onto a typed Config: `--config FILE.toml`, flags, `--set key=value`; a
Config back to TOML."""

from __future__ import annotations

import copy
import re
import reprlib
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from vitctl.errors import UsageError
from vitctl.settings.config import Config, place_and_message
from vitctl.settings.trees import Tree, drop, from_keys, merge, nested
from vitctl.text.quoting import as_bytes, quoted
from vitctl.text.suggestions import did_you_mean, nearest
from vitctl.text.textfiles import read_text

C = typing.TypeVar("C", bound=Config)
_LONGEST_SHOWN = 100
_MOST_TOML_BYTES = 16 << 20
_TOML_VALUES = (str, int, float, bool, list, dict)


@dataclass(frozen=True)
class Overrides:
    """What a user sets, in layers; a stronger one wins over a weaker one, setting by setting.

    Attributes:
      file: of `--config FILE`, the weakest.
      flags: of flags and of arguments that stand for a setting.
      settings: of `--set`, the strongest.
    """

    file: Tree = field(default_factory=dict)
    flags: Tree = field(default_factory=dict)
    settings: Tree = field(default_factory=dict)

    def with_flags(self, flags: Mapping[str, Any]) -> Overrides:
        """These and more flags, by dotted keys; those that are None were not given."""
        given = {key: value for key, value in flags.items() if value is not None}
        return replace(self, flags=merge({}, self.flags, from_keys(given)))

    def tree(self, *, without: Collection[str] = ()) -> Tree:
        """All layers as one. Settings of the file in `without` are left out: a flag that has no
        setting of its own stands for them, as `--model` does for the sizes."""
        file = copy.deepcopy(self.file)
        for key in without:
            drop(file, key)
        return merge(file, self.flags, self.settings)

    def build(self, model: type[C], base: Mapping[str, Any], *, without: Collection[str] = ()) -> C:
        """`base`, overridden, as a validated Config. Raises UsageError."""
        return build(model, merge({}, base, self.tree(without=without)))


def read_toml(path: Path, *, label: str | None = None) -> Tree:
    """A TOML file as a tree, "none" being None, whatever program wrote the text; errors name it by
    `label`, without one as --config does. Raises NotFoundError, InputError where it is no text, and
    UsageError where the text is no TOML."""
    label = f"--config {path}" if label is None else label
    text = read_text(path, label=label, most_bytes=_MOST_TOML_BYTES).text
    try:
        return _off(tomllib.loads(text))
    except RecursionError:
        raise UsageError(f"{label} nests too deep") from None
    except tomllib.TOMLDecodeError as error:
        windows = re.search(r'"[A-Za-z]:\\', text)
        hint = "write a path of Windows in single quotes: 'C:\\runs'" if windows else None
        raise UsageError(f"{label} is not TOML: {error}", hint=hint) from None
    except ValueError:  # more digits than Python reads
        raise UsageError(f"{label} holds a whole number of too many digits") from None


def parse_set(items: Iterable[str]) -> Tree:
    """`a.b=1` -> {"a": {"b": 1}}. Values are TOML; what is not is text; `none` is None."""
    tree: Tree = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not all(part for part in key.split(".")):
            raise UsageError(
                f"--set {_short(item)} is not key=value", hint="as in --set optim.wd_head=1"
            )
        merge(tree, nested(key.strip(), _value(text.strip())))
    return tree


def check_keys(
    model: type[Config],
    tree: Mapping[str, Any],
    *,
    meant: Callable[[str], str | None] = lambda key: None,
) -> None:
    """Raise UsageError for the first key that `model` doesn't have, with the hint that `meant` has
    for it, else with the nearest keys."""
    _check_keys(model, tree, where="", root=model, meant=meant)


def _check_keys(
    model: type[Config],
    tree: Mapping[str, Any],
    *,
    where: str,
    root: type[Config],
    meant: Callable[[str], str | None],
) -> None:
    for key, value in tree.items():
        if key not in model.model_fields:
            unknown = _first_leaf(where + key, value)
            near = did_you_mean(_nearest(unknown, list(keys_of(root))))
            raise UsageError(
                f"there is no setting {quoted(unknown)}",
                hint=meant(unknown) or near or "see --print-config",
            )
        below = _table(model.model_fields[key].annotation)
        if below is None:
            continue
        if isinstance(value, Mapping):
            _check_keys(below, value, where=f"{where}{key}.", root=root, meant=meant)
        elif value not in (None, "none") and not isinstance(value, Config):
            example = next(iter(below.model_fields), "...")
            raise UsageError(
                f"{where}{key} is a table of settings (got {_short(value)})",
                hint=meant(where + key)
                or f"set one of them, as in --set {where}{key}.{example}=...",
            )


def _first_leaf(key: str, value: Any) -> str:
    while isinstance(value, Mapping) and value:
        name, value = next(iter(value.items()))
        key = f"{key}.{name}"
    return key


def _nearest(unknown: str, every: list[str]) -> list[str]:
    """At most three settings: of the same name or with it as a word (`lr`: schedule.peak_lr), the
    shortest first, then of like spelling."""
    name = unknown.rsplit(".", 1)[-1]
    last = {full: full.rsplit(".", 1)[-1] for full in every}
    same = [full for full in every if last[full] == name]
    word = sorted(
        (full for full in every if name in last[full].split("_")), key=lambda full: len(last[full])
    )
    like = nearest(unknown, every, count=3)
    return list(dict.fromkeys(same + word + like))[:3]


def build(model: type[C], tree: Mapping[str, Any]) -> C:
    """Validate a tree. Raises UsageError with one sentence: which setting, what is wrong."""
    check_keys(model, tree)
    try:
        return model.model_validate(_settled(model, tree))
    except ValidationError as error:
        first = error.errors()[0]
        where, message = place_and_message(error)
        message = message.partition(", unable to")[0]
        if first["type"] == "missing":
            raise UsageError(f"{where} has no value", hint=f"give it: --set {where}=...") from None
        hint = None
        if first["type"] == "literal_error":
            given = str(first["input"])
            listed = first["ctx"]["expected"].replace(" or ", ", ").split(", ")
            options = [option.strip("'") for option in listed]
            hint = did_you_mean(nearest(given, options))
        if first["type"] == "string_type" and isinstance(first["input"], int | float):
            hint = f"text that looks like a number needs quotes: --set '{where}=\"...\"'"
        shown = f" (got {_short(first['input'])})" if not isinstance(first["input"], dict) else ""
        # pydantic's "Input should be ...", with the setting as its subject.
        said = re.sub(r"^: Input should be ", " must be ", f": {message}")
        raise UsageError(f"{where}{said}{shown}" if where else message, hint=hint) from None


def _short(value: Any) -> str:
    """A value as a message shows it: of a long one, how it begins and ends."""
    return as_bytes(reprlib.repr(value) if len(shown := repr(value)) > _LONGEST_SHOWN else shown)


def to_toml(config: Config) -> str:
    """The resolved config as TOML that `read_toml` reads back. What is off (None) is "none":
    TOML has no word for it, and left out it would mean the recipe's value."""
    return tomli_w.dumps(_in_words(config.model_dump(mode="json")))


def _in_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_words(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_words(item) for item in value]
    return "none" if value is None else value


def _off(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _off(item) for key, item in value.items()}
    if isinstance(value, list):  # of tables; in a list of words "none" is one
        return [_off(item) if isinstance(item, dict) else item for item in value]
    return None if value in ("none", "None") else value


def _settled(model: type[Config], tree: Mapping[str, Any]) -> Tree:
    """`tree` with None turned back into "none" where a setting has that word among its choices."""
    settled: Tree = {}
    for key, value in tree.items():
        annotation = model.model_fields[key].annotation
        below = _table(annotation)
        if below is not None and isinstance(value, Mapping):
            value = _settled(below, value)
        elif value is None and "none" in _choices(annotation):
            value = "none"
        settled[key] = value
    return settled


def _choices(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def choices_of(model: type[Config], key: str) -> tuple[str, ...]:
    """The values of the setting under a dotted key, if it is a choice or a switch; else ()."""
    *tables, last = key.split(".")
    for table in tables:
        named = model.model_fields.get(table)
        below = None if named is None else _table(named.annotation)
        if below is None:
            return ()
        model = below
    declared = model.model_fields.get(last)
    if declared is None:
        return ()
    kinds = typing.get_args(declared.annotation)
    if declared.annotation is bool:
        return "true", "false"
    choices = [word for kind in (declared.annotation, *kinds) for word in _choices(kind)]
    return (*choices, *(["none"] if types.NoneType in kinds else []))


def keys_of(model: type[Config], *, prefix: str = "") -> Iterable[str]:
    """The dotted keys of all settings of `model`."""
    for name, declared in model.model_fields.items():
        below = _table(declared.annotation)
        if below is None:
            yield prefix + name
        else:
            yield from keys_of(below, prefix=f"{prefix}{name}.")


def _table(annotation: Any) -> type[Config] | None:
    """The Config behind `Config` or `Config | None`, else None."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        tables = [_table(option) for option in typing.get_args(annotation)]
        return next((table for table in tables if table is not None), None)
    return None


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, or of more digits or levels than Python reads
        return _off(text)
    value = read.pop("value")
    # A date is a name here, and what goes on in another line is no single value.
    return _off(value) if isinstance(value, _TOML_VALUES) and not read else text
