# `just` lists these. Each recipe sets up what it needs.

venv := ".venv"
# The Python that a new environment is made with: `just base=python3.13 venv=.venv-3.13 test`.
base := ""
python := venv / "bin/python"
uv := `command -v uv || true`
uv_base := if base != "" { base } else { "3.11" }
pip_base := if base != "" { base } else { "python3" }

# A recipe without a name: list them.
_default:
    @just --list --unsorted

# The whole craft on scikit-learn's real digits, in minutes on two cores.
demo: (_install "demo")
    PATH="{{justfile_directory()}}/{{venv}}/bin:$PATH" bash examples/digits.sh

# A scaling study on formula-made pictures: 4 models x 4 sizes x 4 durations; `just study --dry-run` first.
study *args: (_install "demo,report")
    PATH="{{justfile_directory()}}/{{venv}}/bin:$PATH" bash examples/scaling_study/study.sh artifacts/study {{args}}

# Seconds to 95 % on scikit-learn's digits with two cores: examples/speedrun/README.md.
speedrun *args: (_install "demo")
    {{python}} examples/speedrun/run.py {{args}}

# The test suite, without the slow tests.
test *args: (_install "dev")
    {{python}} -m pytest -n 2 --dist loadfile -m "not slow and not device" {{args}}

# Everything a change must pass: format, lint, types, imports, tests. CI runs this, and `smoke`.
check: lint test

# Format, lint, types and imports.
lint: (_install "dev")
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} -m mypy
    {{venv}}/bin/lint-imports

# Minutes: the four commands on mock data, and the bitwise promises. For another Python or jax.
smoke *args: (_install "smoke")
    {{python}} -m pytest -n 2 --dist worksteal -m "smoke and not slow and not device" \
      tests/stages/test_card.py tests/train/test_exact.py tests/stages/test_app.py {{args}}

# The processor time of the suite, or of what is named, and its dearest files and tests.
test-cost *args: (_install "dev")
    {{python}} -m pytest -n 2 --dist loadfile -m "not slow and not device" -p tests.costs -q {{args}}

# The slow tests too: other libraries, many kills. Leaves a dated line in docs/log.
test-all: (_install "test-all")
    @rm -f .pytest_cache/all.xml
    {{python}} -m pytest -n 2 --dist loadfile -m "not device" --junitxml=.pytest_cache/all.xml; \
    ended=$?; {{python}} -m tests.record .pytest_cache/all.xml; exit $ended

# Fifty kills of each command, and the same command again: a table (about an hour).
kills *args: (_install "dev")
    {{python}} -m tests.kills {{args}}

# Repair what can be repaired by machine.
fix: (_install "dev")
    {{python}} -m ruff check --fix .
    {{python}} -m ruff format .

# Benchmarks; never part of the tests.
bench *args: (_install "dev")
    {{python}} -m tests.bench {{args}}

# Resolve constraints/pyXY.txt anew, one a Python; needs uv.
pin:
    #!/usr/bin/env bash
    set -euo pipefail
    for pair in "3.11 jax<0.11" "3.12 jax<0.12" "3.13 jax"; do
      version="${pair%% *}" file="constraints/py${pair:0:1}${pair:2:2}.txt"
      pinned=$(printf '%s\n' "${pair#* }" rust-just uv | uv pip compile --quiet pyproject.toml - \
        --extra test-all --universal --python-version "$version" --no-annotate --no-header)
      printf '%s\n' "# Versions that the checks run with, on Python $version. They constrain, they do not install." \
        "$pinned" | grep -v '^libtpu==' >"$file"
    done

_venv:
    @test -x {{python}} || {{ if uv != "" { uv + " venv --quiet --seed --python " + uv_base } else { pip_base + " -m venv" } }} {{venv}}

# Install once; again when pyproject.toml or the pinned versions change. uv takes a third of the time,
# but reads no pip configuration: where it fails, pip tries.
_install extra: _venv
    #!/usr/bin/env bash
    set -euo pipefail
    pins="constraints/py$({{python}} -c 'import sys; print("%d%d" % sys.version_info[:2])').txt"
    stamp="{{venv}}/.installed-{{extra}}"
    if [ -e "$stamp" ] && ! [ pyproject.toml -nt "$stamp" ] && ! [ "$pins" -nt "$stamp" ]; then exit; fi
    echo "installing vitctl[{{extra}}] into {{venv}}, once" >&2
    what=(-e ".[{{extra}}]")
    if [ -e "$pins" ]; then
      what+=(-c "$pins")
    else
      echo "there is no $pins, so the newest versions are taken" >&2
    fi
    {{ if uv != "" { uv + " pip install --quiet --python " + python + ' "${what[@]}" ||' } else { "" } }} \
      {{python}} -m pip install --quiet --disable-pip-version-check "${what[@]}"
    touch "$stamp"
