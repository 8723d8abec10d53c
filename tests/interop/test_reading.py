"""What a file of weights is: layouts, sizes, what files beside say, and bad input."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from vitctl.data.config import EvalPreprocess
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.interop import exported, overrides, reading, safetensors, weight_files, writing
from vitctl.interop.described import described
from vitctl.interop.fitting import fitted
from vitctl.interop.layouts import LAYOUTS
from vitctl.model.config import ModelConfig

STORED = Path(__file__).parents[1] / "reference" / "libraries"


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    file = safetensors.open_file(STORED / "timm-avg" / "model.safetensors")
    return {name: file.read(name).astype(np.float32) for name in file.tensors}


def read(folder: Path, tensors: dict[str, np.ndarray], **said) -> reading.Model:
    safetensors.write(folder / "model.safetensors", tensors)
    weights = weight_files.open_weights(folder)
    return reading.read(weights, said=overrides.Said(**{"heads": 2, "pixels": "half"} | said))


@pytest.mark.parametrize(
    ("folder", "layout"),
    [
        ("timm-map", "timm"), ("hf-vit", "hf-vit"), ("hf-dinov2-registers", "hf-dinov2"),
        ("hf-siglip", "hf-siglip"), ("hf-dinov2-giant", "hf-dinov2"), ("hf-deit-teacher", "hf-vit"),
        ("hf-clip", "hf-clip"), ("open-clip", "open-clip"),
    ],
)  # fmt: skip
def test_layouts_are_told_apart(folder, layout):
    weights = weight_files.open_weights(STORED / folder)
    assert reading.read(weights, said=overrides.Said()).layout == layout
    assert reading.read(weights, said=overrides.Said(layout=layout)).layout == layout


@pytest.mark.parametrize(
    ("folder", "pool", "message"),
    [
        ("timm-avg", "avgmax", "pools its tokens by 'avgmax', which vitctl's models do not do"),
        ("timm-avg", "map", "pooled by 'map', and the weights are of head='gap'"),
        ("timm-map", "avg", "pooled by 'avg', and the weights are of head='map'"),
    ],
)
def test_pooling_that_is_not_of_these_weights_is_refused(tmp_path, folder, pool, message):
    shutil.copytree(STORED / folder, tmp_path, dirs_exist_ok=True)
    about = json.loads((tmp_path / "config.json").read_text())
    about["model_args"]["global_pool"] = pool
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=message):
        reading.read(weight_files.open_weights(tmp_path), said=overrides.Said())


def test_a_norm_after_the_class_token_is_no_mean(tmp_path, tensors):
    """timm builds that with fc_norm=True and global_pool='token'."""
    width = tensors["norm.weight"].size if "norm.weight" in tensors else 16
    renamed = {name: array for name, array in tensors.items() if not name.startswith("norm.")}
    renamed |= {f"fc_norm.{part}": np.ones(width, np.float32) for part in ("weight", "bias")}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "x", "global_pool": "token"}))
    config = read(tmp_path, renamed).config
    assert (config.head, config.norm_after_pool) == ("token", True)


def test_another_layout_than_the_names_have_is_refused():
    weights = weight_files.open_weights(STORED / "timm-map")
    with pytest.raises(InputError, match="not of the layout hf-vit"):
        reading.read(weights, said=overrides.Said(layout="hf-vit"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("embeds.pos_embed_y", r"of rows and of columns \(timm's NaFlexVit"),
        ("model.embeds.pos_embed_x", r"of rows and of columns"),
    ],
)
def test_models_unlike_ours_are_refused_for_what_they_are(tmp_path, tensors, name, message):
    tensors[name] = np.zeros((4, 4), np.float32)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, tensors)
    assert caught.value.hint.startswith("import ")


def test_naflex_of_transformers_is_siglip_with_a_matrix_over_patches(tmp_path):
    """SigLIP 2's NaFlex takes patches, flattened by rows, columns and colours, where SigLIP
    convolves; on its own grid the rest is the same."""
    file = safetensors.open_file(STORED / "hf-siglip" / "model.safetensors")
    tensors = {name: file.read(name).astype(np.float32) for name in file.tensors}
    expected = read(tmp_path, tensors)
    others = jax.tree.leaves(expected.load())
    (name,) = (name for name in tensors if name.endswith("patch_embedding.weight"))
    width, colours, patch, _ = tensors[name].shape
    matrix = np.zeros((width, patch * patch * colours), np.float32)
    for row in range(patch):
        for column in range(patch):
            for colour in range(colours):
                place = (row * patch + column) * colours + colour
                matrix[:, place] = tensors[name][:, colour, row, column]
    flexible = read(tmp_path, tensors | {name: matrix})
    assert flexible.config == expected.config
    assert flexible.grid == expected.grid == (3, 3)
    params = jax.tree.leaves(flexible.load())
    assert all(np.array_equal(a, b) for a, b in zip(params, others, strict=True))
    assert (flexible.described.squashed, flexible.described.crop_ratio) == (True, 1.0)
    assert any("any proportions (NaFlex)" in sentence for sentence in flexible.assumed)
    assert not any("NaFlex" in sentence for sentence in expected.assumed)


def naflex(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """timm's tensors under the names of its NaFlexVit, with a grid of position embeddings."""
    named = dict(tensors)
    patch = named.pop("patch_embed.proj.weight")
    named["embeds.proj.weight"] = patch.transpose(0, 2, 3, 1).reshape(len(patch), -1)
    named["embeds.proj.bias"] = named.pop("patch_embed.proj.bias")
    position = named.pop("pos_embed")
    cls = named.pop("cls_token")
    named["embeds.cls_token"] = cls + position[:, :1]
    named["embeds.pos_embed"] = position[:, 1:].reshape(1, 3, 3, -1)
    return named


def test_naflex_of_timm_is_a_vit_with_a_grid_of_positions(tmp_path, tensors):
    expected = read(tmp_path, tensors)
    others = jax.tree.leaves(expected.load())
    flexible = read(tmp_path, naflex(tensors))
    assert (flexible.layout, flexible.grid) == ("timm-naflex", (3, 3))
    assert flexible.config == expected.config
    params = jax.tree.leaves(flexible.load())
    assert all(np.array_equal(a, b) for a, b in zip(params, others, strict=True))
    assert any("any proportions (NaFlex)" in sentence for sentence in flexible.assumed)


def test_a_grid_of_positions_is_as_it_is_stored(tmp_path, tensors):
    tensors = naflex(tensors)
    position = tensors["embeds.pos_embed"]
    wide = np.concatenate([position, position], axis=2)
    assert read(tmp_path, tensors | {"embeds.pos_embed": wide}).grid == (3, 6)
    with pytest.raises(UsageError, match="are of 3x6 patches"):
        read(tmp_path, tensors | {"embeds.pos_embed": wide}, grid=(6, 3))
    with pytest.raises(InputError, match=r"not \[1, rows, columns, d\]"):
        read(tmp_path, tensors | {"embeds.pos_embed": position.reshape(1, 9, -1)})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"patchify_channels_last": False}, "takes the numbers of a patch colour by colour"),
        ({"pool_include_prefix": True}, "pools the tokens in front of the patches"),
        ({"rope_type": "axial"}, "by their position"),
        ({"num_heads": 2, "attn_pool_num_heads": 4}, "another number of heads"),
    ],
)
def test_what_leaves_no_trace_in_tensors_is_refused_by_its_argument(
    tmp_path, tensors, argument, message
):
    about = {"architecture": "naflexvit_base_patch16_gap", "model_args": argument}
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=message):
        read(tmp_path, naflex(tensors))
    usual = {"patchify_channels_last": True, "rope_type": "", "num_heads": 2}
    about["model_args"] = usual | {"attn_pool_num_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(about))
    assert read(tmp_path, naflex(tensors)).layout == "timm-naflex"


def test_a_matrix_over_patches_is_of_naflex_alone(tmp_path, tensors):
    tensors["patch_embed.proj.weight"] = np.zeros((16, 48), np.float32)
    with pytest.raises(InputError, match=r"is \[16, 48\], not \[d, 3, p, p\]"):
        read(tmp_path, tensors)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("vit_small_patch16_rope_ape_224.naver_in1k", "rotary embeddings"),
        ("vit_base_patch16_rope", "rotary embeddings"),
        ("eva02_small_patch14_224.mim_in22k", "rotary embeddings"),
        ("vit_small_patch16_dinov3.lvd1689m", "rotary embeddings"),
        ("vit_pe_core_base_patch16_224.fb", "rotary embeddings"),
        ("vit_base_patch16_rpn_224.sw_in1k", "residual post-norm"),
    ],
)
@pytest.mark.parametrize("beside", ["config.json", "open_clip_config.json"])
def test_architectures_that_only_their_names_tell_apart_are_refused(
    tmp_path, tensors, architecture, message, beside
):
    """Their tensors have the names and shapes of ours, and what they compute is another thing."""
    about = {
        "config.json": {"architecture": architecture},
        "open_clip_config.json": {"model_cfg": {"vision_cfg": {"timm_model_name": architecture}}},
    }
    (tmp_path / beside).write_text(json.dumps(about[beside]))
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, tensors)
    assert caught.value.hint.startswith("import ")


def of_file(folder: str) -> dict[str, np.ndarray]:
    file = safetensors.open_file(STORED / folder / "model.safetensors")
    return {name: file.read(name).astype(np.float32) for name in file.tensors}


def beside(folder: Path, **arguments) -> None:
    about = {"architecture": "vit_tiny", "model_args": arguments}
    (folder / "config.json").write_text(json.dumps(about))


def test_gates_are_known_by_shapes_and_their_activation_by_the_files(tmp_path):
    """The first matrix has the gates' rows and the others', the second takes half of them."""
    packed = of_file("timm-swiglu")
    model = read(tmp_path, packed)
    assert (model.config.mlp, model.config.mlp_dim) == ("swiglu", 16)
    assert any("which half" in sentence and "silu" in sentence for sentence in model.assumed)
    beside(tmp_path, act_layer="swish")
    assert not any("silu" in sentence for sentence in read(tmp_path, packed).assumed)
    beside(tmp_path, act_layer="gelu")
    with pytest.raises(InputError, match=r"gates with the activation 'gelu', .* silu \(SwiGLU\)"):
        read(tmp_path, packed)
    beside(tmp_path, act_layer="silu")
    with pytest.raises(UsageError, match="--gelu is of plain MLPs"):
        read(tmp_path, packed, gelu="exact")


def test_silu_without_gates_is_refused(tmp_path, tensors):
    beside(tmp_path, act_layer="silu")
    with pytest.raises(InputError, match="activation is 'silu'") as caught:
        read(tmp_path, tensors)
    assert "silu in MLPs with gates" in caught.value.hint


def test_an_architecture_of_timm_with_gates_says_their_activation(tmp_path):
    about = {"architecture": "vit_giant_patch14_reg4_dinov2.lvd142m"}
    (tmp_path / "config.json").write_text(json.dumps(about))
    model = read(tmp_path, of_file("timm-swiglu"))
    assert model.assumed == ()


def test_dinov2s_own_names_of_gates(tmp_path):
    """timm renames w12 and w3 of these files to fc1 and fc2 of SwiGLUPacked."""
    packed = of_file("timm-swiglu")
    own = {
        name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): array
        for name, array in packed.items()
    }
    np.testing.assert_equal(read(tmp_path, own).load(), read(tmp_path, packed).load())


def test_gates_and_a_map_head_are_refused(tmp_path):
    packed = of_file("timm-swiglu") | {"attn_pool.latent": np.ones((1, 1, 16), np.float32)}
    with pytest.raises(InputError, match=r"\(SwiGLU\) and a MAP head"):
        read(tmp_path, packed)


def test_a_distillation_token_that_no_classifier_reads_is_a_register(tmp_path):
    tensors = of_file("timm-distilled")
    model = read(tmp_path, tensors)
    assert (model.config.head, model.config.registers, model.config.prefix) == ("distilled", 0, 2)
    for part in ("weight", "bias"):
        del tensors[f"head_dist.{part}"]
    model = read(tmp_path, tensors)
    assert (model.config.head, model.config.registers, model.config.prefix) == ("token", 1, 2)
    assert any("it is a register" in note for note in model.notes)
    expected = tensors["dist_token"] + tensors["pos_embed"][:, 1:2]
    np.testing.assert_array_equal(model.load()["registers"], expected)


@pytest.mark.parametrize(
    ("folder", "library", "changes", "message"),
    [
        ("timm-swiglu", "huggingface", {"mlp_dim": 24}, "no model without layer_scale"),
        ("timm-swiglu", "huggingface", {"layer_scale": 1.0}, "two thirds of a multiple of"),
        ("timm-swiglu", "timm", {"head": "map"}, "no mlp=swiglu with a MAP head"),
        ("timm-distilled", "timm", {"registers": 1}, "no registers with a distillation token"),
        ("timm-distilled", "big_vision", {}, "no head=distilled"),
        ("timm-distilled", "huggingface", {"classes": 0}, "token without a classifier"),
    ],
)
def test_what_a_library_lacks_of_gates_and_distillation(folder, library, changes, message):
    read_model = reading.read(weight_files.open_weights(STORED / folder), said=overrides.Said())
    fields = read_model.config.model_dump() | {"layer_scale": None} | changes
    config = ModelConfig.model_validate(fields)
    model = exported.Exported(read_model.load(), config, ["a"] * config.classes, EvalPreprocess())
    with pytest.raises(UsageError, match=message):
        writing.files(model, to=library)


def test_a_text_tower_is_left_out_and_named():
    model = reading.read(weight_files.open_weights(STORED / "open-clip"), said=overrides.Said())
    assert model.matched == 32
    assert "text_projection" in model.left_out
    assert all(not name.startswith("visual.") for name in model.left_out)


def test_missing_and_unexpected_tensors_are_both_listed(tmp_path, tensors):
    tensors["blocks.0.mlp.fc9.bias"] = tensors.pop("blocks.0.mlp.fc1.bias")
    with pytest.raises(InputError, match=r"missing .*fc1.bias; not expected .*fc9.bias"):
        read(tmp_path, tensors)


def test_a_transposed_tensor_is_seen(tmp_path, tensors):
    name = "blocks.1.mlp.fc2.weight"
    tensors[name] = np.ascontiguousarray(tensors[name].T)
    with pytest.raises(InputError, match=r"fc2.weight: .*\[16, 32\], got \[32, 16\] \(transposed"):
        read(tmp_path, tensors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, tensors, value):
    tensors["fc_norm.weight"][3] = value
    with pytest.raises(InputError, match=r"fc_norm\.weight has 1 values that are not finite"):
        read(tmp_path, tensors).load()


def test_whole_numbers_are_no_weights(tmp_path, tensors):
    tensors["cls_token"] = np.ones((1, 1, 16), np.int64)
    with pytest.raises(InputError, match="cls_token is of int64"):
        read(tmp_path, tensors).load()


def test_heads_that_nothing_says_are_asked_for(tmp_path, tensors):
    with pytest.raises(UsageError, match="how many attention heads share the width 16") as caught:
        read(tmp_path, tensors, heads=None)
    assert "--heads" in caught.value.hint
    with pytest.raises(InputError, match="heads=3 does not divide"):
        read(tmp_path, tensors, heads=3)


def test_a_grid_of_no_square_is_asked_for(tmp_path, tensors):
    tensors["pos_embed"] = np.zeros((1, 1 + 14, 16), np.float32)
    with pytest.raises(UsageError, match="15 position embeddings are of no square"):
        read(tmp_path, tensors)
    assert read(tmp_path, tensors, grid=(2, 7)).grid == (2, 7)
    with pytest.raises(UsageError, match="--grid 3x7 has 21 patches"):
        read(tmp_path, tensors, grid=(3, 7))


def test_pixels_that_nothing_says_are_a_caution(tmp_path, tensors):
    model = read(tmp_path, tensors, pixels=None)
    assert model.config.pixel_mean == (0.5, 0.5, 0.5)
    (sentence,) = model.assumed
    assert "--pixels half|imagenet|clip" in sentence


def test_an_activation_that_the_family_lacks_is_refused(tmp_path):
    shutil.copytree(STORED / "hf-vit", tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    with pytest.raises(InputError, match="activation is 'relu'"):
        reading.read(weight_files.open_weights(tmp_path / "m"), said=overrides.Said())


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "vit", "pretrained_cfg": {"input_size": [3, "a", {}], "crop_pct": 1e-320}},
        {"architecture": "vit", "pretrained_cfg": {"mean": [10**400] * 3, "std": [1, 1, 1]}},
        {"architecture": "vit", "model_args": {"init_values": 10**400, "num_heads": "two"}},
        {"id2label": {"9" * 5000: "a", "x": "b"}, "image_size": [8, "8"], "layer_norm_eps": []},
        {"image_size": True, "hidden_act": 3},
    ],
)
def test_what_has_another_type_is_not_believed(config):
    images = {"resample": [], "size": 3, "crop_size": [], "do_center_crop": "yes"}
    configs = {"config.json": config, "preprocessor_config.json": images}
    about = described(configs, layout=LAYOUTS["timm"])
    assert (about.heads, about.image, about.pixels, about.epsilon) == (None, None, None, None)
    assert (about.layer_scale, about.crop_ratio, about.interpolation) == (None, None, None)


def test_a_zip_of_a_version_to_come_is_no_npz(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, a=np.zeros(3))
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    content[directory + 6] = 109  # the version that unpacking needs
    path.write_bytes(content)
    with pytest.raises(InputError, match="no readable"):
        reading.read(weight_files.open_weights(path), said=overrides.Said())


@pytest.mark.parametrize("text", ["{", "[1]", '{"num_attention_heads": "two", "image_size": []}'])
def test_files_beside_are_read_with_care(tmp_path, tensors, text):
    """What is no JSON is refused, what has other types is as if it were not there."""
    (tmp_path / "config.json").write_text(text)
    if text == "{":
        with pytest.raises(InputError, match=r"config\.json is damaged"):
            read(tmp_path, tensors)
    else:
        assert read(tmp_path, tensors).config.heads == 2


def test_pickles_are_refused_with_how_to_convert(tmp_path):
    for name, content in (
        ("pytorch_model.bin", b"PK\x03\x04 torch's zip"),
        ("model.safetensors", pickle.dumps({"a": 1})),
        ("weights.pth", b"anything"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="can run any code") as caught:
            weight_files.open_weights(tmp_path / name)
        assert "weights_only=True" in caught.value.hint
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"pytorch_model.bin is a pickle"):
        weight_files.open_weights(tmp_path)


def test_a_folder_without_weights_and_one_with_several_are_told_apart(tmp_path, tensors):
    with pytest.raises(NotFoundError, match="has no weights"):
        weight_files.open_weights(tmp_path)
    for name in ("a", "b"):
        safetensors.write(tmp_path / f"{name}.safetensors", tensors)
    with pytest.raises(InputError, match=r"has 2 files of weights: a\.safetensors, b\.safetensors"):
        weight_files.open_weights(tmp_path)
    with pytest.raises(NotFoundError, match="does not exist"):
        weight_files.open_weights(tmp_path / "c.safetensors")


def test_weights_in_several_files_are_one_model(tmp_path, tensors):
    names = sorted(tensors)
    parts = {"1.safetensors": names[::2], "2.safetensors": names[1::2]}
    for file, held in parts.items():
        safetensors.write(tmp_path / file, {name: tensors[name] for name in held})
    where = {name: file for file, held in parts.items() for name in held}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    weights = weight_files.open_weights(tmp_path)
    model = reading.read(weights, said=overrides.Said(heads=2, pixels="half"))
    assert model.matched == len(tensors)
    np.testing.assert_array_equal(model.load()["head"]["bias"], tensors["head.bias"])
    index.write_text(json.dumps({"weight_map": where | {"more": "1.safetensors"}}))
    with pytest.raises(InputError, match="disagree on the tensor more"):
        weight_files.open_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../1.safetensors"}}))
    with pytest.raises(InputError, match="outside of its folder"):
        weight_files.open_weights(tmp_path)


def test_positions_and_patches_of_another_size(tmp_path, tensors):
    """Images that are enlarged by whole pixels are seen as before by an enlarged patch embedding:
    bilinear resizing has a left inverse there."""
    model = read(tmp_path, tensors)
    config = ModelConfig(**model.config.model_dump() | {"patch": 8, "resolution": 40})
    params = fitted(model.load(), grid=model.grid, patch=4, config=config)
    assert params["position"].shape == (1, 25, 16)
    kernel = model.load()["embedding"]["kernel"]
    import jax

    patch = np.random.default_rng(0).normal(size=(4, 4, 3)).astype(np.float32)
    large = np.asarray(jax.image.resize(patch, (8, 8, 3), "bilinear"))
    before = np.einsum("ijc,ijcd->d", patch, kernel)
    after = np.einsum("ijc,ijcd->d", large, params["embedding"]["kernel"])
    np.testing.assert_allclose(after, before, atol=1e-4)
