"""Columns of images and labels in Arrow's terms, as Hugging Face `datasets` stores them: which
column is which, by the features in the metadata of a file, else by types and usual names.

A column holds encoded images: bytes, or a struct of `bytes` and `path`. Another holds labels:
numbers of classes, whose names are in the metadata, names, or lists of either.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vitctl import extras
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.listing import Listing, Source
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.table import in_parts, read_table
from vitctl.text import strict_json
from vitctl.text.quoting import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_USUAL_LABELS = ("label", "labels", "class", "fine_label")


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


class ImageRow(NamedTuple):
    """An image of a table and its labels."""

    size: int
    """Of the encoded image; 0 if there is none."""
    offset: int
    """What finds it in its file again."""
    labels: list[Any] | None


class TableFile(Protocol):
    """An open file of columns."""

    @property
    def schema(self) -> pa.Schema: ...

    def rows(self, columns: Columns) -> Iterator[ImageRow]:
        """Its rows from front to back. Raises `DamagedError`."""
        ...


def list_tables(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
    *,
    opened: Callable[[bytes], AbstractContextManager[TableFile]],
    source_of: Callable[[tuple[Part, ...], str], Source],
    kind: str,
    kinds: str,
    features: Mapping[str, Any] | None = None,
) -> Listing:
    """The images of files of columns, `given` by the user as one word.

    Args:
      opened: opens one.
      source_of: their images, by their parts and the column of images.
      kind, kinds: what to call one of them and several, as in "a Parquet file", "Parquet files".
      features: of the columns, where the files themselves don't say.
    """
    shown = text_of(os.fsencode(given))
    parts = tuple(Part.of(path) for path in paths)
    builder, numbers = EntriesBuilder(), {}
    skipped: Counter[str] = Counter()
    cautions: list[str] = []
    columns: Columns | None = None
    for number, part in enumerate(parts):
        with opened(part.path) as file:
            own = columns_of(
                file.schema,
                part.shown,
                image=choices.image_column,
                label=choices.label_column,
                features=features or {},
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
                for place, row in enumerate(file.rows(wanted)):
                    if not row.size:
                        skipped["rows without the bytes of an image"] += 1
                        continue
                    if row.labels is None and wanted.label is not None:
                        skipped["rows without a label, or with -1"] += 1
                        continue
                    names = (_class_name(v, wanted, part, place) for v in row.labels or ())
                    builder.add(
                        f"{place:08d}".encode(),
                        size=row.size,
                        mtime_ns=part.mtime_ns,
                        labels=dict.fromkeys(
                            numbers.setdefault(name, len(numbers)) for name in names
                        ),
                        part=number,
                        offset=row.offset,
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
    many = kind if len(parts) == 1 else f"{len(parts):,} {kinds}"
    listing = Listing(
        shown,
        source_of(parts, columns.image),
        files,
        list(numbers),
        skipped=skipped,
        reading=f"{shown} is read as {many} with images in {columns.image}{of_labels}, {splits}",
        parts=parts,
        cautions=tuple(cautions),
    )
    return read_table(listing, choices)


def pyarrow_missing(what: str) -> NotFoundError:
    return NotFoundError(
        f"{what} is read by pyarrow, which is not installed",
        hint=extras.install("parquet"),
    )


def images_of(batch: pa.RecordBatch, columns: Columns) -> pa.Array:
    """The column of encoded images, an array of bytes."""
    import pyarrow as pa

    images = batch.column(batch.schema.get_field_index(columns.image))
    return images.field("bytes") if pa.types.is_struct(images.type) else images


def labels_of(batch: pa.RecordBatch, columns: Columns) -> Iterator[list[Any] | None]:
    """The labels of each row."""
    if columns.label is None:
        yield from (None for _ in range(len(batch)))
        return
    labels = batch.column(batch.schema.get_field_index(columns.label))
    for label in labels:
        yield _labels(label.as_py())


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


def columns_of(
    schema: pa.Schema,
    shown: str,
    *,
    image: str | None,
    label: str | None,
    features: Mapping[str, Any],
) -> Columns:
    """Which columns are which, by the features in the metadata, else by types and usual names."""
    try:
        names = schema.names
    except UnicodeDecodeError:
        raise InputError(f"{shown} is damaged: the names of its columns are no text") from None
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{shown} has more than one column {quoted(twice)}")
    features = _features(schema) or features
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
