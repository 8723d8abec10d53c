"""The examples for clusters, as far as a machine without one allows: the scripts run as they are,
with stand-ins for srun, scontrol and gcloud, and the commands in them are vitctl's own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from stages.app import VERBS, load
from tests.waiting import PATIENCE_S
from vitctl.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
SLURM = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))
MERGE, PRETRAIN, SHARD = (
    ROOT / "examples" / "slurm" / f"{name}.sbatch" for name in ("merge", "pretrain", "shard")
)
COOLDOWN = ROOT / "examples" / "slurm" / "cooldown.sbatch"
GKE = sorted((ROOT / "examples" / "gke").glob("*.yaml"))
CLOUD_TPU = sorted((ROOT / "examples" / "cloud-tpu").glob("*.sh"))
PACKAGE = "vitctl[tpu,cloud] @ https://example.org/vitctl-0.1.0-py3-none-any.whl"
FINAL = [2, 3, 4, 5, 6, 11]
"""Exit codes that another try would not change."""


@pytest.fixture
def cluster(tmp_path):
    """cluster(script, exit codes of training): (its exit code, the vitctl commands, other ones).
    `fewshot` and `evaluate` are the codes of those. Of the Cloud TPU, `pip` and `uv` are the codes
    of one call after the other, 0 when there are no more; vitctl is there once uv has brought it.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"

    def program(name, text):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)

    note = f'printf "%q " "$(basename "$0")" "$@" >>{log}; echo >>{log}'
    program(
        "srun",
        f'echo "${{SRUN_CPUS_PER_TASK:-}}" >>{tmp_path}/cpus\n'
        'while [[ "$1" == --* ]]; do shift; done\nexec "$@"',
    )
    program("scontrol", note)
    program("sleep", f'{note}; [ -z "${{TERMINATED:-}}" ] || kill "$PPID"')

    def next_of(codes):
        return f"code=$(head -1 {tmp_path}/{codes}); sed -i 1d {tmp_path}/{codes}"

    # As gcloud does: what is not there is NOT_FOUND, and a deleted slice takes its disks along.
    program(
        "gcloud",
        f"""{note}
case "$4" in
  describe) cat {tmp_path}/state 2>/dev/null || {{ echo "ERROR: NOT_FOUND: $5" >&2; exit 1; }} ;;
  create) echo READY >{tmp_path}/state ;;
  delete) [ -z "${{STUCK:-}}" ] || exit 1
    rm -rf {tmp_path}/state {tmp_path}/.local {tmp_path}/.vitctl ;;
esac
while [ $# -gt 0 ]; do [ "$1" = --command ] && exec bash -c "$2"; shift; done; exit 0""",
    )
    program(
        "python3",
        f"""{note}
{next_of("pip")}; [ "${{code:-0}}" = 0 ] || exit "$code"
mkdir -p ~/.local/bin; cp {folder}/uv ~/.local/bin""",
    )
    program(
        "uv",
        f"""{note}
{next_of("uv")}; [ "${{code:-0}}" = 0 ] || exit "$code"
mkdir -p ~/.vitctl/bin; [ "$1" != pip ] || cp {folder}/vitctl ~/.vitctl/bin""",
    )

    def run(script, *codes, pip=(), uv=(), fewshot=0, evaluate=0, **environment):
        for name, listed in {"codes": codes, "pip": pip, "uv": uv}.items():
            (tmp_path / name).write_text("".join(f"{code}\n" for code in listed))
        program(
            "vitctl",
            f"{note}\ncase $1 in pretrain | cooldown | sweep | shard | merge) {next_of('codes')}; "
            'echo "artifacts/cooldown/a@1"; exit "${code:-0}";; '
            f"fewshot) exit {fewshot};; evaluate) exit {evaluate};; esac",
        )
        log.write_text("")
        done = subprocess.run(
            ["bash", str(script)],
            env={
                "PATH": f"{folder}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "SLURM_JOB_ID": "77",
                "VITCTL_STORE": "/shared/artifacts",
                "FROM": "L-16@100k",
                "PROJECT": "p",
                "ZONE": "z",
                "PACKAGE": PACKAGE,
                "STORE": "gs://bucket/vit",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        (tmp_path / "stderr").write_text(done.stderr)
        said = [shlex.split(line) for line in log.read_text().splitlines()]
        commands = [command[1:] for command in said if command[0] == "vitctl"]
        return done.returncode, commands, [command for command in said if command[0] != "vitctl"]

    return run


def understood(arguments):
    """Parse a command line with vitctl's own parser; nothing runs."""
    assert arguments[0] in VERBS
    command = load(arguments[0])
    try:
        command.make_context(arguments[0], list(arguments[1:]))
    except typer.Exit:  # pragma: no cover
        raise AssertionError(arguments) from None


def test_there_is_one_of_each():
    assert all((SLURM, GKE, CLOUD_TPU))


def test_the_parser_knows_wrong_flags():
    with pytest.raises(Exception, match="No such option"):
        understood(["pretrain", "--modle", "L16"])


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.name)
def test_slurm_goes_on_after_a_preemption_and_only_then(cluster, script):
    code, commands, others = cluster(script, 10)
    assert code == 10
    assert others == [["scontrol", "requeue", "77"]]
    for final in (*FINAL, 1):
        code, _, others = cluster(script, final)
        assert (code, others) == (final, [])
    code, commands, others = cluster(script, 0)
    assert (code, others) == (0, [])
    for command in commands:
        understood(command)


@pytest.mark.parametrize(
    ("probed", "scored", "exit_code"), [(3, 0, 3), (0, 4, 4), (3, 4, 3), (1, 10, 1), (10, 0, 10)]
)
def test_a_cooldown_tells_of_a_probe_that_failed(cluster, probed, scored, exit_code):
    """The first code that is not 0; both are tried. What was interrupted is queued again."""
    code, commands, others = cluster(COOLDOWN, 0, fewshot=probed, evaluate=scored)
    assert code == exit_code
    assert [command[0] for command in commands] == ["cooldown", "fewshot", "evaluate"]
    assert others == ([["scontrol", "requeue", "77"]] if exit_code == 10 else [])


def test_slurm_header_asks_for_what_the_script_relies_on():
    for script in SLURM:
        header = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
        options = dict(line.split()[1].partition("=")[::2] for line in header)
        assert "--requeue" in options
        assert options["--signal"] == "TERM@120"  # to the processes, not to the script (B:)
        assert options["--open-mode"] == "append"
        # jax gives each process of SLURM the one GPU of its local number.
        assert options["--ntasks-per-node"] == options.get("--gpus-per-node", "1")


def test_slurm_divides_a_dataset_over_the_tasks_of_an_array(cluster):
    """All parts, then their merge: what the header says to start."""
    made = []
    for task in ("1", "2"):
        environment = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2", "SRC": "a b"}
        code, (command,), _ = cluster(SHARD, 0, **environment)
        assert code == 0
        made.append(command)
    parts = [command[-2:] for command in made]
    assert parts == [["--part", "1/2"], ["--part", "2/2"]]
    assert all(command[:2] == ["shard", "a b"] for command in made)
    assert cluster(MERGE, 0)[1] == [["merge"]]


@pytest.mark.slow  # three interpreters, two of them with TensorFlow: half a minute
def test_an_array_job_makes_the_dataset_of_one_machine(tmp_path):
    """The scripts with vitctl itself, on digits; SLURM's programs are stand-ins."""
    (tmp_path / "bin").mkdir()
    for name, text in {
        "srun": 'exec "$@"',
        "vitctl": f'exec {sys.executable} -m vitctl "$@"',
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def answer(*line, **environment):
        done = subprocess.run(
            list(map(str, line)),
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "SLURM_CPUS_PER_TASK": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())

    many = str(tmp_path / "many")
    for task in ("1", "2"):
        count = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
        answer("bash", SHARD, VITCTL_STORE=many, **count)
    merged = answer("bash", MERGE, VITCTL_STORE=many)
    alone = answer("vitctl", "shard", "digits", VITCTL_STORE=str(tmp_path / "one"))
    assert merged.name == alone.name
    files = {path.name for path in alone.iterdir()} - {"artifact.json"}
    assert files == {path.name for path in merged.iterdir()} - {"artifact.json"}
    assert all((merged / name).read_bytes() == (alone / name).read_bytes() for name in files)


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.name)
def test_slurm_gives_each_task_its_cpus(cluster, script, tmp_path):
    code, commands, _ = cluster(script, 0, SLURM_CPUS_PER_TASK="12")
    assert code == 0
    assert (tmp_path / "cpus").read_text().split() == ["12"] * len(commands)


def test_slurm_stops_where_the_store_is_not_named(cluster):
    code, commands, _ = cluster(SLURM[-1], 0, VITCTL_STORE="")
    assert code != 0
    assert commands == []


@pytest.mark.parametrize("script", CLOUD_TPU, ids=lambda path: path.name)
def test_cloud_tpu_goes_on_until_it_is_done(cluster, script, tmp_path):
    code, commands, others = cluster(script, 10, 255, 0)
    assert code == 0
    assert len(commands) == 3
    assert commands[0] == commands[1] == commands[2]  # the same command continues
    understood(commands[0])
    verbs = [command[4] for command in others if command[0] == "gcloud"]
    assert verbs[-2:] == ["delete", "describe"]
    assert sum("create" in command for command in others) == 1
    assert "still there" not in (tmp_path / "stderr").read_text()
    for final in FINAL:
        code, commands, others = cluster(script, final)
        assert (code, len(commands)) == (final, 1)
        assert STILL in (tmp_path / "stderr").read_text()


STILL = """\
the slice vitctl is still there (READY), and costs while it runs
hint: gcloud compute tpus tpu-vm delete vitctl --project p --zone z
"""


@pytest.mark.parametrize("script", CLOUD_TPU, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("failures", "failed"),
    [
        ({"pip": [1]}, 1),  # uv itself
        ({"uv": [2]}, 1),  # Python 3.11
        ({"uv": [0, 2]}, 1),  # vitctl
        ({"pip": [1, 1], "uv": [2, 0, 1]}, 4),
    ],
)
def test_cloud_tpu_installs_until_it_is_done(cluster, script, tmp_path, failures, failed):
    """vitctl is only tried where it is installed, and one slice is enough."""
    code, commands, others = cluster(script, 0, **failures)
    assert code == 0
    assert [command[0] for command in commands] == ["pretrain"]
    assert sum("create" in command for command in others) == 1
    said = (tmp_path / "stderr").read_text()
    assert said.count("vitctl is not installed on all hosts; trying again") == failed
    (install,) = [command for command in others if command[:3] == ["uv", "pip", "install"]][-1:]
    assert install[-1] == PACKAGE  # one word, although it has spaces
    version = next(
        command[command.index("--python") + 1] for command in others if "venv" in command
    )
    request = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert request == f">={version}"


@pytest.mark.parametrize("script", CLOUD_TPU, ids=lambda path: path.name)
def test_cloud_tpu_tells_of_a_slice_that_it_leaves(cluster, script, tmp_path):
    def said():
        return (tmp_path / "stderr").read_text()

    code, commands, _ = cluster(script, pip=[1] * 9, RETRIES="3")
    assert (code, commands) == (10, [])
    assert "given up after 3 attempts" in said()
    assert STILL in said()
    code, commands, _ = cluster(script, 10, TERMINATED="1")
    assert (code, len(commands)) == (143, 1)
    assert STILL in said()
    assert cluster(script, 0, STUCK="1")[0] == 0
    assert STILL in said()


@pytest.mark.parametrize("script", CLOUD_TPU, ids=lambda path: path.name)
def test_cloud_tpu_says_nothing_of_a_slice_that_never_was(cluster, script, tmp_path):
    program = tmp_path / "bin" / "gcloud"
    program.write_text(program.read_text().replace("create) ", "create) exit 1; "))
    code, commands, _ = cluster(script, 0, RETRIES="2")
    assert (code, commands) == (10, [])
    said = (tmp_path / "stderr").read_text()
    assert said.count("no slice was made") == 2
    assert "still there" not in said


@pytest.mark.parametrize("file", GKE, ids=lambda path: path.name)
def test_gke(file):
    from jax._src.clusters.cloud_tpu_cluster import coordinator_port

    service, job = yaml.safe_load_all(file.read_text())
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    spec = job["spec"]
    pod = spec["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    (container,) = pod["containers"]
    assert container["command"][0] == "vitctl"
    understood(container["command"][1:])
    # A slice is whole or nothing: hosts times chips is the topology.
    rows, columns = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert spec["completions"] == spec["parallelism"] == int(rows) * int(columns) // chips
    assert container["resources"]["requests"] == container["resources"]["limits"]
    # One for libtpu, and jax's.
    assert str(container["ports"][-1]["containerPort"]) == coordinator_port
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"][:2]}
    assert rules["FailJob"]["onExitCodes"]["values"] == FINAL
    assert rules["Ignore"]["onExitCodes"]["values"] == [10]
    assert all(r["onExitCodes"]["containerName"] == container["name"] for r in rules.values())
    assert pod["restartPolicy"] == "Never"  # what a podFailurePolicy requires
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    store = next(e["value"] for e in container["env"] if e["name"] == "VITCTL_STORE")
    assert store in mounts.values()
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


TINY = """
name = "test/8"
recipe = "small"
precision = "float32"
model = { width = 16, depth = 1, heads = 2, mlp_dim = 16, resolution = 16, patch = 8, classes = 4 }
schedule = { warmup_steps = 1 }
data = { mock = { examples = 40, eval_examples = 8 } }
"""


@pytest.mark.slow
def test_the_command_trains(cluster, tmp_path):
    """As it is in the file, but for the sizes: made-up images, a tiny model, two steps. Killed or
    not, the same line again finds what is done."""
    _, commands, _ = cluster(PRETRAIN, 0, STEPS="2", BATCH="8", SAVE="1")
    (command,) = [command for command in commands if command[0] == "pretrain"]
    command = [
        *command[: command.index("--data")],
        "--mock",
        *command[command.index("--data") + 2 :],
    ]
    command = [*command[: command.index("--model")], *command[command.index("--model") + 2 :]]
    (tmp_path / "tiny.toml").write_text(TINY)
    line = [sys.executable, "-m", "stages.app", *command, "--config", str(tmp_path / "tiny.toml")]
    line += ["--store", str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    answers = [
        subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        for _ in range(2)
    ]
    assert [done.returncode for done in answers] == [0, 0], answers[0].stderr
    assert answers[0].stdout == answers[1].stdout
    assert Path(answers[0].stdout.strip(), "artifact.json").exists()


def test_the_codes_they_go_by_are_those_of_the_table():
    assert set(FINAL) == EXIT_CODES.keys() - {0, 1, 10, 130}
