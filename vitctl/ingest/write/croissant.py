"""A dataset as Croissant describes it (docs.mlcommons.org/croissant, version 1.0) in
`croissant.json`, which search engines, hubs and libraries of datasets read.

What vitctl knows is in it: files with their hashes, splits with their records, classes, fields.
What only a person knows (a license, who made it) is given or left out, never made up. No host and
no path of a machine is in it: files are named beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitctl.artifacts.documents import json_bytes
from vitctl.data.dataset import STEM, DatasetInfo, Split
from vitctl.ingest.write.about import CROISSANT, About
from vitctl.places import Place
from vitctl.text import strict_json

_VERSION = "http://mlcommons.org/croissant/1.0"
_ARRAY_RECORD = "https://github.com/google/array_record"
"""The format's page, since no MIME type is registered for it."""

_SPLITS: dict[Split, str] = {
    "train": "cr:TrainingSplit",
    "val": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}

# The context of the specification's own examples, which validators expect word for word.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_file(
    info: DatasetInfo, *, name: str, about: About, files: Mapping[str, tuple[int, str]]
) -> bytes:
    """The content of `croissant.json`; `files` are all others of the dataset: name -> (bytes,
    sha256)."""
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSION,
        "name": name,
        "version": "1.0.0",
        "description": _sentence(info),
        **_about(about),
        "distribution": list(_distribution(files)),
        "recordSet": list(_record_sets(info)),
    }
    return json_bytes(document)


def told_in(dataset: Place, about: About) -> bool:
    """Whether the `croissant.json` of a dataset has all that is known now; older ones have none."""
    try:
        document = strict_json.loads((dataset / CROISSANT).read_bytes())
    except FileNotFoundError:
        return False
    return all(document.get(key) == value for key, value in _about(about).items())


def _about(about: About) -> dict[str, Any]:
    """What a person knows, by its property in Croissant."""
    creators = [
        {"@type": kind, "name": name}
        for kind, name in (("sc:Person", about.creator), ("sc:Organization", about.organization))
        if name is not None
    ]
    values = {
        "description": about.description,
        "license": about.license,
        "creator": creators or None,
        "url": about.homepage,
        "citeAs": about.citation,
        "datePublished": about.date_published,
    }
    return {key: value for key, value in values.items() if value is not None}


def _sentence(info: DatasetInfo) -> str:
    images = sum(split.examples for split in info.splits.values())
    labels = f"of {len(info.classes):,} classes" if info.classes else "without labels"
    several = ", several to an image" if info.multi_label and info.classes else ""
    return (
        f"{images:,} images {labels}{several}, as ArrayRecord files of tf.train.Example, which "
        "tensorflow_datasets.builder_from_directory reads."
    )


def _distribution(files: Mapping[str, tuple[int, str]]) -> Iterator[dict[str, Any]]:
    for name, (size, sha256) in sorted(files.items()):
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{size} B",
            "encodingFormat": _encoding(name),
            "sha256": sha256,
        }
    yield {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": "The files with the images, of all splits.",
        "encodingFormat": _ARRAY_RECORD,
        "includes": f"{STEM}-*.array_record-*",
    }


def _encoding(name: str) -> str:
    if ".array_record-" in name:
        return _ARRAY_RECORD
    if name.endswith(".json"):
        return "application/json"
    return "text/plain" if name.endswith(".txt") else "application/octet-stream"


def _record_sets(info: DatasetInfo) -> Iterator[dict[str, Any]]:
    yield _record_set(
        "splits",
        "The splits, and how many images each has.",
        [
            _field("splits", "name", "sc:Text", "The name of the split."),
            _field("splits", "kind", "sc:URL", "What it is for, as Croissant calls it."),
            _field("splits", "records", "sc:Integer", "How many images it has."),
        ],
        key="name",
        kind="cr:Split",
        data=[
            {"splits/name": name, "splits/kind": _SPLITS[name], "splits/records": split.examples}
            for name, split in info.splits.items()
        ],
    )
    if info.classes:
        yield _classes(info)
    yield _record_set("images", "The images.", list(_fields(info)), key="id")


def _classes(info: DatasetInfo) -> dict[str, Any]:
    fields = [
        _field("classes", "number", "sc:Integer", "The number that labels are."),
        _field("classes", "name", "sc:Text", "The name of the class."),
    ]
    data: list[dict[str, Any]] = [
        {"classes/number": number, "classes/name": name} for number, name in enumerate(info.classes)
    ]
    if info.class_titles is not None:
        fields.append(_field("classes", "title", "sc:Text", "A readable name of the class."))
        for row, title in zip(data, info.class_titles, strict=True):
            row["classes/title"] = title
    described = "The classes, in the order of their numbers."
    return _record_set("classes", described, fields, key="number", kind="sc:Enumeration", data=data)


def _fields(info: DatasetInfo) -> Iterator[dict[str, Any]]:
    several = info.multi_label
    yield _stored("id", "sc:Text", "The path of the image in the source; unique.")
    yield _stored("image", "sc:ImageObject", "The encoded image: red, green and blue of 8 bits.")
    if info.classes:
        described = (
            "The numbers of its classes, of any number." if several else "The number of its class."
        )
        label = _stored("label", "sc:Integer", described)
        label["references"] = {"field": {"@id": "classes/number"}}
        yield {**label, "repeated": True} if several else label
    yield {
        **_field("images", "split", "sc:Text", "The split that the image is in."),
        "source": {
            "fileSet": {"@id": "shards"},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": rf"^{STEM}-({'|'.join(info.splits)})\.array_record-.*$"},
        },
        "references": {"field": {"@id": "splits/name"}},
    }


def _stored(name: str, kind: str, description: str) -> dict[str, Any]:
    """A feature of each record."""
    return {
        **_field("images", name, kind, description),
        "source": {"fileSet": {"@id": "shards"}, "extract": {"column": name}},
    }


def _field(record_set: str, name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": f"{record_set}/{name}",
        "description": description,
        "dataType": kind,
    }


def _record_set(
    name: str,
    description: str,
    fields: Sequence[dict[str, Any]],
    *,
    key: str,
    kind: str | None = None,
    data: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{key}"},
        "field": fields,
    }
    if kind is not None:
        record_set["dataType"] = kind
    if data:
        record_set["data"] = data
    return record_set
