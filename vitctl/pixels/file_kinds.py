"""What a file really is, from its first bytes, whatever its name says.

Folders of images hold pages of errors that were saved as photo.jpg, pointers of Git LFS, videos,
camera raws. A reject list that says so, and how to read such a file if there is a way, saves its
owner an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vitctl import extras

HEAD_BYTES = 4096
"""How much of a file's beginning tells its kind."""


Package = Literal["pillow_heif", "pillow with AVIF"]
"""What reads images of a kind where it is installed."""


@dataclass(frozen=True)
class FileKind:
    name: str
    """With its article: "a PDF"."""
    advice: str | None = None
    """How to read or repair it, if there is a way."""
    package: Package | None = None
    """Whose absence alone keeps it from being read."""


_DOWNLOAD = "download it again: a server's page was saved in its place"
_CONVERT = "convert it to JPEG or PNG"
_UNPACK = "unpack it and give its folder"
_FRAMES = "extract its frames as images"
_DEVELOP = "develop it to JPEG or PNG"

# Offset, bytes, kind. Sources: the formats' specifications, and the table of file(1).
_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", FileKind(
        "a pointer of Git LFS, not the image", "fetch the images: git lfs pull")),
    (0, b"\0\x05\x16\x07", FileKind("macOS metadata (AppleDouble)", "leave it out")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("an old Office file or a Thumbs.db")),
    (0, b"%PDF", FileKind("a PDF", "extract its pages or images, as with pdfimages")),
    (0, b"%!PS", FileKind("PostScript", _CONVERT)),
    (0, b"\xc5\xd0\xd3\xc6", FileKind("PostScript with a preview", _CONVERT)),
    (0, b"8BPS", FileKind("a Photoshop document", _CONVERT)),
    (0, b"8BPB", FileKind("a Photoshop document", _CONVERT)),
    (0, b"\xff\x0a", FileKind("a JPEG XL image", _CONVERT)),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", FileKind("a JPEG XL image", _CONVERT)),
    (0, b"II\xbc", FileKind("a JPEG XR image", _CONVERT)),
    (0, b"\0\0\1\0", FileKind("a Windows icon", _CONVERT)),
    (0, b"v/1\1", FileKind("an OpenEXR image (floating point)", _CONVERT)),
    (0, b"#?RADIANCE", FileKind("a Radiance HDR image (floating point)", _CONVERT)),
    (0, b"DDS ", FileKind("a DirectDraw texture", _CONVERT)),
    (0, b"P7\n", FileKind("a PAM image", _CONVERT)),
    (0, b"FUJIFILMCCD-RAW", FileKind("a camera raw (RAF)", _DEVELOP)),
    (0, b"IIRO", FileKind("a camera raw (ORF)", _DEVELOP)),
    (0, b"IIU\0", FileKind("a camera raw (RW2)", _DEVELOP)),
    (8, b"CR\2\0", FileKind("a camera raw (CR2)", _DEVELOP)),
    (4, b"ftypcrx ", FileKind("a camera raw (CR3)", _DEVELOP)),
    (128, b"DICM", FileKind("a DICOM file", _CONVERT)),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", "write its images as PNG")),
    (0, b"\x93NUMPY", FileKind("a NumPy array", "write its images as PNG")),
    (0, b"SQLite format 3", FileKind("an SQLite database")),
    (0, b"\x1f\x8b", FileKind("a gzip file", "unpack it: gunzip")),
    (0, b"BZh", FileKind("a bzip2 file", "unpack it: bunzip2")),
    (0, b"\xfd7zXZ\0", FileKind("an xz file", "unpack it: unxz")),
    (0, b"\x28\xb5\x2f\xfd", FileKind("a zstd file", "unpack it: unzstd")),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("a 7-Zip archive", _UNPACK)),
    (0, b"Rar!\x1a\7", FileKind("a RAR archive", _UNPACK)),
    (0, b"PK\3\4", FileKind("a ZIP archive or an Office file", _UNPACK)),
    (257, b"ustar", FileKind("a tar archive", _UNPACK)),
    (0, b"\x1a\x45\xdf\xa3", FileKind("a video (Matroska or WebM)", _FRAMES)),
    (0, b"FLV\1", FileKind("a video (FLV)", _FRAMES)),
    (0, b"\0\0\1\xba", FileKind("a video (MPEG)", _FRAMES)),
    (0, b"OggS", FileKind("audio or video (Ogg)")),
    (0, b"ID3", FileKind("audio (MP3)")),
    (0, b"\x7fELF", FileKind("a program")),
    (0, b"MZ", FileKind("a Windows program")),
)  # fmt: skip

_RIFF = {b"AVI ": FileKind("a video (AVI)", _FRAMES), b"WAVE": FileKind("audio (WAV)")}

# Brands of ISO base media files (ISO/IEC 14496-12; 23008-12 for images; AVIF 1.1).
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_AVIF_BRANDS = (b"avif", b"avis")
_IMAGE_BRANDS = (b"mif1", b"msf1", b"mif2")


def kind_of(head: bytes) -> FileKind | None:
    """The kind of a file that no image decoder here knows; None if its bytes say nothing."""
    if not head:
        return FileKind("an empty file", "copy or download it again")
    if not head.strip(b"\0"):
        return FileKind("nothing but zero bytes", "copy or download it again")
    if head[4:8] == b"ftyp" and head[8:12] != b"crx ":
        return _media_kind(head)
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    return _text_kind(head)


def is_heif(head: bytes) -> bool:
    """Whether an ISO media file says that it is an image, and not that it is one in AV1 alone."""
    kind = kind_of(head[:HEAD_BYTES])
    return kind is not None and kind.package == "pillow_heif"


def _brands(head: bytes) -> list[bytes]:
    """Major brand, then the compatible ones."""
    box_bytes = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[i : i + 4] for i in range(16, box_bytes - 3, 4))]


def _media_kind(head: bytes) -> FileKind:
    brands = _brands(head)
    if any(brand in _HEIC_BRANDS for brand in brands):
        return FileKind("a HEIC image", _heic(), "pillow_heif")
    if any(brand in _AVIF_BRANDS for brand in brands):
        return FileKind("an AVIF image", "pip install 'pillow>=11.3' reads it", "pillow with AVIF")
    if any(brand in _IMAGE_BRANDS for brand in brands):
        return FileKind("an image of the HEIF family", _heic(), "pillow_heif")
    return FileKind("a video (MP4 or QuickTime)", _FRAMES)


def _heic() -> str:
    return f"{extras.install('heic')} reads it"


def _text_kind(head: bytes) -> FileKind | None:
    """Files that people or servers write as text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            text = head[2:].decode(encoding, "replace")
            break
    else:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    head_text = text.lstrip()[:1024].lower()
    # What may come before the element that tells: comments, a declaration, a document type.
    head_text = re.sub(r"\A(?:\s*<(?:\?xml[^>]*\?|!--.*?--)>)+\s*", "", head_text, flags=re.DOTALL)
    if re.match(r"<(!doctype\s+)?svg\b", head_text):
        return FileKind("an SVG drawing", "render it to PNG")
    if re.match(r"<(!doctype\s+html|html|head|body)\b", head_text):
        return FileKind("an HTML page", _DOWNLOAD)
    if re.match(r"<(\?xml|\w+[\s>/])", head_text):
        return FileKind("an XML document", _DOWNLOAD)
    if re.match(r"data:image/", head_text):
        return FileKind("a data: URL", "decode its base64")
    if re.match(r"/9j/|ivborw0kggo", head_text):
        return FileKind("an image in base64", "decode it: base64 -d")
    if re.match(r'[{\[]\s*["{\[\]}0-9]', head_text):
        return FileKind("JSON", _DOWNLOAD)
    shown = "".join(c for c in text[:256] if not c.isspace())
    if shown and all(c.isprintable() and c != "\ufffd" for c in shown):
        return FileKind("text")
    return None
