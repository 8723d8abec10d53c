"""The metadata of `vitctl-light`: those of `vitctl`, without TensorFlow and without the extras that
only who changes vitctl needs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = "tensorflow"
DEVELOPMENT = ("interop", "smoke", "dev", "test-all")


class LightMetadata(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name, value in whole.items():
            if name not in ("name", "dynamic", "version"):
                metadata[name] = value
        metadata["description"] += " Without TensorFlow: to use models, not to train them."
        metadata["readme"] = {
            "text": (ROOT / whole["readme"]).read_text(encoding="utf-8"),
            "content-type": "text/markdown",
        }
        metadata["dependencies"] = [
            line for line in whole["dependencies"] if not line.startswith(WITHOUT)
        ]
        metadata["optional-dependencies"] = {
            extra: lines
            for extra, lines in whole["optional-dependencies"].items()
            if extra not in DEVELOPMENT
        }
