"""`import vitctl`: instant, and a few names that load what they need when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vitctl

ROOT = Path(__file__).resolve().parents[1]


def test_import_loads_no_library():
    script = (
        "import sys, vitctl; dir(vitctl)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded - sys.stdlib_module_names - {'vitctl', '__main__'}))"
    )
    python = [sys.executable, "-S", "-c", script]  # without what .pth files load
    done = subprocess.run(python, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["load", "apply"])
def test_names_that_import_jax_spare_it_the_search_for_a_tpu(monkeypatch, name):
    calls = []
    monkeypatch.setattr("vitctl.hardware.machine.settle_platform", lambda: calls.append(name))
    monkeypatch.delitem(vars(vitctl), name, raising=False)
    getattr(vitctl, name)
    assert calls == [name]


def test_the_names_are_there():
    assert {"load", "Store", "fewshot", "apply"} <= set(dir(vitctl))
    assert set(vitctl.__all__) <= set(dir(vitctl))
    for name in vitctl.__all__:
        assert getattr(vitctl, name) is getattr(vitctl, name)
    from vitctl.artifacts import Store
    from vitctl.model import vit

    assert vitctl.Store is Store
    assert vitctl.apply is vit.apply
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = vitctl.laod


def test_type_checkers_see_the_same_names():
    """Those imported for them are those that are loaded, from the same modules."""
    body = ast.parse((ROOT / "vitctl" / "__init__.py").read_text()).body
    (branch,) = [node for node in body if isinstance(node, ast.If)]
    for_checkers = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == vitctl._MODULES
    assert sorted([*for_checkers, "__version__"]) == sorted(vitctl.__all__)
