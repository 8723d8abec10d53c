"""Importing this imports TensorFlow as vitctl does, which starts nothing that a fork would miss."""

from __future__ import annotations

from vitctl.data.tensorflow import load_tensorflow

load_tensorflow()
