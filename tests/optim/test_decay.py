from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import jax
import pytest

from vitctl.model import vit
from vitctl.model.config import from_name
from vitctl.model.heads import Head
from vitctl.model.roles import RoleTable
from vitctl.optim import decay
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import decay_table, make


@pytest.mark.parametrize("head", get_args(Head))
def test_weight_decay_is_as_reviewed(head: str, golden: Callable[[str, list[str]], None]) -> None:
    pre_logits = 1408 if head == "token" else None
    config = from_name("g/14", classes=1000, head=head, pre_logits=pre_logits)
    shapes = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    table = decay_table(shapes, config=OptimConfig())
    golden(f"decay_{head}.txt", [f"{name:40} {value:g}" for name, value in table.items()])


def test_the_first_matching_rule_wins() -> None:
    names = ["head/kernel", "map_head/attention/out/kernel", "head/bias", "map_head/probe"]
    assert decay.GROUPS.of(names) == dict(zip(names, ["head", "body", "none", "none"], strict=True))
    without_first = RoleTable("weight decay", decay.GROUPS.rules[1:])
    assert without_first.of(names[:1]) == {"head/kernel": "body"}


def test_a_parameter_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no weight decay rule covers blocks/gain, extra"):
        decay.GROUPS.of(["head/kernel", "blocks/gain", "extra"])
    shapes = {"blocks": {"gain": jax.ShapeDtypeStruct((2, 3), "float32")}}
    with pytest.raises(ValueError, match="blocks/gain"):
        make(OptimConfig(), params=shapes)
