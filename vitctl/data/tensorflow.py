"""TensorFlow, told to see no accelerator and to be quiet. Importing it takes about 10 s.

JAX owns the accelerators: TensorFlow only decodes and augments images, on the CPU.
"""

from __future__ import annotations

import functools
import os
from types import ModuleType

from vitctl.data.header import one_line


@functools.cache
def load_tensorflow() -> ModuleType:
    """The module `tensorflow`, imported on first use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.set_visible_devices([], "TPU")
    tf.get_logger().setLevel("ERROR")
    return tf


def tf_reason(error: Exception) -> str:
    """What TensorFlow says on one line, without the node names it wraps it in."""
    text = one_line(error)
    for wrapping in ("}} ", "[[{{"):
        head, found, tail = text.partition(wrapping)
        text = (tail if wrapping == "}} " else head) if found else text
    return text.split(" [Op:", 1)[0].strip()
