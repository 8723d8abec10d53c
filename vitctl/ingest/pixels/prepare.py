"""The bytes of a file -> the bytes to store, checked by the decoder that training uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vitctl.data.kernels import NotDecodedError, decoded_size, jpeg_size_by_an_eighth
from vitctl.ingest.pixels import decoder_warnings
from vitctl.ingest.pixels.policy import AS_IT_IS, Treatment
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.pixels.treatment import Treated, treat
from vitctl.pixels.convert import convert_to_png, other_readers_reason, training_reason
from vitctl.pixels.header import BadImageError, Header, read_header
from vitctl.pixels.png_damage import check_png

# Of a JPEG that is checked at an eighth of its size: fewer than the 2^29 that TensorFlow refuses,
# over the four samples that a pixel may have.
_MOST_PIXELS_BY_AN_EIGHTH = 2**27


@dataclass(frozen=True)
class Prepared:
    """An image fit for a dataset."""

    image: bytes
    converted: str | None = None
    """Why it became a PNG; None if these are the bytes of the file."""
    differs: str | None = None
    """Why other readers of the dataset see other pixels or channels than training does; only
    where the bytes were kept on request."""
    treatments: tuple[Treatment, ...] = ()
    """What a policy did to it."""


def prepare(data: bytes, *, storage: ImageStorage) -> Prepared:
    """What to store of an encoded image.

    Raises `BadImageError` with the reason if no decoder here can use it.
    """
    policy = storage.policy
    header = read_header(data, max_pixels=storage.max_pixels)
    treated = Treated(None) if policy == AS_IT_IS else treat(data, header, policy)
    if treated.image is not None:
        if treated.own_bytes_do and _trouble(data, header) is None:
            done = tuple(name for name in treated.done if name != "encoded")
            return Prepared(data, treatments=done)
        _decoded_size(treated.image)
        return Prepared(treated.image, treatments=treated.done)
    prepared = _prepared(data, header, keep_bytes=storage.keep_bytes)
    return replace(prepared, treatments=treated.done)


def _prepared(data: bytes, header: Header, *, keep_bytes: bool) -> Prepared:
    """Without a policy, or where it has nothing to do."""
    differs = other_readers_reason(header)
    reason = training_reason(header) or (None if keep_bytes else differs)
    if reason is None:
        reason = _trouble(data, header)
    if reason is None:
        return Prepared(data, differs=differs)
    image = convert_to_png(data, header)
    _decoded_size(image)
    return Prepared(image, converted=reason)


def _trouble(data: bytes, header: Header) -> str | None:
    """Why TensorFlow can't decode all of an image whose header promised that it can."""
    size = _size_by_an_eighth(data, header)
    try:
        size = size or _decoded_size(data)
    except BadImageError:
        check_png(data, header)  # the other decoder doesn't look
        return f"{header.format} that TensorFlow can't decode"
    if size != (header.height, header.width):
        return f"{header.format} that TensorFlow decodes in part"
    return None


def _size_by_an_eighth(data: bytes, header: Header) -> tuple[int, int] | None:
    """(height, width) of a JPEG without any fault, in half of the time; None of any other, which
    is decoded in full: its reason and the decoder's warnings are then those of training."""
    if header.format != "JPEG" or header.width * header.height >= _MOST_PIXELS_BY_AN_EIGHTH:
        return None
    try:
        size = jpeg_size_by_an_eighth(data)
    except NotDecodedError:
        size = None
    warned = bool(decoder_warnings.drain())
    return None if warned else size


def _decoded_size(data: bytes) -> tuple[int, int]:
    """(height, width) as the training decoder sees the image."""
    try:
        return decoded_size(data)
    except NotDecodedError as error:
        raise BadImageError(f"it can't be decoded ({error})") from None
