from __future__ import annotations

from typing import get_args

import jax
import pytest

from vitctl.model import vit
from vitctl.model.config import from_name
from vitctl.model.heads import Head
from vitctl.optim.config import Name, OptimConfig
from vitctl.optim.optimizer import make, names
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.sharding.optimizer import axes_of_state
from vitctl.sharding.rules import axes_of, is_axes
from vitctl.sharding.spec import MeshSpec

HEADS = [(head, pre_logits) for head in get_args(Head) for pre_logits in (None, 768)]


def shapes(name: str, head: str = "map", pre_logits: int | None = None):
    model = from_name(name, classes=1000, head=head, pre_logits=pre_logits)
    return jax.eval_shape(lambda: vit.init(model, key=jax.random.key(0)))


@pytest.fixture
def on() -> Layout:
    return layouts.make(MeshSpec(fsdp=8))


@pytest.mark.parametrize(("head", "pre_logits"), HEADS)
def test_every_parameter_is_covered_with_an_entry_an_axis(head, pre_logits):
    params = shapes("Ti16", head, pre_logits)
    placement = axes_of(names(params))
    for name, leaf in zip(names(params), jax.tree.leaves(params), strict=True):
        assert len(placement[name]) in (0, leaf.ndim), name
        if name.endswith("kernel"):
            assert "fsdp" in placement[name], "every kernel can be divided"


def test_a_parameter_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="no sharding rule covers blocks/gate/weight, rotary"):
        axes_of(["head/kernel", "blocks/gate/weight", "rotary"])


def test_fsdp_divides_all_but_little(on: Layout):
    """Of the bytes of ViT-G/14 less than a thousandth is whole on every device."""
    params = shapes("G14")
    whole = sum(
        leaf.size
        for leaf, sharding in zip(
            jax.tree.leaves(params), jax.tree.leaves(on.params(params)), strict=True
        )
        if sharding.is_fully_replicated
    )
    assert whole / sum(leaf.size for leaf in jax.tree.leaves(params)) < 1e-3


@pytest.mark.parametrize("optim", get_args(Name))
@pytest.mark.parametrize("name", ["Ti16", "G14"])
def test_optimizer_state_follows_its_parameters(optim: str, name: str):
    """An entry an axis, and all but a hundredth of it is divided as its parameter is."""
    params = shapes(name)
    config = OptimConfig(name=optim)
    opt = jax.eval_shape(make(config, params=params).init, params)
    by_name = {
        n: leaf.shape for n, leaf in zip(names(params), jax.tree.leaves(params), strict=True)
    }
    axes = axes_of(by_name)
    placement = axes_of_state(opt, axes=axes, shapes=by_name)
    paths = jax.tree_util.tree_flatten_with_path(opt)[0]
    flat = jax.tree.leaves(placement, is_leaf=is_axes)
    divided = 0
    for (path, leaf), own in zip(paths, flat, strict=True):
        assert len(own) in (0, leaf.ndim), path
        divided += leaf.size if "fsdp" in own or "tensor" in own else 0
    assert divided / sum(leaf.size for _, leaf in paths) > 0.99


def test_factored_statistics_lose_the_axis_they_are_summed_over():
    params = shapes("Ti16")
    by_name = {
        n: leaf.shape for n, leaf in zip(names(params), jax.tree.leaves(params), strict=True)
    }
    opt = jax.eval_shape(make(OptimConfig(), params=params).init, params)
    placement = axes_of_state(opt, axes=axes_of(by_name), shapes=by_name)
    factored, moments = placement.layers[0], placement.layers[1].moment
    # [l, d=192, f=768]: rows are summed over f, columns over d.
    assert factored.v_row["mlp"]["up"]["kernel"] == (None, "fsdp")
    assert factored.v_col["mlp"]["up"]["kernel"] == (None, "tensor")
    assert moments["mlp"]["up"]["kernel"] == (None, "fsdp", "tensor")
    # [l, f, d]
    assert factored.v_row["mlp"]["down"]["kernel"] == (None, "fsdp")
    assert factored.v_col["mlp"]["down"]["kernel"] == (None, "tensor")
    # [l, d=192, h=3, k=64]: the two largest are d and k.
    assert factored.v_row["attention"]["query"]["kernel"] == (None, "tensor", None)
    assert factored.v_col["attention"]["query"]["kernel"] == (None, "fsdp", "tensor")


def test_state_that_is_like_no_parameter_is_refused():
    params = shapes("Ti16")
    by_name = {
        n: leaf.shape for n, leaf in zip(names(params), jax.tree.leaves(params), strict=True)
    }
    opt = jax.eval_shape(make(OptimConfig(), params=params).init, params)
    strange = opt._replace(rest={"head": {"kernel": jax.ShapeDtypeStruct((7, 7), "float32")}})
    with pytest.raises(ValueError, match="no sharding is known for"):
        axes_of_state(strange, axes=axes_of(by_name), shapes=by_name)
