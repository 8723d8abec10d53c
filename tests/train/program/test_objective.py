"""The loss on hidden symbols of sequences, beside NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from tests.train.conftest import config
from vitctl.data.config import ProceduralConfig
from vitctl.model import vit
from vitctl.train.program.objective import MaskedSymbols
from vitctl.train.run import procedural


def test_a_symbol_is_embedded_as_its_row_of_the_patch_embedding():
    """What the patch embedding makes of its picture: the picture's patches times the kernel."""
    own = procedural.settings(config(1), ProceduralConfig(steps=1, kinds=5)).model
    assert own.patch == 2  # 12 numbers, for 10 symbols and the hidden one
    symbols = np.asarray([[0, 10, 7, 3], [9, 9, 1, 2]], np.int32)
    pictures = np.asarray(MaskedSymbols().images(jnp.asarray(symbols), model=own))
    assert pictures.shape == (2, own.resolution, own.resolution, 3)
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 16)).astype(np.float32)
    rows = kernel.reshape(12, 16)
    for picture, sentence in zip(pictures, symbols, strict=True):
        for place, symbol in enumerate(sentence):
            i, j = divmod(place, own.grid)
            patch = picture[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            embedded = np.tensordot(patch, kernel, axes=3)
            np.testing.assert_array_equal(embedded, rows[symbol])


def test_the_loss_is_the_mean_over_hidden_symbols():
    rng = np.random.default_rng(1)
    encoded = rng.normal(size=(3, 4, 8))
    head = {"kernel": rng.normal(size=(8, 6)), "bias": rng.normal(size=6)}
    targets = np.asarray([[-1, 5, -1, 0], [2, 2, 2, 2], [-1, -1, -1, -1]])
    logits = encoded @ head["kernel"] + head["bias"]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = [
        -(logs[0, 1, 5] + logs[0, 3, 0]) / 2,
        -logs[1, :, 2].mean(),
        0.0,  # nothing is asked
    ]
    as_32 = {name: jnp.asarray(value, jnp.float32) for name, value in head.items()}
    out = vit.Outputs(jnp.zeros((3, 6)), jnp.zeros((3, 8)), jnp.asarray(encoded, jnp.float32))
    each = MaskedSymbols().per_example(out, jnp.asarray(targets), head=as_32)
    np.testing.assert_allclose(each, wanted, rtol=1e-5)
