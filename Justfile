# `just` lists these. Each recipe sets up what it needs.

venv := ".venv"
python := venv / "bin/python"
uv := `command -v uv || true`

# A recipe without a name: list them.
_default:
    @just --list --unsorted

# The whole craft on scikit-learn's real digits, in minutes on two cores.
demo: _install-demo
    PATH="{{justfile_directory()}}/{{venv}}/bin:$PATH" bash examples/digits.sh

# The test suite, without the slow tests.
test *args: _install-dev
    {{python}} -m pytest -n 2 --dist loadfile -m "not slow and not device" {{args}}

# Everything a change must pass: format, lint, types, imports, tests. CI runs this.
check: _install-dev
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} -m mypy
    {{venv}}/bin/lint-imports
    just test

# The slow tests too: other libraries, many kills. Leaves a dated line in docs/log.
test-all: _install-test-all
    @rm -f .pytest_cache/all.xml
    {{python}} -m pytest -n 2 --dist loadfile -m "not device" --junitxml=.pytest_cache/all.xml; \
    ended=$?; {{python}} -m tests.record .pytest_cache/all.xml; exit $ended

# Fifty kills of each command, and the same command again: a table (about an hour).
kills *args: _install-dev
    {{python}} -m tests.kills {{args}}

# Repair what can be repaired by machine.
fix: _install-dev
    {{python}} -m ruff check --fix .
    {{python}} -m ruff format .

# Benchmarks; never part of the tests.
bench *args: _install-dev
    {{python}} -m tests.bench {{args}}

_venv:
    @test -x {{python}} || {{ if uv != "" { uv + " venv --quiet --python 3.11 --seed " + venv } else { "python3 -m venv " + venv } }}

_install-demo: _venv
    @just _install demo

_install-dev: _venv
    @just _install dev

_install-test-all: _venv
    @just _install test-all

# Install once; again when pyproject.toml or the pinned versions change.
_install extra:
    @stamp="{{venv}}/.installed-{{extra}}"; \
    if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then \
      echo "installing vitctl[{{extra}}] into {{venv}}, once" >&2; \
      {{python}} -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[{{extra}}]" \
      && touch "$stamp"; \
    fi
