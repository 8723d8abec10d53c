"""Which example comes when: arithmetic, not a shuffle buffer.

Position p of epoch e is a pseudo-random permutation of the n examples under (seed, n, e); batch t
is the positions [tB, (t+1)B) of the endless sequence of epochs. So any number of hosts or workers
sees the same global batches, resuming takes one integer, and any batch can be replayed.

The permutation is a balanced Feistel network over the smallest even number of bits that holds n,
with cycle walking: values that land outside [0, n) are enciphered again until they land inside,
which keeps it a bijection on [0, n). (Black and Rogaway, "Ciphers with arbitrary finite domains",
CT-RSA 2002, method 3.) The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014). None of it depends on a library's
random stream, so the order never changes with a version of numpy.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitctl.errors import InputError, UsageError
from vitctl.text.quoting import quoted

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

# Rounds: four make a Feistel network hard to tell from random for an observer of a few values
# (Luby and Rackoff 1988); eight leave room for the tiny halves used here.
_ROUNDS = 8
# Below 6 bits the halves are too small to mix; walking from 64 values down to n costs little.
_MIN_BITS = 6

# Draws computed at once: beyond, a call's fixed cost is a hundredth of the whole.
_AHEAD = 4096

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# One tag per purpose, so that no two purposes ever hash the same message.
_TAG_ORDER = 1
_TAG_AUGMENT = 2
_TAG_STREAM = 6


class Window(NamedTuple):
    """A stretch of the order that training skipped: `batches` batches, from those that the
    update after `step` finished ones would have taken."""

    step: int
    batches: int


class BatchIndices(NamedTuple):
    """Which examples make a batch."""

    epochs: I64
    """int64[b], the epoch each example is drawn in."""
    indices: I64
    """int64[b], positions in the split, 0 to examples - 1."""


class Order(Protocol):
    """An endless order of the examples of a split: which one each draw takes, as arithmetic."""

    @property
    def examples(self) -> int:
        """Examples in the split; so many draws are called an epoch where lengths are counted."""

    def at(self, draws: I64, *, seed: int) -> BatchIndices:
        """What the draws take, int64[b] numbers from 0: a function of (seed, draw) alone."""

    def restricted(self, rows: NDArray[Any]) -> Order:
        """The order of those examples alone, at ascending int[m] `rows`, which are numbered anew
        from 0."""


@dataclass(frozen=True)
class Shuffled:
    """Each epoch is a permutation of its own of all examples."""

    examples: int

    def at(self, draws: I64, *, seed: int) -> BatchIndices:
        epochs, within = np.divmod(draws, self.examples)
        return BatchIndices(
            epochs, permute(within, examples=self.examples, seed=seed, epochs=epochs)
        )

    def restricted(self, rows: NDArray[Any]) -> Shuffled:
        return Shuffled(len(rows))


def mix64(x: U64) -> U64:
    """Bijective hash of each 64-bit word (SplitMix64's finaliser), any shape."""
    with np.errstate(over="ignore"):
        x = x ^ (x >> np.uint64(30))
        x = x * np.uint64(0xBF58476D1CE4E5B9)
        x = x ^ (x >> np.uint64(27))
        x = x * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def hash64(seed: int, *integers: ArrayLike, tag: int) -> U64:
    """Hash of (tag, seed, integers...) into 64 bits, broadcasting over the integers.

    Raises `UsageError` for a seed outside [0, 2^64).
    """
    if not 0 <= seed < 2**64:
        raise UsageError(f"a seed lies between 0 and 2^64 - 1, got {seed}")
    with np.errstate(over="ignore"):
        state = mix64(np.asarray(np.uint64(tag) * _GOLDEN + np.uint64(0x632BE59BD9B4E019)))
        state = mix64(state + np.uint64(seed) + _GOLDEN)
        for integer in integers:
            state = mix64(state + np.asarray(integer).astype(np.uint64) + _GOLDEN)
    return state


def permute(positions: ArrayLike, *, examples: int, seed: int, epochs: ArrayLike) -> I64:
    """Where each position of its epoch points to: int64 like `positions`, a bijection per epoch.

    `positions` in [0, examples); `epochs` broadcasts against it.
    """
    if examples < 1:
        raise ValueError(f"examples must be at least 1, got {examples}")
    positions, epochs = np.broadcast_arrays(
        np.asarray(positions, np.int64), np.asarray(epochs, np.int64)
    )
    if positions.size and not (positions.min() >= 0 and positions.max() < examples):
        raise ValueError(f"positions must lie in [0, {examples})")

    half_bits = np.uint64(max(_MIN_BITS, (examples - 1).bit_length() + 1) // 2)
    values = positions.astype(np.uint64).ravel()
    # With the count in it, a dataset that grew by one image is in another order altogether.
    keys = hash64(seed, examples, epochs.ravel(), tag=_TAG_ORDER)
    outside = np.ones(values.shape, bool)
    while outside.any():
        values[outside] = _feistel(values[outside], keys[outside], half_bits)
        outside = values >= np.uint64(examples)
    return values.astype(np.int64).reshape(positions.shape)


def permute_each(positions: I64, *, examples: I64, streams: I64, seed: int, epochs: I64) -> I64:
    """`permute` with a size for each position, int64[b] all: `streams` tells permutations of
    one size apart."""
    values = positions.astype(np.uint64)
    keys = hash64(seed, streams, examples, epochs, tag=_TAG_STREAM)
    # The exponent of a float is the bit length of an integer below 2^53.
    bit_lengths = np.frexp((examples - 1).astype(np.float64))[1]
    half_bits = (np.maximum(_MIN_BITS, bit_lengths + 1) // 2).astype(np.uint64)
    limits = examples.astype(np.uint64)
    outside = np.ones(values.shape, bool)
    while outside.any():
        values[outside] = _feistel(values[outside], keys[outside], half_bits[outside])
        outside = values >= limits
    return values.astype(np.int64)


def _feistel(values: U64, keys: U64, half_bits: np.uint64 | U64) -> U64:
    """Encipher `values` of 2 * half_bits bits, each under its own key."""
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = values >> half_bits, values & mask
    with np.errstate(over="ignore"):
        for round_ in range(_ROUNDS):
            round_key = keys + np.uint64(round_) * _GOLDEN
            left, right = right, left ^ (mix64(mix64(round_key) + right) & mask)
    return (left << half_bits) | right


def windows_from_json(value: Any) -> tuple[Window, ...]:
    """[[step, batches], ...] as a checkpoint records them. InputError if it is anything else."""
    try:
        windows = tuple(Window(*map(operator.index, pair)) for pair in value)
    except TypeError:
        raise InputError(f"{quoted(value)} tells no windows of batches") from None
    if any(window.step < 0 or window.batches < 1 for window in windows):
        raise InputError(f"{quoted(value)} tells no windows of batches")
    return windows


def batch_of_step(step: int, *, passed: Iterable[Window] = (), first_step: int = 0) -> int:
    """Which batch of the order, from 0, the update after `step` finished ones trains on.

    The only place that knows: feeding, the digest of what was consumed and the replay of a batch
    all ask here. Without windows passed over it is `step` itself, counted from `first_step`, the
    step that the order begins at.
    """
    return step - first_step + sum(window.batches for window in passed if window.step <= step)


def batch_indices(order: Order, *, seed: int, batch: int, step: int) -> BatchIndices:
    """The examples of global batch `step` of an order (from 0; see `batch_of_step`): int64[batch]
    epochs and indices.

    A batch may cross from one epoch into the next, or through several when it is larger than the
    dataset: nothing is ever dropped or padded.
    """
    return order.at(np.arange(step * batch, (step + 1) * batch, dtype=np.int64), seed=seed)


def batches_of_order(
    order: Order, numbers: Iterable[int], *, seed: int, batch: int
) -> Iterator[tuple[int, BatchIndices]]:
    """Each of the `numbers` with `batch_indices` of that global batch, computed for some ahead.

    What the arithmetic costs whatever the size of its arrays, 3 ms a call, is so shared by up to
    `_AHEAD` draws: 184 us an image fell to 5 at batch 16.
    """
    numbers = iter(numbers)
    count = 1  # the first batch does not wait for others
    while some := list(itertools.islice(numbers, count)):
        draws = np.array(some, np.int64)[:, None] * batch + np.arange(batch, dtype=np.int64)
        epochs, indices = (part.reshape(draws.shape) for part in order.at(draws.ravel(), seed=seed))
        yield from (
            (n, BatchIndices(*pair)) for n, *pair in zip(some, epochs, indices, strict=True)
        )
        count = min(2 * count, max(1, _AHEAD // batch))


def sample_key(sample_id: str) -> int:
    """The 64-bit name of an example: the first eight bytes of sha256(id), little-endian."""
    return int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[:8], "little")


def augment_seeds(*, seed: int, epochs: ArrayLike, keys: U64) -> NDArray[np.int32]:
    """int32[b, 2] seeds for TensorFlow's stateless ops.

    A function of (seed, epoch, sample key) alone: the batch size, the order and the number of
    workers do not enter, so an example is augmented the same way wherever it is read.
    """
    bits = hash64(seed, epochs, keys, tag=_TAG_AUGMENT)
    return np.ascontiguousarray(bits).view(np.int32).reshape(*bits.shape, 2)
