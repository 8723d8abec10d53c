"""TensorFlow, told to see no accelerator and to be quiet. Importing it takes 5 to 10 s.

JAX owns the accelerators: TensorFlow only decodes and augments images, on the CPU.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

from vitctl.errors import UsageError
from vitctl.text.quoting import one_line

F = TypeVar("F", bound=Callable[..., Any])


_importing = threading.Lock()
"""Training imports it beside the compiler, and may score meanwhile."""


def is_installed() -> bool:
    return find_spec("tensorflow") is not None


def is_imported() -> bool:
    return sys.modules.get("tensorflow") is not None


def install_command() -> str:
    """As pyproject.toml chooses: the wheel for CPUs is a quarter of the size."""
    on_x86_linux = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return "pip install " + ("tensorflow-cpu" if on_x86_linux else "tensorflow")


def tensorflow_missing(message: str) -> UsageError:
    """The error of work that needs TensorFlow where it is not installed."""
    return UsageError(message, hint=f"install TensorFlow: {install_command()}")


def require_tensorflow(*, to: str) -> None:
    """Raises `UsageError` where TensorFlow is not installed, before work begins; `to` says what
    needs it."""
    if not is_installed():
        raise tensorflow_missing(f"TensorFlow, which is needed to {to}, is not installed")


def set_environment() -> None:
    """What TensorFlow reads when its library is loaded; a variable that is set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # TensorFlow's own pool of memory: the C library gives the pages of a batch back to the system,
    # and the next batch faults each in again, 190 an image of 224 px, which took 0.5 of the 1.7
    # CPU-ms of an image (docs/log, 2026-11-29).
    # The pool grows as it is used; its own limit of 64 GiB would refuse what the machine has.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(2**20))


@functools.cache
def load_tensorflow() -> ModuleType:
    """The module `tensorflow`, imported on first use. Raises `UsageError` where it is not
    installed."""
    require_tensorflow(to="decode and augment images")
    set_environment()
    with _importing:
        with _without_keras():
            import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
        tf.config.set_visible_devices([], "TPU")
        tf.get_logger().setLevel("ERROR")
    return tf


@contextmanager
def _without_keras() -> Iterator[None]:
    """TensorFlow imports Keras, and Keras scikit-learn and matplotlib where they are, which takes a
    third of the time (7.2 CPU-seconds with, 5.1 without; 2026-11-24), and nothing here uses it.
    TensorFlow goes on where Keras cannot be imported; a later `tf.keras` imports it as ever."""
    if "keras" in sys.modules:
        yield
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # makes `import keras` an ImportError
    try:
        yield
    finally:
        del sys.modules["keras"]


def as_it_is(function: F) -> F:
    """`function` traced as Python runs it, not rewritten by AutoGraph.

    Nothing here needs the rewriting (branches are `tf.cond`), it costs start-up time, and with
    TensorFlow 2.21 it now and then mixed up two inner functions of one module, so that a correct
    program failed to trace.
    """
    return load_tensorflow().autograph.experimental.do_not_convert(function)


def tf_reason(error: Exception) -> str:
    """What TensorFlow says on one line, without the node names it wraps it in."""
    text = one_line(error)
    for wrapping in ("}} ", "[[{{"):
        head, separator, tail = text.partition(wrapping)
        text = (tail if wrapping == "}} " else head) if separator else text
    return text.split(" [Op:", 1)[0].strip()
