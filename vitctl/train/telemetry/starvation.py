"""Whether the input starves the devices, and what would help, by measured times."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl import processes
from vitctl.text import quantities

# Below a tenth, a perfect input would gain less than a ninth.
_SHARE = 0.1
_WINDOW_S, _WINDOW_STEPS = 30.0, 20
# A stage of the input that is busy for so much of the time is what limits it.
_BUSY = 0.8
# From this share of an image's cost on, leaving augmentation out is worth a word.
_DEAR = 0.3
# From so many times the pixels that training sees on, smaller stored images decode faster.
_LARGE = 6.0


class Others:
    """How long the devices of other processes had no batch: all wait for the one that has it
    worst, so to the others its waiting looks like a long step."""

    def __init__(self) -> None:
        self._before = processes.starved_others()

    def worst(self) -> tuple[float, str | None]:
        """(seconds since the last call, process) of the one that waited longest; heard a beat late.
        None in a process alone."""
        now = processes.starved_others()
        since = {name: seconds - self._before.get(name, 0.0) for name, seconds in now.items()}
        self._before = now
        name = max(since, key=lambda each: since[each], default=None)
        return (0.0, None) if name is None else (max(0.0, since[name]), name)


class Watch:
    """Adds up waiting over windows; says once that it is too much."""

    def __init__(self) -> None:
        self._idle = self._passed = 0.0
        self._steps = 0
        self._said = False

    def add(self, *, idle_s: float, passed_s: float, steps: int) -> float | None:
        """The share of a whole window without a batch, where it is too large; once."""
        self._idle, self._passed = self._idle + idle_s, self._passed + passed_s
        self._steps += steps
        if self._said or self._passed < _WINDOW_S or self._steps < _WINDOW_STEPS:
            return None
        share = self._idle / self._passed
        self._idle = self._passed = 0.0
        self._steps = 0
        if share < _SHARE:
            return None
        self._said = True
        return share


@dataclass(frozen=True)
class Input:
    """What was measured of the input.

    Attributes:
      images_per_s: what the run gets.
      reading: share of the time in which records were being read.
      decode_s, augment_s: what an image costs one core: decoding, cropping and resizing; and what
        RandAugment adds.
      pixels: of a stored image, on average.
      jpegs_in_full: most are JPEGs, and they are decoded in full although only a crop of fewer
        pixels is seen.
      resolution: the side that training sees.
      workers, cores: threads that decode, and cores there are.
      shared: whether the devices compute on the same cores.
    """

    images_per_s: float
    reading: float
    decode_s: float
    augment_s: float
    pixels: float
    jpegs_in_full: bool
    resolution: int
    workers: int
    cores: int
    shared: bool

    @property
    def image_s(self) -> float:
        return self.decode_s + self.augment_s


def advice(feed: Input) -> list[str]:
    """What would help, most first; never empty."""
    can = min(feed.workers, feed.cores) / feed.image_s
    if feed.reading >= _BUSY:
        return [
            f"reading takes {quantities.percent(feed.reading)} of the time, decoding alone would "
            f"give {can:,.0f} images/s: copy the dataset to a faster, local disk"
        ]
    hints = []
    if feed.workers < feed.cores and not feed.shared:
        hints.append(f"--workers {feed.cores} ({feed.workers} now)")
    if feed.pixels >= _LARGE * feed.resolution**2:
        side = round(feed.pixels**0.5)
        hints.append(
            f"shard smaller copies: stored images have about {side} x {side} pixels, training "
            f"sees {feed.resolution} x {feed.resolution}"
        )
        if feed.jpegs_in_full:
            hints.append(
                "decode JPEGs at a smaller scale (--set data.augment.jpeg_oversampling=1 makes "
                "another run)"
            )
    if feed.augment_s >= _DEAR * feed.image_s:
        hints.append(
            f"leave RandAugment out (--set data.augment.randaugment=none makes another run): "
            f"{1000 * feed.augment_s:.1f} of {1000 * feed.image_s:.1f} ms an image"
        )
    if feed.shared:
        hints.append(
            f"steps and decoding share {feed.cores} cores: an accelerator, or more of them"
        )
    elif not hints:
        hints.append(
            f"more cores, or more hosts: an image takes {1000 * feed.image_s:.1f} ms of a core, "
            f"so {feed.cores} cores give at most {feed.cores / feed.image_s:,.0f} images/s"
        )
    return hints


def sentence(share: float, helps: list[str], *, of: str | None = None) -> str:
    """The one caution. `of` names another process than this one, where it is that one's input."""
    whose = "the input" if of is None else f"the input of {of}"
    return (
        f"{whose} starves the devices: {quantities.percent(share)} of the time they had no batch; "
        f"what would help: {'; '.join(helps)}"
    )


def elsewhere() -> list[str]:
    """What would help another host, which can't be measured from here."""
    return [
        "look at that host (vitctl doctor there): its disk, its cores, what else it runs; or give "
        "it a local copy of the data, --cache-dir"
    ]
