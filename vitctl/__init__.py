"""vitctl: the vocabulary. The commands built from it live in `stages`.

What a notebook needs, loaded when it is used (docs/guide/python.md):

    load      the trained model of a checkpoint
    Store     where artifacts live
    fewshot   few-shot accuracy of features
    apply     the model as a function of parameters and images
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vitctl.version import __version__

__all__ = ["Store", "__version__", "apply", "fewshot", "load"]

if TYPE_CHECKING:
    from vitctl.artifacts.store import Store
    from vitctl.inference.trained_model import load
    from vitctl.model.vit import apply
    from vitctl.probe.fewshot import accuracies as fewshot
else:
    _MODULES = {
        "Store": ("vitctl.artifacts.store", "Store"),
        "apply": ("vitctl.model.vit", "apply"),
        "fewshot": ("vitctl.probe.fewshot", "accuracies"),
        "load": ("vitctl.inference.trained_model", "load"),
    }

    def __getattr__(name: str) -> Any:
        """Import what a name stands for (PEP 562): `import vitctl` alone loads no array library."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _MODULES[name]
        value = globals()[name] = getattr(import_module(module), attribute)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
