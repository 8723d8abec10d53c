"""The `vitctl` command: its own `stages`, whatever else is called so.

A folder `stages` or a file stages.py of the user's own comes first where PYTHONPATH names the
folder around it, as many projects do. The one beside this package is loaded by its place; every
import of it afterwards, in worker processes too, which begin here again, gets that one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

_NAME = "stages"


def main() -> object:
    """Run a command line."""
    return importlib.import_module(f"{_NAME}.app").main()


def load_own() -> None:
    """Make `stages` the package that lies beside this one."""
    own = Path(__file__).resolve().parents[1]
    spec = PathFinder.find_spec(_NAME, [str(own)])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{own} has no package {_NAME}: install vitctl again")
    loaded = sys.modules.get(_NAME)
    file = getattr(loaded, "__file__", None)
    if file is not None and spec.origin is not None and Path(file).samefile(spec.origin):
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)


# Where workers are spawned they import this module again, and functions of `stages` by its name.
load_own()
