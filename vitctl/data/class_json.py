"""Names of classes in JSON, as programs write them; for `--classes-from` and `--class-titles`.

{"0": ["n01440764", "tench"]}      imagenet_class_index.json of Keras
{"0": "tench", "1": "goldfish"}    names by numbers
{"21": "fire lily"}                cat_to_name.json, titles of classes that are called so
{"tench": 0, "goldfish": 1}        class_to_idx of torchvision
{"id2label": {"0": "tench"}}       config.json of Hugging Face's models, also label2id alone
["tench", "goldfish"]              names in their order
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vitctl.text import strict_json


class NoClassesError(ValueError):
    """What is wrong, as a clause that follows the name of the file."""


@dataclass(frozen=True)
class ClassJSON:
    """What a file of JSON says of classes.

    Attributes:
      reading: what it was taken for, as a phrase.
      order: the names of classes by their numbers from 0 on; None where these leave gaps.
      titles: name or number of a class -> words for it.
    """

    reading: str
    order: list[str] | None
    titles: Mapping[str, str] = field(default_factory=dict)


def read_class_json(text: str) -> ClassJSON:
    """What the text of a file says. Raises NoClassesError."""
    try:
        value = strict_json.loads(text, unique_keys=True)
    except strict_json.StrictJSONError as error:
        raise NoClassesError(str(error)) from None
    if isinstance(value, dict):
        for key in ("id2label", "label2id"):
            if isinstance(inner := value.get(key), dict) and inner:
                one = _of_object(inner)
                return ClassJSON(f"{key} of a model's config", one.order, one.titles)
        return _of_object(value)
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return ClassJSON("names in their order", value)
    raise NoClassesError("is neither an object of texts nor a list of them")


def _of_object(value: Mapping[str, Any]) -> ClassJSON:
    items = list(value.values())
    if not items:
        raise NoClassesError("names no class")
    if all(isinstance(item, str) for item in items):
        return ClassJSON("names of classes by what they are called", _in_order(value), dict(value))
    if all(isinstance(item, list) and _are_pair(item) for item in items):
        ids = {key: item[0] for key, item in value.items()}
        titles = {item[0]: item[1].replace("_", " ") for item in items}
        return ClassJSON("ids of classes and words for them", _in_order(ids), titles)
    if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        by_number = {str(number): name for name, number in value.items()}
        if len(by_number) < len(value):
            raise NoClassesError("gives two classes one number")
        return ClassJSON("numbers of classes", _in_order(by_number), by_number)
    raise NoClassesError(
        "is no object of names of classes: texts, numbers, or an id and a text for each"
    )


def _are_pair(item: list[Any]) -> bool:
    return len(item) == 2 and all(isinstance(text, str) for text in item)


def _in_order(names: Mapping[str, str]) -> list[str] | None:
    """Names by the numbers 0, 1, 2 and so on; None for other keys."""
    if not all(re.fullmatch(r"0|[1-9]\d{0,8}", number) for number in names):
        return None
    ordered = [names[number] for number in sorted(names, key=int)]
    return ordered if set(names) == {str(number) for number in range(len(names))} else None
