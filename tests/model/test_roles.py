"""Tables by role: the first match wins, every parameter is covered, no rule is left over."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import jax
import pytest

from vitctl.interop import big_vision
from vitctl.model import vit
from vitctl.model.config import ModelConfig, Position, from_name
from vitctl.model.heads import Head
from vitctl.model.roles import STACKED, RoleTable
from vitctl.optim import decay, rates
from vitctl.optim.optimizer import names
from vitctl.sharding import rules

SOURCE = Path(vit.__file__).parents[1]


LATER = {"registers": 2, "stem_norm": True, "qk_norm": True, "layer_scale": 0.1, "mlp": "swiglu"}
"""Parts of other families: they add parameters to any of the models."""


def family(*, later: bool = True) -> set[str]:
    """Every parameter name of any model there is, or of those without later parts."""
    every: set[str] = set()
    for head, position, pre_logits in product(get_args(Head), get_args(Position), (None, 16)):
        config = from_name("test", classes=3, head=head, position=position, pre_logits=pre_logits)
        every |= set(names(jax.eval_shape(lambda c=config: vit.init(c, key=jax.random.key(0)))))
    if not later:
        return every
    config = ModelConfig(**from_name("test", classes=3).model_dump(), **LATER)
    return every | set(names(jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))))


FIRST = family(later=False)
STACKED_NAMES = {name for name in FIRST if name.startswith(f"{STACKED}/")}
TABLES = [
    (decay.GROUPS, family()),
    (rules.DIVIDED, family()),
    (rates.DEPTHS, family()),
    (big_vision._IN_BLOCKS, STACKED_NAMES),
    (big_vision._OUTSIDE, FIRST - STACKED_NAMES),
]


@pytest.mark.parametrize(("table", "parameters"), TABLES, ids=lambda x: getattr(x, "subject", ""))
def test_a_table_covers_the_family_and_has_no_rule_too_many(table, parameters):
    assert table.of(parameters).keys() == parameters
    assert table.unused(parameters) == []


def test_every_table_is_tested_here():
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    made = sum(text.count("= RoleTable(") for text in texts)
    assert made == len(TABLES), "a new table by role needs a row above"


def test_a_rule_behind_a_wider_one_is_unused():
    table = RoleTable("colour", ((r".*/kernel", "red"), (r"head/kernel", "blue")))
    assert table.of(["head/kernel"]) == {"head/kernel": "red"}
    assert table.unused(["head/kernel"]) == ["head/kernel"]


def test_a_stacked_parameter_plays_the_role_of_a_single_layer_s():
    table = RoleTable("colour", ((r"mlp/up/kernel", "red"),))
    assert set(table.of(["blocks/mlp/up/kernel", "mlp/up/kernel"]).values()) == {"red"}


def test_all_names_without_a_rule_are_listed():
    table = RoleTable("colour", ((r".*/kernel", "red"),))
    with pytest.raises(ValueError, match=r"^no colour rule covers blocks/gain, rotary$"):
        table.of(["head/kernel", "blocks/gain", "rotary"])
