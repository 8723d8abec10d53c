"""The training step of timm on PyTorch, by orders: see `tests.bench.steps_worker`. Run with a
Python that has tests/bench/steps-requirements.txt.

The same models: patches, learned positions, no class token, pooling by attention. PyTorch's fused
attention, as timm uses it by default.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import timm
import timm.optim
import torch

sys.path.insert(0, str(Path(__file__).parent))
from steps_worker import rate_of, serve  # type: ignore[import-not-found]

_NAMES = {
    "Ti16": "vit_tiny_patch16_224",
    "S16": "vit_small_patch16_224",
    "B16": "vit_base_patch16_224",
    "L16": "vit_large_patch16_224",
    "g14": "vit_giant_patch14_224",
    "G14": "vit_gigantic_patch14_224",
}
_OPTIMIZERS = {"adam": "adamw", "adafactor": "adafactorbv", "sgd": "momentum"}


class TimmStep:
    """Forward, backward and update, on images that do not change."""

    def __init__(
        self,
        *,
        model: str,
        batch: int,
        precision: str,
        remat: str,
        optimizer: str,
        compile_loss: bool = False,
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        net = timm.create_model(
            _NAMES[model], global_pool="map", class_token=False, num_classes=1000
        )
        net.set_grad_checkpointing(remat == "full")
        net.to(self._device).train()
        self.parameters = sum(p.numel() for p in net.parameters())
        self._optimizer = timm.optim.create_optimizer_v2(
            net, opt=_OPTIMIZERS[optimizer], lr=1e-3, weight_decay=0.03
        )
        self._half = precision == "bfloat16"
        images = torch.rand(batch, 3, 224, 224, device=self._device) * 2 - 1
        labels = torch.randint(0, 1000, (batch,), device=self._device)

        def loss() -> Any:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
                logits = net(images)
            return torch.nn.functional.cross_entropy(logits.float(), labels)

        self._loss = torch.compile(loss) if compile_loss else loss

    def steps(self, count: int) -> None:
        for _ in range(count):
            self._optimizer.zero_grad(set_to_none=True)
            self._loss().backward()
            self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def peak_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else None

    def matmul_flops_per_s(self, seconds: float) -> float:
        cuda = self._device.type == "cuda"
        side = 8192 if cuda else 1024
        dtype = torch.bfloat16 if self._half else torch.float32
        x = torch.ones(side, side, dtype=dtype, device=self._device)

        def product() -> None:
            torch.matmul(x, x)
            if cuda:
                torch.cuda.synchronize()

        return rate_of(product, 2 * side**3, seconds=seconds)

    def kinds(self) -> dict[str, float]:
        return {}


def device() -> dict[str, Any]:
    """What it runs on, and by what."""
    cuda = torch.cuda.is_available()
    return {
        "platform": "gpu" if cuda else "cpu",
        "kind": torch.cuda.get_device_name() if cuda else "cpu",
        "bytes": torch.cuda.mem_get_info()[1] if cuda else None,
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
    }


if __name__ == "__main__":
    serve(
        TimmStep,
        device=device,
        is_too_large=lambda error: isinstance(error, torch.cuda.OutOfMemoryError),
    )
