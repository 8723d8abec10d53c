from __future__ import annotations

import importlib
import sys

import pytest

from vitctl.data import tensorflow


def test_keras_stays_out_while_tensorflow_is_imported_and_only_then(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    with tensorflow._without_keras(), pytest.raises(ImportError):
        importlib.import_module("keras.src.optimizers")
    assert "keras" not in sys.modules


def test_keras_that_is_there_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", sys)
    with tensorflow._without_keras():
        assert sys.modules["keras"] is sys
    assert sys.modules["keras"] is sys
