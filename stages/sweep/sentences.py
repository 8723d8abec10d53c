"""Sentences of `pretrain` as a grid's user reads them: settings in place of flags, which a grid has
not."""

from __future__ import annotations

import re

from vitctl.errors import VitctlError
from vitctl.events import Caution, Emit, Event, Note

_KEYS = {
    "batch": "data.batch",
    "res": "model.resolution",
    "warmup": "schedule.warmup_steps",
    "lr": "schedule.peak_lr",
}
_FLAG = re.compile(rf"--({'|'.join(_KEYS)})(?: ([\d.e-]*\d))?(?![\w-])")
_SETTING = re.compile(r"--set ([a-z][\w.]*)(?:=([^\s,;]+))?")


def in_a_grid(sentence: str) -> str:
    """`--batch 8` -> `data.batch = 8`, `--set optim.ema=1` -> `optim.ema = 1`."""

    def setting(key: str, value: str | None) -> str:
        return key if value is None else f"{key} = {value}"

    sentence = _SETTING.sub(lambda match: setting(match[1], match[2]), sentence)
    return _FLAG.sub(lambda match: setting(_KEYS[match[1]], match[2]), sentence)


def of_a_run(error: VitctlError, *, name: str) -> VitctlError:
    """The error of a run of the grid, which is named."""
    hint = None if error.hint is None else in_a_grid(error.hint)
    return type(error)(f"{name}: {in_a_grid(error.message)}", hint=hint)


def emitted_in_a_grid(emit: Emit) -> Emit:
    """The same of what is said."""

    def pass_on(event: Event) -> None:
        if isinstance(event, Note | Caution):
            event = type(event)(in_a_grid(event.text))
        emit(event)

    return pass_on
