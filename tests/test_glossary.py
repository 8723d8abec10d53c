"""docs/guide: every term that a person can be made to choose has an entry in the glossary, every
link leads somewhere, and every table is one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from stages.average.spec import AverageConfig
from stages.evaluate.spec import EvaluateConfig
from stages.fewshot.spec import FewshotConfig
from vitctl.formula.family import FAMILIES
from vitctl.scaling.config import ScalingConfig
from vitctl.settings.config import Config
from vitctl.train.config import TrainConfig, TrainRuntime

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "guide" / "glossary.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
READ = "\n".join(
    page.read_text(encoding="utf-8")
    for folder, pattern in (("tests/golden", "help*.txt"), ("docs/guide", "*.md"))
    for page in (ROOT / folder).glob(pattern)
    if page != GLOSSARY
)
"""What a person reads: help pages and the guide."""

JARGON = (
    "rsqrt", "MAP", "remat", "goodput", "MFU", "EMA", "microbatch", "mesh", "fsdp", "shard",
    "checkpoint", "cooldown", "warmup", "few-shot", "shots", "draw", "top-1", "mAP", "split",
    "calibration", "mock", "topology", "lineage", "recipe", "reference", "spike", "divergence",
    "soup", "probe", "features", "frontier", "store", "artifact", "trunk", "epoch", "patch",
    "interval", "digest", "coordinator", "RandAugment", "mixup", "weight decay",
)  # fmt: skip
"""Words of the help pages and the guide that are neither English nor the choice of a setting."""

PLAIN = {
    "none": "English",
    "auto": "English",
    "all": "English",
    "refuse": "English",
    "skip": "English",
    "leave-out": "English",
    "percent": "English",
    "fraction": "English",
    "model": "has its own part",
    "error": "English",
    "log": "English",
    "given": "features that are named",
    "clip": "a model's name",
    "half": "English",
    "stop": "English",
    "imagenet": "a data set's name",
}
"""Choices that need no entry, and why."""


def rows(text: str) -> list[list[str]]:
    """The rows of the glossary's tables."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def explained(text: str) -> set[str]:
    """The words of the first column, and those in backticks anywhere, in lower case."""
    terms: set[str] = set()
    for term, *meaning in rows(text):
        terms |= {term.replace("`", "").lower(), *re.findall(r"[\w/.-]+", term.lower())}
        terms |= {part.strip(" `").lower() for part in re.split(r",| and |[()]", term)}
        for quoted in re.findall(r"`([^`]+)`", " ".join(meaning)):
            terms |= {quoted.lower(), *quoted.lower().split()}
    return terms


def choices(model: type[Config]) -> Iterator[tuple[str, str]]:
    """(setting, choice) of each Literal of a model and of its parts."""

    def literals(annotation: Any) -> Iterator[Any]:
        if get_origin(annotation) is Literal:
            yield from get_args(annotation)
        for part in get_args(annotation):
            yield from literals(part)

    def parts(annotation: Any) -> Iterator[type[Config]]:
        if isinstance(annotation, type) and issubclass(annotation, Config):
            yield annotation
        for part in get_args(annotation):
            yield from parts(part)

    for name, field in model.model_fields.items():
        for value in literals(field.annotation):
            if isinstance(value, str):
                yield f"{model.__name__}.{name}", value
        for part in parts(field.annotation):
            yield from choices(part)


NOT_TERMS = {"ScalingConfig.against"}
"""Settings whose choices name published numbers."""

TERMS = {
    choice: setting
    for model in (
        TrainConfig, TrainRuntime, FewshotConfig, EvaluateConfig, AverageConfig, ScalingConfig,
    )
    for setting, choice in choices(model)
    if setting not in NOT_TERMS
} | dict.fromkeys(FAMILIES, "FormulaConfig.family")  # fmt: skip


@pytest.fixture(scope="module")
def entries():
    return explained(GLOSSARY.read_text(encoding="utf-8"))


def test_every_choice_of_a_setting_is_explained(entries):
    missing = {c: TERMS[c] for c in TERMS if c not in PLAIN and c.lower() not in entries}
    assert not missing
    assert len(TERMS) > 40


def test_every_term_that_is_read_is_explained(entries):
    assert [term for term in JARGON if not re.search(rf"\b{re.escape(term)}", READ, re.I)] == []
    assert [term for term in JARGON if term.lower() not in entries] == []


def test_a_term_that_is_missing_is_seen():
    without = "\n".join(
        line for line in GLOSSARY.read_text().splitlines() if not line.startswith("| remat")
    )
    assert "remat" not in explained(without)
    assert "dots" not in explained(without)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", heading).strip().lower())
    return text.replace(" ", "-")


def prose(page: Path) -> list[str]:
    """The lines of a page that are no code."""
    lines, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            lines.append(line)
    return lines


def anchors(page: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in prose(page) if line.startswith("#")}


def broken_links(page: Path) -> Iterator[str]:
    for line in prose(page):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "``", line)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                yield f"{page.relative_to(ROOT)}: {target}"


def test_every_link_leads_somewhere():
    assert [link for page in PAGES for link in broken_links(page)] == []


def torn_tables(page: Path) -> Iterator[str]:
    """Rows that stand in no table: of one, the second line is the rule below the head."""
    before: list[str] = []
    for line in prose(page):
        if not line.startswith("|"):
            before = []
            continue
        before.append(line)
        is_rule = re.fullmatch(r"[|:\- ]+", line) is not None
        if len(before) == 2 and not is_rule:
            yield f"{page.relative_to(ROOT)}: {before[0]}"


def test_every_table_is_one(tmp_path, monkeypatch):
    assert [row for page in PAGES for row in torn_tables(page)] == []
    torn = tmp_path / "torn.md"
    torn.write_text("| a | |\n|---|---|\n| b | c |\n\n| d | e |\n| f | g |\n")
    monkeypatch.setattr("tests.test_glossary.ROOT", tmp_path)
    assert list(torn_tables(torn)) == ["torn.md: | d | e |"]


def test_a_link_that_leads_nowhere_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_glossary.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A head: here\n[a](#a-head-here) [b](page.md#none) [c](gone.md) `[d](e)`\n")
    assert list(broken_links(page)) == ["page.md: page.md#none", "page.md: gone.md"]
