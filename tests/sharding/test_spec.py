from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.errors import UsageError
from vitctl.model.config import from_name
from vitctl.sharding.spec import MeshSpec, parse

SIZES = st.integers(1, 64)


@given(SIZES, SIZES, SIZES, SIZES)
def test_what_is_printed_is_read_back(data, zero, fsdp, tensor):
    spec = MeshSpec(data, zero, fsdp, tensor)
    assert parse(str(spec)) == spec


def test_data_takes_what_is_left():
    spec = parse(" tensor=2, fsdp=2 ")
    assert spec is not None
    assert spec.resolve(devices=12) == MeshSpec(data=3, fsdp=2, tensor=2)
    assert MeshSpec().resolve(devices=8) == MeshSpec(data=8)
    assert parse("auto") is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("datta=4", "no axis 'datta'", "did you mean data?"),
        ("", "no axis ''", "axes are data, zero, fsdp, tensor"),
        ("data", "data needs a number", "data=4,fsdp=2"),
        ("data=0", "data needs a number", "data=4,fsdp=2"),
        ("data=-1", "data needs a number", "data=4,fsdp=2"),
        ("data=٣", "data needs a number", "data=4,fsdp=2"),
        ("data=4,data=2", "data is given twice", None),
    ],
)
def test_what_makes_no_mesh_is_refused(text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        parse(text)
    assert caught.value.hint is None or hint in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (MeshSpec(data=4, fsdp=3), "a mesh of 12 devices, but there are 8", "sizes whose product"),
        (MeshSpec(data=2, fsdp=2), "a mesh of 4 devices, but there are 8", "data=4"),
        (MeshSpec(fsdp=3), "3 does not divide the 8 devices", "divisors of 8"),
        (MeshSpec(data=8, zero=3), "zero=3 does not divide data=8", "divisor of 8"),
    ],
)
def test_devices_that_do_not_fit_are_refused(spec, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        spec.resolve(devices=8)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (MeshSpec(1, fsdp=3), "fsdp = 3 does not divide the model's width, 1664", "2 is"),
        (MeshSpec(64, zero=64, fsdp=4), "zero times fsdp = 256", "208 is"),
        (MeshSpec(1, tensor=32), "tensor = 32 .* number of attention heads, 16", "16 is"),
    ],
)
def test_models_that_do_not_divide_are_refused(spec, message, hint):
    model = from_name("G14", classes=10)
    with pytest.raises(UsageError, match=message) as caught:
        spec.check_model(model)
    assert hint in caught.value.hint
    MeshSpec(64, zero=64, fsdp=2, tensor=16).check_model(model)


def test_batches_that_do_not_divide_are_refused():
    spec = MeshSpec(data=4, fsdp=2, tensor=2)
    spec.check_batch(16)
    with pytest.raises(UsageError, match="20 does not divide over 8 devices") as caught:
        spec.check_batch(20)
    assert caught.value.hint == "use --batch 16"
