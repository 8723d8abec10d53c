from __future__ import annotations

import json

import pytest

from tests.artifacts.making import made, recipe
from vitctl.artifacts import Parent
from vitctl.artifacts.ancestry import ancestors, inherited
from vitctl.errors import InputError, NotFoundError

SOURCE = Parent(role="source", kind="source", id="5" * 64, digest="5" * 64, path="photos")


@pytest.fixture
def family(store):
    """photos/ -> dataset -> trunk -> cooled, which names the dataset only through the trunk."""
    photos = made(store, recipe(parents=(SOURCE,)))
    trunk = made(store, recipe("pretrain", "checkpoint", parents=(photos.as_parent("data"),)))
    cooled = made(store, recipe("cooldown", "checkpoint", parents=(trunk.as_parent("from"),)))
    return photos, trunk, cooled


def test_the_tree_reaches_the_source(store, family):
    photos, trunk, cooled = family
    (from_trunk,) = ancestors(cooled, store=store)
    assert (from_trunk.parent.role, from_trunk.artifact) == ("from", trunk)
    (data,) = from_trunk.ancestors
    assert data.artifact == photos
    (source,) = data.ancestors
    assert (source.parent, source.artifact, source.problem) == (SOURCE, None, None)


def test_data_is_inherited_through_the_trunk(store, family):
    photos, trunk, cooled = family
    assert inherited(cooled, "data", store=store) == photos
    assert inherited(trunk, "data", store=store) == photos
    with pytest.raises(NotFoundError, match="records no teacher"):
        inherited(cooled, "teacher", store=store)


def test_gone_and_changed_inputs_are_marked(store, family):
    photos, _, cooled = family
    (photos.path / "artifact.json").unlink()
    data = ancestors(cooled, store=store)[0].ancestors[0]
    assert (data.artifact, data.problem) == (None, "not in this store any more")
    with pytest.raises(NotFoundError, match="is gone") as error:
        inherited(cooled, "data", store=store)
    assert str(photos.path) in error.value.message
    made(store, recipe(parents=(SOURCE,)), content=b"other", force=True)
    data = ancestors(cooled, store=store)[0].ancestors[0]
    assert "is not what it was" in data.problem
    with pytest.raises(InputError):
        inherited(cooled, "data", store=store)


def test_a_forged_circle_ends(store, family):
    """A manifest that was made to name its own descendant gives another id than it states, so it is
    not the artifact that is looked for."""
    photos, _, cooled = family
    file = photos.path / "artifact.json"
    content = json.loads(file.read_text())
    content["parents"] = [cooled.as_parent("from").model_dump()]
    file.write_text(json.dumps(content))
    deepest = ancestors(cooled, store=store)
    while deepest[0].ancestors:
        deepest = deepest[0].ancestors
    assert "not in this store" in deepest[0].problem
    with pytest.raises(NotFoundError, match="records no teacher"):
        inherited(cooled, "teacher", store=store)
