"""Nothing but `vitctl.places.nofollow` writes, replaces or removes files by their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = "vitctl/places/nofollow.py"

# Why each may: it changes nothing below a store, `--out` or a cache, or not on this machine.
ALLOWED = {
    # What an object store is asked for: it has no links.
    ("vitctl/doctor/bucket.py", "place.write_bytes"),
    ("vitctl/doctor/bucket.py", "place.unlink"),
    # A new folder with a name that nobody knows before, of this user alone.
    ("vitctl/places/scratch.py", "tempfile.mkdtemp"),
    ("vitctl/doctor/store.py", "tempfile.mkdtemp"),
    ("vitctl/workers/ray_driver.py", "tempfile.mkdtemp"),
    # /dev/null.
    ("vitctl/train/telemetry/metrics.py", "open"),
    ("vitctl/console/streams.py", "os.open"),
    ("vitctl/workers/ray_driver.py", "os.open"),
    # Folders of their own that libraries write models to, read back and gone.
    ("vitctl/interop/stablehlo.py", "tempfile.TemporaryDirectory"),
    ("vitctl/interop/exported.py", "tempfile.TemporaryDirectory"),
    ("stages/export/run.py", "tempfile.TemporaryDirectory"),
    ("stages/export/run.py", "(Path(folder) / name).write_bytes"),
    ("vitctl/console/native_output.py", "os.open"),
}

PATHS = {"unlink", "rmdir", "rename", "touch", "mkdir", "chmod"}
PATHS |= {"write_text", "write_bytes", "symlink_to", "hardlink_to"}
OS = {"remove", "unlink", "rename", "renames", "replace", "rmdir", "removedirs", "mkdir"}
OS |= {"makedirs", "link", "symlink", "truncate", "mkfifo", "mknod", "chmod", "chown", "utime"}
SHUTIL = {
    "rmtree",
    "move",
    "copy",
    "copy2",
    "copyfile",
    "copytree",
    "copymode",
    "copystat",
    "chown",
}
TEMPFILE = {"mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory"}


def changes(source: str) -> Iterator[str]:
    """The calls in a program that may change files by name, as they are written there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil", "tempfile"):
            banned = {"os": OS, "shutil": SHUTIL, "tempfile": TEMPFILE}[node.module]
            yield from (f"{node.module}.{n.name}" for n in node.names if n.name in banned)
        if isinstance(node, ast.Call) and _changes(node):
            yield ast.unparse(node.func)


def _changes(call: ast.Call) -> bool:
    match call.func:
        case ast.Name("open"):
            return _writes(call, position=1)
        case ast.Attribute(ast.Name("nofollow"), _):
            return False
        case ast.Attribute(ast.Name("os"), "open"):
            return ast.unparse(call.args[1]).find("O_RDONLY") < 0 or "O_CREAT" in ast.unparse(call)
        case ast.Attribute(ast.Name("os"), name):
            return name in OS
        case ast.Attribute(ast.Name("shutil"), name):
            return name in SHUTIL
        case ast.Attribute(ast.Name("tempfile"), name):
            return name in TEMPFILE
        case ast.Attribute(_, "open"):
            return _writes(call, position=0)
        case ast.Attribute(_, "replace"):  # text takes two, a dataclass names its fields
            return len(call.args) == 1 and not call.keywords
        case ast.Attribute(_, name):
            return name in PATHS
    return False


def _writes(call: ast.Call, *, position: int) -> bool:
    """Whether a call of `open` has a mode that writes, or one called so that isn't known here.
    Images and stores have an `open`, too."""
    modes = [*call.args[position : position + 1]]
    modes += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    match modes:
        case [ast.Constant(str(mode)), *_]:
            return set(mode) <= set("rwaxbt+") and not set(mode) <= set("rbt")
        case [ast.Name("mode"), *_]:
            return True
    return False


def test_only_one_module_changes_files():
    values = {
        (path.relative_to(ROOT).as_posix(), call)
        for folder in ("vitctl", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for call in changes(path.read_text())
        if path != ROOT / MODULE
    }
    assert values - ALLOWED == set(), "use vitctl.places.nofollow, or a method of a Place"
    assert ALLOWED - values == set(), "no longer needed"


@pytest.mark.parametrize(
    "source",
    [
        "shutil.rmtree(path)",
        "os.replace(a, b)",
        "os.remove(a)",
        "path.unlink(missing_ok=True)",
        "(folder / 'x').write_text('')",
        "path.replace(target)",
        "path.rename(target)",
        "path.rmdir()",
        "path.open('w')",
        "path.open(mode)",
        "path.open(mode='ab')",
        "open(path, 'r+b')",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "from shutil import rmtree",
        "tempfile.mkdtemp()",
    ],
)
def test_the_guard_can_fail(source):
    assert list(changes(source))


@pytest.mark.parametrize(
    "source",
    [
        "text.replace('a', 'b')",
        "path.open('rb')",
        "open(path)",
        "os.open(path, os.O_RDONLY)",
        "nofollow.rename(a, b)",
        "replace(row, step=3)",
        "np.stack(rows)",
    ],
)
def test_the_guard_lets_what_only_reads_pass(source):
    assert not list(changes(source))
