from __future__ import annotations

import pytest

from vitctl.errors import UsageError
from vitctl.model import variants

# name, width, depth, mlp, heads, patch: Table 2 of the paper, typed from the paper.
TABLE_2 = """
s/28 256 6 1024 8 28
s/16 256 6 1024 8 16
S/32 384 12 1536 6 32
Ti/16 192 12 768 3 16
B/32 768 12 3072 12 32
S/16 384 12 1536 6 16
B/28 768 12 3072 12 28
B/16 768 12 3072 12 16
L/16 1024 24 4096 16 16
g/14 1408 40 6144 16 14
G/14 1664 48 8192 16 14
"""


@pytest.mark.parametrize("row", TABLE_2.split("\n")[1:-1])
def test_sizes_are_those_of_the_paper(row: str) -> None:
    name, *numbers = row.split()
    named = variants.parse(name)
    size = named.variant
    assert [size.width, size.depth, size.mlp_dim, size.heads, named.patch] == list(
        map(int, numbers)
    )
    assert named.name == name
    assert name in variants.PAPER_NAMES


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("g14", "g/14"),
        ("g/14", "g/14"),
        ("ViT-g/14", "g/14"),
        ("ViT-G-14", "G/14"),
        ("vit_s28", "s/28"),
        (" S16 ", "S/16"),
        ("Ti/4", "Ti/4"),
        ("g-opt14", "g-opt/14"),
        ("ViT-G-opt/14", "G-opt/14"),
        ("So400m14", "So400m/14"),
        ("test", "test/8"),
        ("test4", "test/4"),
        ("vit_tiny_patch16_224", "Ti/16"),
        ("vit_small_patch32", "S/32"),
        ("vit_base_patch16_384", "B/16"),
        ("vit_large_patch16_224", "L/16"),
        ("vit_huge_patch14_224", "H/14"),
        ("vit_giant_patch14_224", "g/14"),
        ("vit_gigantic_patch14_224", "G/14"),
        ("vit_so400m_patch14_224", "So400m/14"),
        ("ViT_Small_Patch16_224", "S/16"),
        ("google/vit-base-patch16-224", "B/16"),
        ("vit-large-patch32-384", "L/32"),
    ],
)
def test_spellings(spelling: str, canonical: str) -> None:
    assert variants.parse(spelling).name == canonical


def test_timm_names_carry_their_resolution() -> None:
    assert variants.parse("vit_base_patch16_384").resolution == 384
    assert variants.parse("B/16").resolution is None


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("b16", "B/16"),
        ("ti/16", "Ti/16"),
        ("l14", "L/14"),
        ("GG14", "G/14"),
        ("so400m/14", "So400m/14"),
        ("ViT-X/16", "S/16"),
        ("resnet50", "/"),
        ("", "/"),
        ("B/-16", "B/16"),
        ("B16 extra", "B/16"),
    ],
)
def test_unknown_names_name_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError, match="unknown model") as caught:
        variants.parse(wrong)
    assert nearest in (caught.value.hint or "")
    suggested = (caught.value.hint or "").removeprefix("did you mean ").rstrip("?")
    for name in suggested.replace(" or ", ", ").split(", "):
        assert variants.parse(name).name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        # Another architecture in timm: a norm more.
        ("vit_giant_patch14_clip_224", "g/14 with --res 224? vitctl import takes weights"),
        ("ViT-L-14-336", "L/14 with --res 336?"),
        ("ViT-SO400M-14-SigLIP-384", "So400m/14 with --res 384? vitctl import takes weights"),
        ("timm/vit_small_patch16_224", "S/16 with --res 224? vitctl import takes weights"),
        ("facebook/deit-tiny-patch16-224", "Ti/16 with --res 224? vitctl import takes weights"),
        ("facebook/dinov2-base", "B/32, B/28 or B/16? vitctl import takes weights"),
        ("dinov2_vits14", "S/14 or s/14? vitctl import takes weights"),
        ("dino_vitb8", "B/8? vitctl import takes weights"),
        ("vit_b_16", "B/16?"),
        ("vit-tiny", "Ti/16?"),
        ("large", "L/16?"),
    ],
)
def test_names_of_other_libraries_are_offered_as_sizes(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="unknown model") as caught:
        variants.parse(name)
    assert caught.value.hint == f"did you mean {hint}"


@pytest.mark.parametrize(
    ("name", "sizes"), [("vits16", ("s/16", "S/16")), ("vitg14", ("g/14", "G/14"))]
)
def test_a_name_without_case_is_not_one_of_two_sizes(name: str, sizes: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="differ by case") as caught:
        variants.parse(name)
    assert caught.value.hint == f"write {sizes[0]} or {sizes[1]}"
    for size in sizes:
        assert f"{size} (width {variants.parse(size).variant.width}, " in caught.value.message


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("vit_small_patch16_224.augreg_in21k", "vit_small_patch16_224"),
        ("google/vit-base-patch16-224-in21k", "google/vit-base-patch16-224"),
    ],
)
def test_names_of_weights_are_not_taken_for_sizes(name: str, plain: str) -> None:
    with pytest.raises(UsageError, match="names weights, and a model is only a size") as caught:
        variants.parse(name)
    assert caught.value.hint == f"for a model of that size, from scratch: {plain}"


@pytest.mark.parametrize(
    ("name", "changes", "shown"),
    [
        ("S/16", {}, "S/16"),
        ("vit_small_patch16_224", {}, "S/16"),
        ("S/16", {"width": 96, "depth": 3, "patch": 8}, "custom (width 96, depth 3, patch 8)"),
        ("S/16", {"patch": 8}, "custom (width 384, depth 12, patch 8)"),
        ("S/16", {"mlp_dim": 1000}, "custom (S/16, MLP 1000)"),
        ("S/16", {"heads": 12, "mlp_dim": 1000}, "custom (S/16, MLP 1000, heads 12)"),
        ("birds", {"width": 96}, "birds"),
    ],
)
def test_a_shape_is_called_what_it_is(name: str, changes: dict[str, int], shown: str) -> None:
    shape = {"width": 384, "depth": 12, "mlp_dim": 1536, "heads": 6, "patch": 16} | changes
    assert variants.label(name, **shape) == shown


def test_a_size_needs_a_patch() -> None:
    with pytest.raises(UsageError, match="no patch size") as caught:
        variants.parse("B")
    assert "B/16" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="at least 1 pixel"):
        variants.parse("B/0")


@pytest.mark.parametrize("name", ["s/16", "S/16", "g14", "G14", "g-opt/14", "G-opt/14"])
def test_names_that_differ_by_case_are_announced_with_both_sizes(name: str) -> None:
    sentence = variants.case_twin(name)
    assert sentence is not None
    mine = variants.parse(name)
    twin = variants.parse(mine.name.swapcase() if len(name) < 5 else _swap_first(mine.name))
    for named in (mine, twin):
        size = f"{named.name} (width {named.variant.width}, depth {named.variant.depth})"
        assert size in sentence


def _swap_first(name: str) -> str:
    return name[0].swapcase() + name[1:]


@pytest.mark.parametrize("name", ["B/16", "Ti/16", "L/16", "e/14", "test"])
def test_other_names_need_no_announcement(name: str) -> None:
    assert variants.case_twin(name) is None
