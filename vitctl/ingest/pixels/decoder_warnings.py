"""What the decoders' C libraries write to stderr, caught in a worker and counted by image.

libjpeg and libpng warn of whole images (a colour profile that is known to be wrong) and of damaged
ones (a JPEG whose data break off into grey). Nobody can tell from a line on stderr which file it is
about, and training repeats it every epoch; here it is known which image is being decoded.
"""

from __future__ import annotations

import os
import tempfile

from vitctl import native_log

_MOST_BYTES = 2**16
"""Read of what is said about one image."""
_STDERR = 2

_caught: int | None = None
"""The file that takes the place of stderr in this process."""


def catch() -> None:
    """From now on nothing of this process reaches its stderr. Before TensorFlow is imported."""
    global _caught
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"  # warnings, too
    if hasattr(os, "memfd_create"):
        _caught = os.memfd_create("stderr")
    else:
        with tempfile.TemporaryFile() as file:
            _caught = os.dup(file.fileno())
    os.dup2(_caught, _STDERR)


def drain() -> set[str]:
    """The kinds of warnings since the last call, numbers in them as N; none if nothing is
    caught."""
    if _caught is None:
        return set()
    # One file behind two descriptors, so its position is where the libraries are.
    end = os.lseek(_caught, 0, os.SEEK_CUR)
    if not end:
        return set()
    text = os.pread(_caught, min(end, _MOST_BYTES), 0).decode("utf-8", "replace")
    os.lseek(_caught, 0, os.SEEK_SET)
    os.ftruncate(_caught, 0)
    return {kind for line in text.splitlines() if (kind := native_log.kind(line))}
