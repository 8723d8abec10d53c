"""Users without a home folder, and `~/` in words that no shell expanded."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from tests.artifacts.making import dataset
from vitctl.artifacts import staging
from vitctl.artifacts.store import Store
from vitctl.errors import UsageError
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.places import home, place
from vitctl.places.local import is_there


@pytest.fixture
def nobody(monkeypatch):
    """A container with `--user 1234`: no HOME, and no such user in the list of users."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()


def test_a_user_without_a_home_does_without_the_cache_of_programs(nobody, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    keep_compiled_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert home.expanded("~/runs") == "~/runs"


def test_copies_of_a_dataset_need_a_folder(nobody, tmp_path, monkeypatch):
    photos = dataset(Store(tmp_path / "store"))
    with pytest.raises(UsageError, match="no home folder") as raised:
        staging.default_cache()
    assert "--cache-dir" in raised.value.hint
    assert staging.staged(photos, wanted=lambda name: True, cache=None) == photos.path.local
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert staging.default_cache() == tmp_path / "cache" / "vitctl"


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("~/runs", "HOME/runs"),
        ("~//runs", "HOME/runs"),
        ("~/shards/{000..099}.tar", "HOME/shards/{000..099}.tar"),
        ("--store=~/runs", "--store=HOME/runs"),
        ("--exclude=a=~/b", "--exclude=a=~/b"),
        ("photos/~/1.jpg", "photos/~/1.jpg"),
        ("~", "~"),
        ("~other/runs", "~other/runs"),
        ("--label-separator=~", "--label-separator=~"),
        ("s3://bucket/~/runs", "s3://bucket/~/runs"),
        ("--set=note='~/a'", "--set=note='~/a'"),
    ],
)
def test_words_that_no_shell_expanded(word, means, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home.expanded_word(word) == means.replace("HOME", str(tmp_path))


def test_variables_of_a_container_mean_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    assert place("~/runs") == tmp_path / "runs"
    assert home.cache_home() == tmp_path / "cache"


def test_a_folder_that_is_called_tilde_keeps_its_meaning(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~" / "runs").mkdir(parents=True)
    assert home.expanded("~/runs") == "~/runs"
    assert home.expanded("~/other") == str(tmp_path / "home" / "other")


def test_what_a_user_may_not_look_at_is_not_missing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "circle").symlink_to("circle")
    names = ["file", "other", "file/below", "circle", "a\0b", "n" * 300]
    assert [is_there(tmp_path / name) for name in names] == [True] + [False] * 5

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(PermissionError):
        is_there(tmp_path / "other")
