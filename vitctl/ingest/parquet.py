"""Parquet with images in it, as Hugging Face datasets stores them; `pip install 'vitctl[parquet]'`.

A column holds encoded images: bytes, or a struct of `bytes` and `path`. Another holds labels:
numbers of classes, whose names are in the metadata of the file (the features of `datasets`), names,
or lists of either. Row groups are decoded from front to back, a few rows at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vitctl import strict_json
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError, UsageError, one_line
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.sources import Access, Bytes, Listing
from vitctl.ingest.table import in_parts, read_table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Of a hundred kilobytes each, images of a batch are a few megabytes.
_ROWS = 32
_MOST_METADATA = 2**26
_USUAL_LABELS = ("label", "labels", "class", "fine_label")


def is_parquet(head: bytes, path: bytes = b"") -> bool:
    return head.startswith(b"PAR1")


@dataclass(frozen=True)
class Columns:
    """Which columns are which.

    Attributes:
      image: a column of bytes, or of structs with a field `bytes`.
      label: None if the file has none.
      names: of the classes, by number; None if the labels are names or bare numbers.
    """

    image: str
    label: str | None
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class Parquets:
    """Images of Parquet files; `Entry.offset` is the number of a row."""

    parts: tuple[Part, ...]
    image: str
    access: Access = "in order"

    @contextmanager
    def reader(self) -> Iterator[_ParquetReader]:
        with ExitStack() as files:
            yield _ParquetReader(self.parts, self.image, files)


@dataclass
class _ParquetReader:
    parts: tuple[Part, ...]
    image: str
    files: ExitStack
    part: int | None = None
    row: int = -1
    images: Iterator[bytes | None] = field(default_factory=lambda: iter(()))

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        import io

        part = self.parts[entry.part]
        if entry.part != self.part:
            self.files.close()
            part.check_unchanged()
            file = self.files.enter_context(_opened(part.path))
            self.images = (image for image, _ in _rows(file, Columns(self.image, None, None)))
            self.part, self.row = entry.part, -1
        try:
            for image in self.images:
                self.row += 1
                if self.row == entry.offset:
                    yield io.BytesIO(image or b"")
                    return
        except DamagedError:
            pass
        raise InputError(f"{part.shown} has no row {entry.offset:,} any longer")


def list_parquets(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
) -> Listing:
    """The images of Parquet files, `given` by the user as one word."""
    shown = text_of(os.fsencode(given))
    parts = tuple(Part.of(path) for path in paths)
    builder, numbers = EntriesBuilder(), {}
    skipped: Counter[str] = Counter()
    cautions: list[str] = []
    columns: Columns | None = None
    for number, part in enumerate(parts):
        with _opened(part.path) as file:
            own = _columns(
                file.schema_arrow,
                part.shown,
                image=choices.image_column,
                label=choices.label_column,
            )
            if columns is not None and own != columns:
                raise InputError(
                    f"{parts[0].shown} and {part.shown} have other columns or other classes",
                    hint="give files of one dataset",
                )
            columns = own
            wanted = own if choices.takes_labels else replace(own, label=None)
            if wanted.names is not None:
                numbers = {name: i for i, name in enumerate(wanted.names)}
            try:
                for row, (image, values) in enumerate(_rows(file, wanted)):
                    if not image:
                        skipped["rows without the bytes of an image"] += 1
                        continue
                    if values is None and wanted.label is not None:
                        skipped["rows without a label, or with -1"] += 1
                        continue
                    names = (_class_name(value, wanted, part, row) for value in values or ())
                    builder.add(
                        f"{row:08d}".encode(),
                        size=len(image),
                        mtime_ns=part.mtime_ns,
                        labels=dict.fromkeys(
                            numbers.setdefault(name, len(numbers)) for name in names
                        ),
                        part=number,
                        offset=row,
                    )
            except DamagedError as error:
                cautions.append(
                    f"{part.shown} is damaged at row {error.at:,} ({error.reason}); what lies "
                    "before is taken"
                )
    assert columns is not None
    if columns.label is None and choices.takes_labels:
        raise InputError(
            f"{shown} has no column of labels",
            hint="give labels with --labels FILE, or shard without any: --unlabelled",
        )
    files, splits = in_parts(builder.build(), paths, layout=choices.layout, shown=shown)
    of_labels = "" if columns.label is None else f" and labels of {columns.label}"
    many = "a Parquet file" if len(parts) == 1 else f"{len(parts):,} Parquet files"
    listing = Listing(
        shown,
        Parquets(parts, columns.image),
        files,
        list(numbers),
        skipped=skipped,
        reading=f"{shown} is read as {many} with images in {columns.image}{of_labels}, {splits}",
        parts=parts,
        cautions=tuple(cautions),
    )
    return read_table(listing, choices)


@contextmanager
def _opened(path: bytes) -> Iterator[pq.ParquetFile]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise NotFoundError(
            "Parquet is read by pyarrow, which is not installed",
            hint="pip install 'vitctl[parquet]'",
        ) from None
    try:
        file = pq.ParquetFile(
            os.fsdecode(path),
            buffer_size=2**20,
            pre_buffer=False,
            thrift_string_size_limit=_MOST_METADATA,
            thrift_container_size_limit=2**20,
        )
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise InputError(
            f"{text_of(path)} is no whole Parquet file ({one_line(error)})",
            hint="its directory is at its end; copy or download it again",
        ) from None
    with file:
        yield file


def _rows(file: pq.ParquetFile, columns: Columns) -> Iterator[tuple[bytes | None, Any]]:
    """(bytes of the image, list of labels or None) of each row. Raises `DamagedError`."""
    import pyarrow as pa

    wanted = [columns.image] if columns.label is None else [columns.image, columns.label]
    row = 0
    try:
        for batch in file.iter_batches(batch_size=_ROWS, columns=wanted, use_threads=False):
            images = batch.column(batch.schema.get_field_index(columns.image))
            if pa.types.is_struct(images.type):
                images = images.field("bytes")
            labels = None
            if columns.label is not None:
                labels = batch.column(batch.schema.get_field_index(columns.label))
            for i in range(len(images)):
                yield images[i].as_py(), None if labels is None else _labels(labels[i].as_py())
                row += 1
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise DamagedError(row, one_line(error)) from None


def _labels(value: Any) -> list[Any] | None:
    """Labels as a list; None where there is none, or -1, by which test splits hide theirs."""
    if value is None or value == -1:
        return None
    return value if isinstance(value, list) else [value]


def _class_name(value: Any, columns: Columns, part: Part, row: int) -> str:
    if isinstance(value, str):
        return text_of(value.encode("utf-8", "surrogatepass"))
    if columns.names is None:
        return str(value)
    if not 0 <= value < len(columns.names):
        raise InputError(
            f"row {row:,} of {part.shown} has the label {value}, and there are "
            f"{len(columns.names)} classes"
        )
    return columns.names[value]


def _columns(schema: pa.Schema, shown: str, *, image: str | None, label: str | None) -> Columns:
    """Which columns are which, by the features in the metadata, else by types and usual names."""
    features = _features(schema)
    images = [
        name
        for name in schema.names
        if _is_image(features.get(name)) or _holds_bytes(schema.field(name).type)
    ]
    chosen_image = _one(images, image, of=schema.names, what="image", shown=shown)
    if chosen_image is None:
        raise InputError(
            f"{shown} has no column of encoded images (its columns: {_listed(schema.names)})",
            hint="images are bytes, or structs with a field `bytes`, of files such as JPEG or PNG",
        )
    if not _holds_bytes(schema.field(chosen_image).type):
        raise InputError(f"the column {chosen_image} of {shown} holds no bytes of images")
    labels = [name for name in schema.names if _class_label(features.get(name)) is not None]
    if not labels:
        labels = [
            name
            for name in schema.names
            if name in _USUAL_LABELS and _holds_labels(schema.field(name).type)
        ]
    chosen_label = _one(labels, label, of=schema.names, what="label", shown=shown)
    if chosen_label is not None and not _holds_labels(schema.field(chosen_label).type):
        raise InputError(f"the column {chosen_label} of {shown} holds no numbers or names")
    names = _class_label(features.get(chosen_label or ""))
    return Columns(chosen_image, chosen_label, names)


def _one(
    names: Sequence[str], chosen: str | None, *, of: Sequence[str], what: str, shown: str
) -> str | None:
    if chosen is not None:
        if chosen not in of:
            raise UsageError(
                f"--{what}-column: {shown} has no column {chosen}",
                hint=f"its columns: {_listed(of)}",
            )
        return chosen
    if len(names) > 1:
        raise InputError(
            f"{shown} has {len(names)} columns of {what}s: {_listed(names)}",
            hint=f"choose one: --{what}-column {names[0]}",
        )
    return names[0] if names else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The features that `datasets` wrote into the metadata; none if they are not as it writes."""
    text = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        features = strict_json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _is_image(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "Image"


def _class_label(feature: Any) -> tuple[str, ...] | None:
    """The names of a feature's classes, also of one that is a list of them."""
    for _ in range(2):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        if not isinstance(feature, dict):
            return None
        if feature.get("_type") == "ClassLabel":
            names = feature.get("names")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                return None
            if len(set(names)) < len(names):
                return None
            return tuple(text_of(name.encode("utf-8", "surrogatepass")) for name in names)
        feature = feature.get("feature")
    return None


def _holds_bytes(type_: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        position = type_.get_field_index("bytes")
        return position >= 0 and _holds_bytes(type_.field(position).type)
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _holds_labels(type_: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        type_ = type_.value_type
    return bool(
        pa.types.is_integer(type_) or pa.types.is_string(type_) or pa.types.is_large_string(type_)
    )
