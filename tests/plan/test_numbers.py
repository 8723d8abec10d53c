"""Closed forms against what others count: XLA's FLOPs, a bill by hand, calibration in numpy."""

from __future__ import annotations

import json
import math
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import made
from tests.plan import tables
from tests.plan.paper_costs import CORE_DAYS
from vitctl.errors import UsageError
from vitctl.hardware.tpus import TPUS
from vitctl.model import accounting, vit
from vitctl.model.config import ModelConfig, from_name
from vitctl.model.part import Part, take
from vitctl.optim import frozen
from vitctl.optim.config import OptimConfig
from vitctl.plan import calibration, estimate, gpu_calibration
from vitctl.plan.bill import amount, bill
from vitctl.plan.cost import Cost, extrapolate, linear
from vitctl.plan.program import Program, StepPlan
from vitctl.sharding.spec import MeshSpec

# Wide enough that matrix products are nearly all of its FLOPs.
MODEL = ModelConfig(width=256, depth=3, mlp_dim=1024, heads=4, patch=16, resolution=128, classes=10)


def xla_flops(model, *, remat="none", scan=False, optim=OptimConfig()):  # noqa: B008 - frozen
    """FLOPs of an image's loss and gradients as XLA counts them, before it optimizes anything."""
    shapes = jax.eval_shape(lambda: vit.init(model, key=jax.random.key(0)))

    layers = frozen.trained_layers(model, optim)

    def loss(trained, params, images):
        own = None if layers is None else Part(trained, layers)
        params = trained if layers is None else params
        out = vit.apply(params, images, config=model, remat=remat, scan=scan, part=own)
        return out.logits.sum()

    images = jax.ShapeDtypeStruct((1, model.resolution, model.resolution, 3), jnp.float32)
    trained = shapes if layers is None else jax.eval_shape(lambda p: take(p, layers), shapes)
    return jax.jit(jax.grad(loss)).lower(trained, shapes, images).cost_analysis()["flops"]


def test_flops_by_accounting_are_those_that_xla_counts():
    """XLA adds elementwise work (2 %), and lacks the gradient of the images."""
    counted = estimate.step_flops(MODEL, OptimConfig(), remat="none")
    assert xla_flops(MODEL) == pytest.approx(counted, rel=0.03)


ONE_BLOCK = MODEL.model_copy(update={"depth": 1})
"""Scanned, and counted once: as the program of a run goes through its blocks."""


@pytest.mark.parametrize(
    ("patterns", "products"),
    [
        (("embedding/.*",), 3.0),
        (("embedding/.*", "position", "blocks/0/attention/.*"), 3 - 8 / 24),
        (("embedding/.*", "position", "blocks/0/(attention|mlp)/.*"), 2.0),
        (("embedding/.*", "position", "blocks/.*"), 1.0),
    ],
)
def test_flops_of_frozen_parameters_are_those_that_xla_counts(patterns, products):
    """In products of a block's weights forward: the gradient of the input of each, as a norm in the
    block is trained, and of those weights that are."""
    optim = OptimConfig(freeze=patterns)
    counted = estimate.step_flops(ONE_BLOCK, optim, remat="none")
    assert xla_flops(ONE_BLOCK, scan=True, optim=optim) == pytest.approx(counted, rel=0.03)
    weights = 2 * MODEL.tokens * 12 * MODEL.width**2
    whole = estimate.step_flops(ONE_BLOCK, OptimConfig(), remat="none")
    stem = 2 * 2 * 3 * MODEL.patch**2 * MODEL.width * MODEL.tokens
    scores = (2 if products == 1 else 0) * 4 * MODEL.tokens**2 * MODEL.width
    assert whole - counted == pytest.approx(stem + scores + (3 - products) * weights)


STEM = ("embedding/.*", "position")


@pytest.mark.parametrize("remat", ["none", "full"])
@pytest.mark.parametrize(
    ("patterns", "passed", "weights"),
    [
        ((*STEM, "blocks/0/.*"), 2, 2 * 12),
        ((*STEM, "blocks/[01]/.*"), 1, 12),
        ((*STEM, "blocks/[02]/.*"), 2, 12),  # through a frozen block to the one that is trained
        ((*STEM, "blocks/[01]/.*", "blocks/2/mlp/.*/kernel"), 1, 4),
        (("embedding/.*", "blocks/.*"), 3, 0),  # through all of them to the positions
        ((*STEM, "blocks/.*"), 0, 0),
    ],
)
def test_the_backward_pass_ends_at_the_lowest_block_that_is_trained(
    patterns, passed, weights, remat
):
    """Counted by hand, and by XLA in the program unrolled, which adds 1 % of elementwise work."""
    optim, (d, n) = OptimConfig(freeze=patterns), (MODEL.width, MODEL.tokens)
    layers = frozen.trained_layers(MODEL, optim)
    assert accounting.passed_blocks(layers, depth=MODEL.depth) == passed
    backward = passed * (24 * n * d * d + 8 * n * n * d) + weights * 2 * n * d * d
    assert accounting.backward_flops(MODEL, tokens=n, trained=layers) == backward

    counted = estimate.step_flops(MODEL, optim, remat=remat)
    assert xla_flops(MODEL, optim=optim, remat=remat) == pytest.approx(counted, rel=0.02)


def test_what_is_trained_of_blocks_is_counted_by_layers():
    block = accounting.parameters(MODEL).blocks // 3
    assert (
        frozen.trained_parameters(MODEL, OptimConfig(freeze=("blocks/[01]/.*",)))
        == accounting.parameters(MODEL).total - 2 * block
    )


@pytest.mark.parametrize("remat", ["full", "mlp", "dots"])
def test_recomputing_blocks_costs_what_is_counted(remat):
    more = xla_flops(MODEL, remat=remat) - xla_flops(MODEL)
    counted = MODEL.depth * estimate.recomputed_flops(MODEL, remat=remat)
    # Elementwise work is repeated, too: 1 % of the forward pass.
    assert counted < more < counted + 0.02 * accounting.matmul_flops(MODEL)


def test_xla_counts_a_scanned_body_once():
    """Why costs come from unrolled programs: a scan over 12 layers seems as cheap as over 3."""
    deep = MODEL.model_copy(update={"depth": 12})
    scanned = xla_flops(deep, scan=True)
    assert scanned == pytest.approx(xla_flops(MODEL, scan=True), rel=0.02)
    assert xla_flops(deep) > 3 * scanned


def test_costs_are_linear_in_depth():
    flops = {depth: xla_flops(MODEL.model_copy(update={"depth": depth})) for depth in (1, 2, 6)}
    assert linear(flops[1], flops[2], depths=(1, 2), depth=6) == pytest.approx(flops[6], rel=1e-3)


def program(**changes):
    fields = {
        "fits": True, "flops": 1e12, "bytes": 1e9, "cycles": 10**6, "link_seconds": 0.01,
        "arguments": 1, "temporaries": 1, "peak": 2,
    }  # fmt: skip
    return Program(**(fields | changes))


def test_a_cost_by_hand():
    """One layer 1 TFLOP, two 1.5: eight 4.5. Bytes 1 and 2 GB: eight 8."""
    v3 = TPUS["v3"]
    deep = program(flops=1.5e12, bytes=2e9, cycles=3 * 10**6, link_seconds=0.015)
    cost = extrapolate(program(), deep, depth=8, hardware=v3)
    assert cost.flops == pytest.approx(4.5e12)
    assert cost.compute_seconds == pytest.approx(4.5 / 61.5)
    assert cost.memory_seconds == pytest.approx(8 / 450)
    assert cost.link_seconds == pytest.approx(0.045)
    assert cost.cycle_seconds == pytest.approx(15e6 / v3.hertz)
    assert cost.seconds == pytest.approx(4.5 / 61.5 + 0.045)
    assert cost.least_seconds == pytest.approx(4.5 / 61.5)
    with pytest.raises(ValueError, match="refused"):
        extrapolate(program(), program(fits=False), depth=8, hardware=v3)


def test_a_bill_by_hand():
    """3.6M images at 10 a second on each of 4 devices: 100 device-hours, 25 hours."""
    result = bill(
        images=3_600_000, images_per_second_per_device=10, devices=4, price=2.5, watts=220
    )
    assert (result.device_hours, result.wall_hours) == (100, 25)
    assert (result.money, result.energy_kwh) == (250, 22)
    without = bill(images=1, images_per_second_per_device=1, devices=1, price=None, watts=None)
    assert without.money is None
    assert without.energy_kwh is None


@pytest.mark.parametrize("text", ["-1", "0", "nan", "inf", "cheap", ""])
def test_a_price_is_a_positive_number(text):
    with pytest.raises(UsageError, match="--price"):
        amount(text, option="--price", unit="money")


# Calibration


@pytest.fixture(scope="module")
def rows():
    return json.loads(resources.files("vitctl.plan").joinpath("paper_costs.json").read_text())[
        "models"
    ]


def test_throughputs_are_the_paper_s_core_days(rows):
    """1M steps of 4096 images in so many core-days of 86,400 s (arXiv 2106.04560, figure 2)."""
    for row in rows:
        hand = 4096e6 / (CORE_DAYS[row["model"]] * 86_400)
        assert row["images_per_second"] == pytest.approx(hand, rel=1e-3)
    assert [row["model"] for row in rows] == list(CORE_DAYS)


def test_the_paper_s_programs_do_the_paper_s_work(rows):
    """Matrix products are 85 to 101 % of what XLA counts for the whole step: thin models have more
    elementwise work, and an update that few images share."""
    for row in rows:
        model = from_name(row["model"], classes=29_593)
        depth = np.array(row["depths"])
        flops = np.polynomial.Polynomial.fit(depth, row["flops"], 1)(model.depth)
        images = row["images_per_device"]
        counted = images * estimate.step_flops(model, OptimConfig(), remat=row["remat"])
        assert 0.85 < counted / flops < 1.01, row["model"]


def test_leave_one_out_in_numpy(rows):
    shares, names = [], []
    for row in rows:
        depth = from_name(row["model"], classes=1).depth
        slope = np.diff(row["cycles"])[0]
        cycles = row["cycles"][0] + slope * (depth - 1)
        links = row["link_seconds"][0] + np.diff(row["link_seconds"])[0] * (depth - 1)
        seconds = cycles / (61.5e12 / (2 * 2 * 128 * 128)) + links
        shares.append(row["images_per_second"] * seconds / row["images_per_device"])
        names.append(row["model"])
    logs = np.log(shares)
    others = (logs.sum() - logs) / (len(logs) - 1)
    by_hand = dict(zip(names, np.exp(others - logs), strict=True))
    assert calibration.leave_one_out() == pytest.approx(by_hand)
    assert calibration.worst_error() == pytest.approx(
        max(abs(np.array(list(by_hand.values())) - 1))
    )


def test_a_measured_model_gets_its_measured_rate():
    for row in calibration.paper_models():
        model = from_name(row.model, classes=1000)
        result = calibration.efficiency(row.cost, model=model, hardware=TPUS["v3"])
        predicted = row.images / row.cost.seconds * result.value
        assert predicted == pytest.approx(row.images_per_second)
        assert (result.low, result.assumed) == (None, False)


def test_another_model_gets_a_range_and_other_hardware_an_assumption():
    cost = Cost(1e12, 1e9, 0.02, 0.016, 0.002, 0.001)
    other = from_name("H14", classes=1000)
    here = calibration.efficiency(cost, model=other, hardware=TPUS["v3"])
    assert here.low < here.value < here.high
    assert not here.assumed
    elsewhere = calibration.efficiency(
        cost, model=from_name("g14", classes=1), hardware=TPUS["v5p"]
    )
    assert elsewhere.low < elsewhere.value < elsewhere.high
    assert elsewhere.assumed


def test_published_rates_of_gpus_by_hand():
    """g/14 of 64 images on an H100: matrix products, three times a forward pass of 531.9 GFLOPs and
    scores again, at 989 TFLOP/s; gradients of 1.04 billion parameters over NVLink."""
    row = next(r for r in gpu_calibration.published() if (r.gpu, r.devices) == ("H100", 8))
    model = from_name("g14", classes=1000)
    assert row.cost.compute_seconds == pytest.approx(
        64 * (3 * 531.9e9 + 40 * 2 * 256**2 * 1408) / 989e12, rel=0.005
    )
    assert row.cost.link_seconds == pytest.approx(
        2 * 7 / 8 * 4 * accounting.parameters(model).total / 450e9
    )
    assert row.cost.memory_seconds < row.cost.compute_seconds
    assert row.efficiency == pytest.approx(row.cost.seconds / (8 * 64 / 1428))


def test_machines_of_gpus_that_others_measured_are_as_fast_as_counted():
    """1 to 16 machines by their published rates: the count of the network is within 5 %."""
    rows = [r for r in gpu_calibration.published() if r.model == "g/14"]
    assert {r.devices for r in rows} == {8, 16, 32, 64, 128}
    for gpu in ("A100", "H100"):
        values = [r.efficiency for r in rows if r.gpu == gpu]
        assert max(values) / min(values) < 1.06


def test_the_efficiency_of_gpus_lies_among_the_measured_ones():
    efficiencies = [r.efficiency for r in gpu_calibration.published()]
    expected = gpu_calibration.efficiency()
    assert (
        min(efficiencies)
        == expected.low
        < expected.value
        < max(efficiencies)
        < expected.high
        == 1.0
    )
    assert expected.assumed
    left = gpu_calibration.leave_one_out()
    assert set(left) == {("g/14", "A100"), ("g/14", "H100"), ("S/16", "H100")}
    assert expected.left_out == pytest.approx(max(abs(ratio - 1) for ratio in left.values()))
    assert math.prod(left.values()) == pytest.approx(1.0)  # each by the mean of the others


def test_each_gpu_passes_its_part_of_what_leaves_a_machine():
    """Of 4 machines of 8: two passes of fp32 gradients, three quarters of them, an eighth each;
    weights divided within machines do not cross, those over all do."""
    model = from_name("B16", classes=1000)
    parameters = accounting.parameters(model).total

    def crossing(**axes):
        plan = StepPlan(MeshSpec(**axes), "none", None)
        return estimate.network_bytes(model, plan, dtype_bytes=2, node=8)

    sums = 2 * 3 / 4 * 4 * parameters / 8
    assert crossing(data=32) == pytest.approx(sums)
    assert crossing(data=4, fsdp=8) == pytest.approx(sums)
    assert crossing(data=1, fsdp=32) == pytest.approx(sums + 2 * 3 / 4 * 2 * parameters / 8)
    assert crossing(data=8) == 0


@pytest.mark.parametrize(
    ("optim", "moments"),
    [
        (OptimConfig(name="adam", momentum_dtype="float32"), 8),
        (OptimConfig(name="adam"), 6),
        (OptimConfig(name="sgd"), 2),
    ],
)
def test_an_update_reads_and_writes_weights_gradients_and_moments(optim, moments):
    """Bytes a parameter: fp32 weights and gradients, and the moments in their types; counters are
    some bytes in all."""
    cfg = made.config().model_copy(update={"optim": optim})
    parameters = accounting.parameters(cfg.model).total
    touched = estimate.update_bytes(cfg, spec=MeshSpec(data=1))
    assert touched == pytest.approx(2 * (4 + 4 + moments) * parameters, abs=64)


def test_the_table_in_the_guide_is_the_calibration():
    guide = tables.GUIDE.read_text()
    assert "\n".join(tables.calibrated()) in guide
    assert tables.off_by() in " ".join(guide.split())
