from __future__ import annotations

import os

import pytest

from vitctl.hardware.compilation_cache import keep_compiled_programs

NO_TEXT = os.fsdecode(b"caf\xe9")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """As it is before jax is imported; what a test sets there is gone after it."""
    monkeypatch.setattr(os, "environ", {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    return os.environ


def test_programs_are_kept_where_the_user_keeps_caches(environment, tmp_path):
    keep_compiled_programs()
    folder = tmp_path / "cache" / "vitctl" / "compiled"
    assert environment["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert folder.is_dir()


def test_a_folder_that_the_user_names_stays(environment, tmp_path):
    environment["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "theirs")
    keep_compiled_programs()
    assert environment["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "theirs")


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_jax_is_given_no_folder_that_is_not_utf8(environment, tmp_path, variable):
    environment[variable] = str(tmp_path / NO_TEXT)
    keep_compiled_programs()
    assert NO_TEXT not in environment.get("JAX_COMPILATION_CACHE_DIR", "")
