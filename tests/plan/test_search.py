"""Which ways to run a search compiles: against compilers that are made up."""

from __future__ import annotations

import pytest

from tests.plan.paper_costs import config
from vitctl.hardware.tpus import TPUS
from vitctl.model.remat import LADDER
from vitctl.plan import candidates, search
from vitctl.plan.program import Program

V3, DEVICES = TPUS["v3"], 32
CFG = config("S/16", batch=4096)
AVAILABLE = V3.memory


@pytest.fixture(scope="module")
def options():
    return candidates.options(
        CFG,
        devices=DEVICES,
        hardware=V3,
        specs=list(candidates.meshes(CFG, devices=DEVICES)),
        remats=LADDER,
        microbatch=None,
        batches=candidates.batches_to_try(DEVICES, most=2**20),
    )


class Compiler:
    """Refuses what asks for more than is available, and makes one thing slow or fast.

    A step's operations take its images and 1000 cycles, times what `factor` says of an option.
    """

    def __init__(self, asks=lambda o: o.needed, factor=lambda o: 1.0):
        self.asks, self.factor = asks, factor
        self.compiled_options: list[candidates.Option] = []

    def __call__(self, option):
        self.compiled_options.append(option)
        if self.asks(option) > AVAILABLE:
            return Program(False, 0.0, 0.0, 0, None, 0, self.asks(option), 0)
        cycles = int(self.factor(option) * 1000 * (1 + option.images_per_device))
        return Program(True, 1.0, 1.0, cycles, 0.0, 1, 1, option.needed)


def searched(options, compiler, *, compiles=6):
    worth = candidates.worth_compiling(options, available=AVAILABLE, slack=True)
    return worth, search.fastest(
        worth, compiles=compiles, available=AVAILABLE, hardware=V3, compile_one=compiler
    )


def first_that_fits(options, compiler, *, compiles):
    return search.first_that_fits(
        options, compiles=compiles, available=AVAILABLE, hardware=V3, compile_one=compiler
    )


def test_the_best_by_estimate_is_compiled_first_then_one_thing_is_changed(options):
    compiler = Compiler()
    worth, done = searched(options, compiler)
    first, remat, mesh, batch, *_ = compiler.compiled_options
    assert first is worth[0]
    assert (remat.plan.mesh, remat.cfg.data.batch) == (first.plan.mesh, first.cfg.data.batch)
    assert remat.plan.remat != first.plan.remat
    assert mesh.plan.mesh != first.plan.mesh
    assert candidates.kind(mesh.plan.mesh) != candidates.kind(first.plan.mesh)
    assert batch.cfg.data.batch != mesh.cfg.data.batch
    assert len({id(o) for o in compiler.compiled_options}) == 6
    assert len(worth) == 6 + done.refused + done.slower + done.untried


@pytest.mark.parametrize("compiles", [1, 2, 5])
def test_no_more_is_compiled_than_allowed(options, compiles):
    compiler = Compiler()
    _, done = searched(options, compiler, compiles=compiles)
    assert len(compiler.compiled_options) == len(done.tried) == compiles


def test_what_the_compiler_finds_faster_is_followed(options):
    """The estimate puts "dots" first; this compiler makes a program of it slow, "mlp" fast."""
    compiler = Compiler(factor=lambda o: 1.0 if o.plan.remat == "mlp" else 1.5)
    _, done = searched(options, compiler)
    assert compiler.compiled_options[0].plan.remat == "dots"
    assert done.tried[0].option.plan.remat == "mlp"
    assert [o.plan.remat for o in compiler.compiled_options[2:]].count("mlp") >= 2
    rates = [t.rate for t in done.tried]
    assert rates == sorted(rates, reverse=True)


def test_what_is_too_large_by_what_was_refused_is_pruned(options):
    """This compiler needs three times what is counted with "dots", and what is counted with all
    else: after one refusal the next of that kind has a third of the room."""

    def asks(o):
        return o.needed * (3 if o.plan.remat == "dots" else 1)

    compiler = Compiler(asks=asks)
    _, done = searched(options, compiler)
    first, second = compiler.compiled_options[:2]
    assert first.plan.remat == "dots"
    assert asks(first) > AVAILABLE
    assert all(asks(o) <= AVAILABLE for o in compiler.compiled_options[1:])
    assert second.rate >= max(
        o.rate for o in options if o.plan.remat == "dots" and asks(o) <= AVAILABLE
    )
    assert done.tried[0].program.fits
    assert done.refused > 0


def test_what_is_slower_by_more_than_the_estimate_errs_is_pruned(options):
    """Recomputing everything costs a third more FLOPs, over the quarter that an estimate errs."""
    _, done = searched(options, Compiler())
    best = done.tried[0].option
    assert done.slower > 0
    assert all(t.option.rate * 1.25 >= best.rate for t in done.tried)


def test_over_the_memory_by_more_than_the_count_errs_is_not_compiled(options):
    worth, _ = searched(options, Compiler())
    fits = [o.needed <= AVAILABLE for o in worth]
    assert fits == sorted(fits, reverse=True)  # those that fit by the count first
    assert max(o.needed for o in worth) <= 1.25 * AVAILABLE
    assert len(worth) < len(options)


def test_without_a_search_the_first_that_fits_is_the_answer(options):
    fitting, worth = (
        Compiler(),
        candidates.worth_compiling(options, available=AVAILABLE, slack=True),
    )
    done = search.first_that_fits(
        worth, compiles=4, available=AVAILABLE, hardware=V3, compile_one=fitting
    )
    assert done.option is worth[0]
    assert len(fitting.compiled_options) == 1


def test_the_last_chance_is_for_what_needs_least(options):
    refusing = Compiler(asks=lambda o: o.needed + AVAILABLE)
    done = search.first_that_fits(
        options, compiles=3, available=AVAILABLE, hardware=V3, compile_one=refusing
    )
    assert not done.program.fits
    assert len(refusing.compiled_options) == 3
    assert done.option.needed == min(o.needed for o in options)
    only = search.first_that_fits(
        options,
        compiles=1,
        available=AVAILABLE,
        hardware=V3,
        compile_one=Compiler(asks=lambda o: o.needed + AVAILABLE),
    )
    assert only.option is options[0]


def test_another_batch_trains_on_as_many_images(options):
    images = CFG.steps * CFG.data.batch
    for option in options:
        steps, batch = option.cfg.steps, option.cfg.data.batch
        assert steps * batch == pytest.approx(images, rel=0.02)
    assert {o.cfg.data.batch for o in options} == {32 * 2**k for k in range(10)}


def test_a_batch_is_no_larger_than_the_dataset():
    assert candidates.batches_to_try(32, most=300) == [32, 64, 128, 256]
    assert candidates.batches_to_try(32, most=31) == []


def test_images_at_a_time_must_divide():
    """One of 32 devices' 2, 4, 8 images: 3 divides none, 4 two of them."""
    counts = {}
    for part in (3, 4):
        ways = candidates.options(
            CFG, devices=32, hardware=V3, specs=list(candidates.meshes(CFG, devices=32))[:1],
            remats=("none",), microbatch=part, batches=[64, 128, 256],
        )  # fmt: skip
        counts[part] = len(ways)
    assert counts == {3: 0, 4: 2}
