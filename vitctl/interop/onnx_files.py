"""A model as an ONNX graph, which onnxruntime and its kin run on CPUs, GPUs and phones.

    images fp32[b, 3, side, side] of [-1, 1]  ->  logits fp32[b, y] (if it has a classifier)
                                                  features fp32[b, e]

The weights lie beside the graph (ONNX's external data), as a protocol buffer has a limit of 2 GiB.
Operators: https://onnx.ai/onnx/operators/, opset 20, the first with GELU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from vitctl import extras
from vitctl.errors import UsageError
from vitctl.interop import matching
from vitctl.model import posemb
from vitctl.model.config import HALF, Gelu, ModelConfig

GRAPH = "model.onnx"
WEIGHTS = "model.onnx.data"

_OPSET, _IR = 20, 10
_FLOAT = 1
"""TensorProto.FLOAT"""
_ALIGNED = 4096
"""Where tensors begin, as runtimes map the file into memory."""

Params = dict[str, Any]


def library() -> tuple[Any, Any]:
    """The packages onnx and onnxruntime. Raises UsageError where they are not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise UsageError(
            "exporting to ONNX needs the packages onnx and onnxruntime",
            hint=f"install them: {extras.install('onnx')}",
        ) from None
    return onnx, onnxruntime


def files(
    params: matching.Params, *, config: ModelConfig, classes: Sequence[str]
) -> dict[str, bytes]:
    """The graph, for any number of images, and its weights. Raises UsageError without the
    packages."""
    onnx, _ = library()
    graph = _Graph(onnx)
    outputs = _model(graph, params, config=config)
    side = config.resolution
    images = onnx.helper.make_tensor_value_info("images", _FLOAT, ["b", 3, side, side])
    widths = {"logits": config.classes, "features": config.features}
    answers = [
        onnx.helper.make_tensor_value_info(name, _FLOAT, ["b", widths[name]]) for name in outputs
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "vit", [images], answers, graph.initializers),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="vitctl",
    )
    onnx.helper.set_model_props(model, {"classes": json.dumps(list(classes), ensure_ascii=False)})
    return {GRAPH: model.SerializeToString(deterministic=True), WEIGHTS: bytes(graph.content)}


def run_again(
    folder: Path, images: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(logits, features) by onnxruntime of the files in `folder`, for images [b, i, j, 3] of
    [-1, 1]."""
    _, onnxruntime = library()
    session = onnxruntime.InferenceSession(str(folder / GRAPH), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    outputs = dict(zip(names, session.run(names, {"images": channels_first}), strict=True))
    empty = np.zeros((len(images), 0), np.float32)
    return outputs.get("logits", empty), outputs["features"]


class _Graph:
    """Nodes and weights as they are added; a name of an output is what adds to the graph."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.content = bytearray()

    def weight(self, name: str, array: Any) -> str:
        """Weights, kept in the file beside the graph."""
        values = np.ascontiguousarray(array, np.float32)
        self.content += bytes(-len(self.content) % _ALIGNED)
        tensor = self.onnx.TensorProto(
            name=name,
            data_type=_FLOAT,
            dims=values.shape,
            data_location=self.onnx.TensorProto.EXTERNAL,
        )
        place = {"location": WEIGHTS, "offset": len(self.content), "length": values.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self.content += values.astype("<f4").tobytes()
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, values: Any) -> str:
        """A few numbers, kept in the graph: int64, or fp32 where they are no whole numbers."""
        array = np.asarray(values)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        made = self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(made)
        return name

    def reshaped(self, x: str, shape: Sequence[int], name: str) -> str:
        """0 keeps an axis."""
        return self.node("Reshape", [x, self.constant(f"{name}/shape", list(shape))], name)

    def transposed(self, x: str, axes: Sequence[int], name: str) -> str:
        return self.node("Transpose", [x], name, perm=list(axes))


def _model(graph: _Graph, params: Params, *, config: ModelConfig) -> list[str]:
    """Names of the outputs; see `vitctl.model.vit` for what is computed."""
    x = _embedded(graph, params, config=config)
    if config.stem_norm:
        x = _norm(graph, x, params["stem_norm"], "stem_norm", config=config)
    for layer in range(config.depth):
        block = _at_layer(params["blocks"], layer)
        x = _block(graph, x, block, f"blocks/{layer}", config=config)
    after = config.norm_after_pool
    if not after:
        x = _norm(graph, x, params["norm"], "norm", config=config)
    x = _pooled(graph, x, params, config=config)
    if after:
        x = _norm(graph, x, params["norm"], "norm", config=config)
    if config.pre_logits is not None:
        x = _dense(graph, x, params["pre_logits"], "pre_logits", contracted=1)
        match config.projection:
            case "tanh":
                x = graph.node("Tanh", [x], "pre_logits/tanh")
            case "linear":
                pass
            case _:
                assert_never(config.projection)
    graph.node("Identity", [x], "features")
    if not config.classes:
        return ["features"]
    graph.node("Identity", [_dense(graph, x, params["head"], "head", contracted=1)], "logits")
    return ["logits", "features"]


def _at_layer(stacked: Any, layer: int) -> Any:
    if isinstance(stacked, dict):
        return {name: _at_layer(part, layer) for name, part in stacked.items()}
    return stacked[layer]


def _embedded(graph: _Graph, params: Params, *, config: ModelConfig) -> str:
    """Patches with their positions, behind [class] token and registers: [b n d]."""
    x = "images"
    if not config.pixel_mean == config.pixel_std == HALF:
        mean, std = np.array(config.pixel_mean), np.array(config.pixel_std)
        factor, shift = (0.5 / std).reshape(1, 3, 1, 1), ((0.5 - mean) / std).reshape(1, 3, 1, 1)
        x = graph.node("Mul", [x, graph.constant("pixels/factor", factor)], "pixels/scaled")
        x = graph.node("Add", [x, graph.constant("pixels/shift", shift)], "pixels")
    kernel = np.asarray(params["embedding"]["kernel"])
    inputs = [x, graph.weight("embedding/kernel", kernel.transpose(3, 2, 0, 1))]
    if "bias" in params["embedding"]:
        inputs.append(graph.weight("embedding/bias", params["embedding"]["bias"]))
    # Pixels that fill no patch are dropped, as there is no padding.
    x = graph.node("Conv", inputs, "embedding", strides=[config.patch] * 2)
    x = graph.reshaped(x, (0, config.width, config.tokens), "embedding/flat")
    x = graph.transposed(x, (0, 2, 1), "embedding/tokens")
    fixed = posemb.fixed(config)
    position = params["position"] if fixed is None else fixed
    x = graph.node("Add", [x, graph.weight("position", position)], "positioned")
    prefix = [np.asarray(params[name])[0] for name in ("cls", "registers") if name in params]
    if not prefix:
        return x
    tokens = np.concatenate(prefix)
    count = graph.node("Shape", ["images"], "count", start=0, end=1)
    rest = graph.constant("prefix/rest", tokens.shape)
    shape = graph.node("Concat", [count, rest], "prefix/shape", axis=0)
    repeated = graph.node("Expand", [graph.weight("prefix/tokens", tokens), shape], "prefix")
    return graph.node("Concat", [repeated, x], "with_prefix", axis=1)


def _pooled(graph: _Graph, x: str, params: Params, *, config: ModelConfig) -> str:
    """One vector of all tokens: the poolings of the head, side by side."""
    vectors = []
    for pooling in config.poolings:
        root = "" if len(config.poolings) == 1 else f"{pooling}/"
        match pooling:
            case "class_token":
                first = graph.constant(f"{root}pool/first", 0)
                vector = graph.node("Gather", [x, first], f"{root}pool", axis=1)
            case "distillation_token":
                second = graph.constant(f"{root}pool/second", 1)
                vector = graph.node("Gather", [x, second], f"{root}pool", axis=1)
            case "mean":
                patches = _patches(graph, x, root, config=config)
                axes = graph.constant(f"{root}pool/axes", [1])
                vector = graph.node("ReduceMean", [patches, axes], f"{root}pool", keepdims=0)
            case "probe":
                patches = _patches(graph, x, root, config=config)
                vector = _map_head(graph, patches, params["map_head"], config=config)
            case _:
                assert_never(pooling)
        vectors.append(vector)
    return vectors[0] if len(vectors) == 1 else graph.node("Concat", vectors, "pooled", axis=1)


def _patches(graph: _Graph, x: str, root: str, *, config: ModelConfig) -> str:
    """The tokens of patches alone."""
    if not config.prefix:
        return x
    bounds = (("start", config.prefix), ("end", config.sequence), ("axis", 1))
    limits = [graph.constant(f"{root}patches/{word}", [value]) for word, value in bounds]
    return graph.node("Slice", [x, *limits], f"{root}patches")


def _map_head(graph: _Graph, x: str, head: Params, *, config: ModelConfig) -> str:
    name = "map_head"
    probe = graph.weight(f"{name}/probe", head["probe"])
    y = _attention(graph, probe, x, head["attention"], f"{name}/attention", config=config)
    z = _norm(graph, y, head["norm"], f"{name}/norm", config=config)
    z = _mlp(graph, z, head["mlp"], f"{name}/mlp", gelu=config.gelu)
    y = graph.node("Add", [y, z], f"{name}/added")
    return graph.reshaped(y, (-1, config.width), name)


def _block(graph: _Graph, x: str, block: Params, name: str, *, config: ModelConfig) -> str:
    y = _norm(graph, x, block["attention_norm"], f"{name}/attention_norm", config=config)
    y = _attention(graph, y, y, block["attention"], f"{name}/attention", config=config)
    y = _scaled(graph, y, block, "attention_scale", name)
    x = graph.node("Add", [x, y], f"{name}/attended")
    y = _norm(graph, x, block["mlp_norm"], f"{name}/mlp_norm", config=config)
    y = _mlp(graph, y, block["mlp"], f"{name}/mlp", gelu=config.gelu)
    return graph.node("Add", [x, _scaled(graph, y, block, "mlp_scale", name)], name)


def _scaled(graph: _Graph, x: str, block: Params, scale: str, name: str) -> str:
    if scale not in block:
        return x
    weight = graph.weight(f"{name}/{scale}/scale", block[scale]["scale"])
    return graph.node("Mul", [x, weight], f"{name}/{scale}")


def _attention(
    graph: _Graph, x: str, y: str, attention: Params, name: str, *, config: ModelConfig
) -> str:
    """`x` [b or 1, n, d] asks, `y` [b, m, d] answers: [b, n, d]."""
    heads, k = config.heads, config.head_dim

    def split(tokens: str, part: str, axes: Sequence[int]) -> str:
        own = f"{name}/{part}"
        z = _dense(graph, tokens, attention[part], own, contracted=1)
        z = graph.reshaped(z, (0, 0, heads, k), f"{own}/heads")
        if f"{part}_norm" in attention:
            z = _norm(graph, z, attention[f"{part}_norm"], f"{own}_norm", config=config)
        return graph.transposed(z, axes, f"{own}/transposed")

    q, v = split(x, "query", (0, 2, 1, 3)), split(y, "value", (0, 2, 1, 3))
    root = graph.constant(f"{name}/root", np.float32(math.sqrt(k)))
    q = graph.node("Div", [q, root], f"{name}/query/scaled")
    z = graph.node("MatMul", [q, split(y, "key", (0, 2, 3, 1))], f"{name}/scores")
    z = graph.node("Softmax", [z], f"{name}/weights", axis=-1)
    z = graph.node("MatMul", [z, v], f"{name}/mix")
    z = graph.transposed(z, (0, 2, 1, 3), f"{name}/mix/transposed")
    z = graph.reshaped(z, (0, 0, heads * k), f"{name}/mix/flat")
    return _dense(graph, z, attention["out"], f"{name}/out", contracted=2)


def _mlp(graph: _Graph, x: str, mlp: Params, name: str, *, gelu: Gelu) -> str:
    hidden = _dense(graph, x, mlp["up"], f"{name}/up", contracted=1)
    if "gate" in mlp:
        gate = _dense(graph, x, mlp["gate"], f"{name}/gate", contracted=1)
        opened = graph.node("Sigmoid", [gate], f"{name}/gate/sigmoid")
        silu = graph.node("Mul", [gate, opened], f"{name}/gate/silu")
        hidden = graph.node("Mul", [silu, hidden], f"{name}/gated")
    else:
        hidden = _gelu(graph, hidden, f"{name}/gelu", gelu)
    return _dense(graph, hidden, mlp["down"], f"{name}/down", contracted=1)


def _gelu(graph: _Graph, x: str, name: str, gelu: Gelu) -> str:
    match gelu:
        case "tanh":
            return graph.node("Gelu", [x], name, approximate="tanh")
        case "exact":
            return graph.node("Gelu", [x], name, approximate="none")
        case "quick":
            factor = graph.constant(f"{name}/factor", np.float32(1.702))
            z = graph.node("Mul", [x, factor], f"{name}/steeper")
            return graph.node("Mul", [x, graph.node("Sigmoid", [z], f"{name}/sigmoid")], name)
        case _:
            assert_never(gelu)


def _dense(graph: _Graph, x: str, dense: Params, name: str, *, contracted: int) -> str:
    """The last axis times a kernel whose first `contracted` axes are its inputs, plus a bias."""
    kernel = np.asarray(dense["kernel"])
    inputs = math.prod(kernel.shape[:contracted])
    weight = graph.weight(f"{name}/kernel", kernel.reshape(inputs, -1))
    if "bias" not in dense:
        return graph.node("MatMul", [x, weight], name)
    x = graph.node("MatMul", [x, weight], f"{name}/product")
    bias = np.asarray(dense["bias"]).reshape(-1)
    return graph.node("Add", [x, graph.weight(f"{name}/bias", bias)], name)


def _norm(graph: _Graph, x: str, norm: Params, name: str, *, config: ModelConfig) -> str:
    inputs = [x, *(graph.weight(f"{name}/{part}", norm[part]) for part in ("scale", "bias"))]
    return graph.node("LayerNormalization", inputs, name, axis=-1, epsilon=config.norm_epsilon)
