from __future__ import annotations

import tomllib
from typing import Literal

import pytest
from pydantic import NonNegativeInt

from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.settings.config import Config
from vitctl.settings.overrides import build, parse_set, read_toml, to_toml


class Optim(Config):
    name: Literal["adam", "adafactor"] = "adam"
    wd_head: float = 0.0
    wd_body: float = 0.0
    clip: float | None = 1.0


class Augment(Config):
    crop: Literal["inception", "none"] = "inception"
    mixup: float | None = None


class Recipe(Config):
    name: str
    steps: NonNegativeInt = 0
    classes: tuple[str, ...] = ()
    optim: Optim = Optim()
    augment: Augment | None = Augment()


def built(*settings, **base):
    return build(Recipe, {"name": "x"} | base | parse_set(settings))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("a=1", 1),
        ("a=1e-3", 1e-3),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=True", True),
        ("a=none", None),
        ("a=text", "text"),
        ("a='1'", "1"),
        ('a="none"', None),
        ("a=[1, 2]", [1, 2]),
        ("a={b = 1}", {"b": 1}),
        ("a = spaced ", "spaced"),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=2020-01-02", "2020-01-02"),
        ("a=1\nb = 2", "1\nb = 2"),
        ("a=[1,", "[1,"),
        ("a=0-5", "0-5"),
        ("a=s/16", "s/16"),
    ],
)
def test_values_are_toml_and_what_is_not_is_text(setting, value):
    assert parse_set([setting]) == {"a": value}


def test_dots_go_down_and_the_last_wins():
    tree = parse_set(["optim.wd_head=1", "optim.wd_body=2", "optim.wd_head=3", "steps=4"])
    assert tree == {"optim": {"wd_head": 3, "wd_body": 2}, "steps": 4}


@pytest.mark.parametrize("setting", ["steps", "=1", "a..b=1", ".a=1", "a.=1", ""])
def test_what_is_not_key_equals_value(setting):
    with pytest.raises(UsageError, match="is not key=value"):
        parse_set([setting])


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("optim.wd_heat=1", "optim.wd_head"),
        ("wd_head=1", "optim.wd_head"),
        ("stesp=1", "steps"),
        ("optim.names=adam", "optim.name"),
        ("optm.wd_head=1", "optim.wd_head"),
        ("optim.head=1", "optim.wd_head"),
        ("augment.wd_head=1", "optim.wd_head"),
        ("zzzzqqq=1", "--print-config"),
    ],
)
def test_an_unknown_key_names_the_nearest(setting, hint):
    with pytest.raises(UsageError, match="there is no setting") as error:
        built(setting)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("optim.name=adan", "optim.name must be 'adam' or 'adafactor'.*got 'adan'", "adam"),
        ("steps=-1", "steps must be greater than or equal to 0 .got -1", None),
        ("steps=many", "steps must be a valid integer .got 'many'", None),
        ("optim.wd_head=nan", "optim.wd_head must be a finite", None),
        ("name=12", "name must be a valid string", "quotes"),
        ("optim=3", "optim is a table of settings", "--set optim."),
    ],
)
def test_a_bad_value_says_what_is_valid(setting, message, hint):
    with pytest.raises(UsageError, match=message) as error:
        built(setting)
    assert error.value.exit_code == 2
    assert "\n" not in error.value.message
    assert hint is None or hint in error.value.hint


def test_a_missing_value_says_how_to_give_it():
    with pytest.raises(UsageError, match="name has no value") as error:
        build(Recipe, {})
    assert error.value.hint == "give it: --set name=..."


def test_none_is_off_unless_it_is_a_choice():
    assert built("optim.clip=none").optim.clip is None
    assert built("augment=none").augment is None
    assert built("augment.crop=none").augment.crop == "none"
    with pytest.raises(UsageError, match="steps"):
        built("steps=none")


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("optim.clip=none", "augment.crop=none", "augment.mixup=0.2"),
        ("augment=none", "steps=7", 'classes=["a", "b"]'),
    ],
)
def test_what_is_printed_can_be_read_back(settings, tmp_path):
    """Off must stay off: left out of the file it would mean the recipe's value."""
    config = built(*settings)
    (tmp_path / "c.toml").write_text(to_toml(config))
    assert build(Recipe, read_toml(tmp_path / "c.toml")) == config
    tomllib.loads(to_toml(config))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(NotFoundError, match="does not exist"):
        read_toml(tmp_path / "no.toml")
    with pytest.raises(InputError, match="is a folder, where a file is expected"):
        read_toml(tmp_path)
    (tmp_path / "bad.toml").write_bytes(b"a = ")
    with pytest.raises(UsageError, match="is not TOML"):
        read_toml(tmp_path / "bad.toml")
    for content, reason in {
        b"a = 1\nb = \xff": r"is not UTF-8 text \(line 2",
        b"\xff\xfea": "is damaged: it begins as UTF-16 text",
        b"\x1f\x8b\x08\x00\xff": "compressed by gzip",
        b"a = 1\n\0": "NUL character",
    }.items():
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(InputError, match=reason):
            read_toml(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text(r'out = "C:\runs\Users"')
    with pytest.raises(UsageError, match="is not TOML") as refused:
        read_toml(tmp_path / "bad.toml")
    assert "single quotes" in refused.value.hint


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_settings_as_other_programs_write_them(tmp_path, encoding, line_end):
    """Notepad, PowerShell's `>` and old Macs: the same settings, whatever the bytes."""
    lines = ['name = "größe"', "steps = 7", "[optim]", "clip = 'none'", ""]
    (tmp_path / "c.toml").write_bytes(line_end.join(lines).encode(encoding))
    wanted = {"name": "größe", "steps": 7, "optim": {"clip": None}}
    assert read_toml(tmp_path / "c.toml") == wanted


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 1000, "[" * 1000 + "]" * 1000], ids=len)
def test_a_value_beyond_all_measure_is_named_in_short(tmp_path, text):
    with pytest.raises(UsageError) as refused:
        built(f"steps={text}")
    assert len(refused.value.message) < 300
    (tmp_path / "settings.toml").write_text(f"seed = {text}\n")
    with pytest.raises(UsageError, match="--config") as refused:
        read_toml(tmp_path / "settings.toml")
    assert len(refused.value.message) < 300 + len(str(tmp_path))
    assert "Python" not in refused.value.message
    assert "sys." not in refused.value.message
