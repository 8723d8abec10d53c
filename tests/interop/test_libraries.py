"""Models of timm, transformers and open_clip, imported: what they compute is what was computed
there. Some lie in tests/reference/libraries; with the libraries, all kinds are made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.interop import overrides, reading, weight_files
from vitctl.model import vit

STORED = sorted((Path(__file__).parents[1] / "reference" / "libraries").iterdir())
SCRIPT = Path(__file__).with_name("library_models.py")
PYTHON = os.environ.get("VITCTL_INTEROP_PYTHON", sys.executable)
"""A Python that has the libraries: torch and jax need not be in one environment."""

SAID = {
    # Of no architecture of timm's, whose models with a norm before the blocks have 1e-5.
    "timm-clip": overrides.Said(norm_epsilon=1e-6),
}
NOT_SQUARE = {"timm-wide"}


def apart(folder: Path) -> float:
    """The largest difference of any output."""
    weights = weight_files.open_weights(folder)
    model = reading.read(weights, said=SAID.get(folder.name, overrides.Said()))
    images = jnp.asarray(np.load(folder / "images.npy") * 2 - 1)
    run = jax.jit(lambda p, x: vit.apply(p, x, config=model.config, scan=False))
    with jax.default_matmul_precision("highest"):
        outputs = run(model.load(), images)
    features = np.abs(np.asarray(outputs.pre_logits) - np.load(folder / "features.npy")).max()
    if not model.config.classes:
        assert not (folder / "logits.npy").exists()
        return float(features)
    logits = np.abs(np.asarray(outputs.logits) - np.load(folder / "logits.npy")).max()
    return float(max(features, logits))


@pytest.mark.parametrize(
    "folder", [f for f in STORED if f.name not in NOT_SQUARE], ids=lambda folder: folder.name
)
def test_outputs_equal_those_of_the_library(folder: Path) -> None:
    # Outputs are about 2; fp32 sums in another order.
    assert apart(folder) < 1e-5


def test_a_grid_that_is_no_square_is_known_from_the_file_beside() -> None:
    (folder,) = (f for f in STORED if f.name == "timm-wide")
    model = reading.read(weight_files.open_weights(folder), said=overrides.Said())
    assert model.grid == (2, 5)
    assert model.load()["position"].shape == (1, 10, 16)


def has_libraries() -> bool:
    names = ["torch", "timm", "transformers", "open_clip"]
    code = f"import importlib.util as u; assert all(map(u.find_spec, {names}))"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_libraries():
        pytest.skip("needs the extra interop here or in VITCTL_INTEROP_PYTHON")
    folder = tmp_path_factory.mktemp("libraries") / "made"
    subprocess.run([PYTHON, str(SCRIPT), "make", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_every_kind_of_model_computes_the_same_here(made: Path) -> None:
    kinds = sorted(path for path in made.iterdir() if path.name not in NOT_SQUARE)
    assert len(kinds) >= 18
    errors = {path.name: apart(path) for path in kinds}
    assert max(errors.values()) < 1e-4, errors
    print(errors)


@pytest.mark.slow
def test_libraries_load_what_is_exported(tmp_path: Path) -> None:
    from tests.interop.exporting import export

    if not has_libraries():
        pytest.skip("needs the extra interop here or in VITCTL_INTEROP_PYTHON")
    export(STORED[0].parent, tmp_path / "out")
    folders = sorted((tmp_path / "out").iterdir())
    kinds = ("features", "logits")
    expected = {
        (folder, kind): np.load(folder / f"{kind}.npy")
        for folder in folders
        for kind in kinds
        if (folder / f"{kind}.npy").exists()
    }
    for folder, kind in expected:  # what is compared is what the library writes
        (folder / f"{kind}.npy").unlink()
    subprocess.run(
        [PYTHON, str(SCRIPT), "load", str(tmp_path / "out")], check=True, capture_output=True
    )
    errors = {
        f"{folder.name} {kind}": float(np.abs(np.load(folder / f"{kind}.npy") - array).max())
        for (folder, kind), array in expected.items()
    }
    assert max(errors.values()) < 1e-4, errors
    print(errors)
