from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 7)).astype(np.float32)
LABELS = np.array(
    [[2, -1, -1], [0, 6, -1], [-1, -1, -1], [5, 5, 1], [-1, 3, -1], [4, 0, 2]], np.int32
)


def test_multi_hot() -> None:
    ours = losses.multi_hot(jnp.asarray(LABELS), classes=7)
    for row, labels in zip(np.asarray(ours), LABELS, strict=True):
        expected = [float(y in labels) for y in range(7)]
        np.testing.assert_array_equal(row, expected)


def test_sigmoid_equals_the_definition() -> None:
    targets = RNG.uniform(size=LOGITS.shape).astype(np.float32)
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(axis=1)
    ours = losses.per_example("sigmoid", jnp.asarray(LOGITS), targets=jnp.asarray(targets))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_softmax_equals_the_definition() -> None:
    logits = LOGITS.astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = []
    for row, labels in zip(log_p, LABELS, strict=True):
        distinct = sorted({y for y in labels if y >= 0})
        expected.append(-row[distinct].mean() if distinct else 0.0)
    targets = losses.multi_hot(jnp.asarray(LABELS), classes=7)
    ours = losses.per_example("softmax", jnp.asarray(LOGITS), targets=targets)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_extreme_logits_and_half_precision_stay_finite(name: losses.Loss) -> None:
    logits = jnp.asarray([[1e4, -1e4, 0.0]], jnp.bfloat16)
    targets = jnp.asarray([[0.0, 1.0, 0.0]])
    loss = losses.per_example(name, logits, targets=targets)
    assert loss.dtype == jnp.float32
    assert loss[0] == pytest.approx(2e4, rel=2e-3)  # bf16 rounds 10,000 to 9,984


def test_smoothing_equals_its_closed_form() -> None:
    """Softmax: (1 - s) · loss + s · mean over classes of -ln p, as the loss is linear in targets.
    Sigmoid: the definition with targets (1 - s) t + s / C."""
    logits, s, classes = LOGITS.astype(np.float64), 0.1, 7
    targets = np.asarray(losses.multi_hot(jnp.asarray(LABELS), classes=classes))
    labelled = targets.any(axis=1)

    def ours(name: losses.Loss) -> np.ndarray:
        wanted = losses.smoothed(name, jnp.asarray(targets), by=s)
        return np.asarray(losses.per_example(name, jnp.asarray(LOGITS), targets=wanted))

    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    plain = -(targets * log_p).sum(axis=1) / np.maximum(targets.sum(axis=1), 1)
    expected = np.where(labelled, (1 - s) * plain - s * log_p.mean(axis=1), 0)
    np.testing.assert_allclose(ours("softmax"), expected, rtol=1e-5)

    p = 1 / (1 + np.exp(-logits))
    t = (1 - s) * targets + np.where(labelled, s / classes, 0)[:, None]
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(ours("sigmoid"), expected, rtol=1e-5)


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.9999])
def test_balanced_weights_are_those_of_the_paper(beta: float) -> None:
    """With whole numbers: 1 / E_n, E_n = sum of beta^j for j < n, is the paper's effective number
    (its proposition 1), and the weights sum to the number of classes."""
    counts = np.array([5000, 500, 50, 5, 1])
    effective = np.array([sum(beta**j for j in range(n)) for n in counts])
    expected = len(counts) / effective / (1 / effective).sum()
    np.testing.assert_allclose(losses.balanced_weights(counts, beta=beta), expected, rtol=1e-9)


def test_a_class_without_images_has_no_weight_and_moves_none() -> None:
    few = losses.balanced_weights(np.array([30, 3]), beta=0.99)
    more = losses.balanced_weights(np.array([30, 0, 3]), beta=0.99)
    np.testing.assert_allclose(more, [few[0], 0, few[1]])
    assert losses.balanced_weights(np.array([0, 0]), beta=0.99).tolist() == [0, 0]


def test_an_example_weighs_what_its_labels_do_by_their_shares() -> None:
    weights = jnp.asarray([1.0, 2.0, 4.0])
    targets = jnp.asarray([[1.0, 0, 0], [0, 1, 1], [0, 0.25, 0.75], [0, 0, 0]])
    ours = losses.example_weights(targets, weights=weights)
    np.testing.assert_allclose(ours, [1, 3, 3.5, 1], rtol=1e-6)


def test_mixup_is_convex_with_one_weight_and_the_previous_example() -> None:
    images = jnp.asarray(RNG.normal(size=(5, 4, 4, 3)), jnp.float32)
    targets = jnp.eye(5, dtype=jnp.float32)
    mix = jax.jit(lambda key: losses.mixup(images, targets, key=key, alpha=0.2))
    weights = []
    for seed in range(40):
        x, t = mix(jax.random.key(seed))
        w = float(t[0, 0])
        weights.append(w)
        np.testing.assert_allclose(t.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(x[2], w * images[2] + (1 - w) * images[1], atol=1e-6)
        np.testing.assert_allclose(x[0], w * images[0] + (1 - w) * images[4], atol=1e-6)
    assert min(weights) >= 0.5
    assert len(set(weights)) > 30
    # max(v, 1-v) with v ~ Beta(.2, .2) has mean 0.899 and deviation 0.140 (by quadrature).
    assert np.mean(weights) == pytest.approx(0.899, abs=4 * 0.14 / np.sqrt(40))


@pytest.mark.skipif(jax.device_count() < 2, reason="needs several devices")
def test_mixup_partners_do_not_depend_on_the_number_of_devices() -> None:
    b = 2 * jax.device_count()
    images = jnp.asarray(RNG.normal(size=(b, 2, 2, 3)), jnp.float32)
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=auto)
    spread = jax.device_put(images, jax.NamedSharding(mesh, jax.P("data")))
    mix = jax.jit(lambda x: losses.mix(x, weight=jnp.float32(0.7)))
    np.testing.assert_array_equal(mix(spread), mix(images))


@pytest.mark.parametrize("k", [1, 2, 5, 7, 50])
def test_top_k_counts_any_label(k: int) -> None:
    ours = losses.top_k_correct(jnp.asarray(LOGITS), jnp.asarray(LABELS), k=k)
    for logits, labels, correct in zip(LOGITS, LABELS, np.asarray(ours), strict=True):
        best = np.argsort(-logits)[:k]
        assert correct == any(y in best for y in labels if y >= 0)


def test_padding_is_never_a_hit_and_ties_go_to_the_lower_class() -> None:
    logits = jnp.zeros((2, 3))
    labels = jnp.asarray([[-1, -1], [0, -1]], jnp.int32)
    assert losses.top_k_correct(logits, labels, k=1).tolist() == [False, True]
    assert losses.has_label(labels).tolist() == [False, True]
