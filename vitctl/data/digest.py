"""The rolling digest of the samples a run has consumed.

digest_0 = sha256 of nothing; digest_{t+1} = sha256(digest_t, t, keys of global batch t). A
checkpoint stores the state; a resume recomputes the steps since the last anchor from the order and
the dataset's key index, and refuses to go on when they differ: another seed, another batch size, a
changed dataset. Anchors keep that cheap: at most `ANCHOR_STEPS` batches of arithmetic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError

ANCHOR_STEPS = 256
_EMPTY = hashlib.sha256().hexdigest()
_DIGEST = re.compile("[0-9a-f]{64}")

KeysOfStep = Callable[[int], NDArray[np.uint64]]


@dataclass(frozen=True)
class ConsumedSamples:
    """What has been consumed after `step` batches. `to_json` goes into the checkpoint."""

    step: int = 0
    digest: str = _EMPTY
    anchor_step: int = 0
    anchor_digest: str = _EMPTY

    def anchored(self) -> ConsumedSamples:
        """The same where another order goes on: what came before is not recomputed from it."""
        return ConsumedSamples(self.step, self.digest, self.step, self.digest)

    def advance(self, keys: NDArray[np.uint64]) -> ConsumedSamples:
        """The state after one more global batch, whose sample keys are `keys`, uint64[b]."""
        digest = _chain(self.digest, self.step, keys)
        # The anchor stays strictly below `step`, so there is always at least one batch to check.
        if self.step % ANCHOR_STEPS == 0:
            return ConsumedSamples(self.step + 1, digest, self.step, self.digest)
        return ConsumedSamples(self.step + 1, digest, self.anchor_step, self.anchor_digest)

    def check(self, keys_of_step: KeysOfStep) -> None:
        """Recompute the batches since the last anchor.

        `keys_of_step(t)` gives the keys of global batch t, uint64[b], in order. Raises
        `InputError` when they are not the ones this run consumed.
        """
        digest = self.anchor_digest
        for step in range(self.anchor_step, self.step):
            digest = _chain(digest, step, keys_of_step(step))
        if digest != self.digest:
            raise InputError(
                f"the samples of steps {self.anchor_step} to {self.step} are not the ones this "
                "checkpoint was trained on",
                hint="resume with the dataset, seed and batch size the run began with",
            )

    def to_json(self) -> dict[str, int | str]:
        return asdict(self)

    @staticmethod
    def from_json(state: dict[str, int | str]) -> ConsumedSamples:
        """Raises `InputError` when a field is missing or can't be what was recorded."""
        try:
            fields = ConsumedSamples(**state)  # type: ignore[arg-type]
        except TypeError:
            raise InputError("the checkpoint's record of consumed samples is damaged") from None
        steps = fields.step, fields.anchor_step
        digests = fields.digest, fields.anchor_digest
        if not (
            all(type(step) is int for step in steps)
            and 0 <= fields.anchor_step <= fields.step
            and all(isinstance(text, str) and _DIGEST.fullmatch(text) for text in digests)
        ):
            raise InputError("the checkpoint's record of consumed samples is damaged")
        return fields


def _chain(digest: str, step: int, keys: NDArray[np.uint64]) -> str:
    block = hashlib.sha256(bytes.fromhex(digest))
    block.update(step.to_bytes(8, "little"))
    block.update(np.ascontiguousarray(keys, "<u8").tobytes())
    return block.hexdigest()
