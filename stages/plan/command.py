"""The flags of `vitctl plan`, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from typer import Option

from stages.plan.settings import resolve
from stages.plan.spec import PlanRuntime
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.plan.bill import amount
from vitctl.plan.topology import LOCAL
from vitctl.recipes.settings import length
from vitctl.train.config import TrainConfig

_MESH = "Number of devices along each mesh axis, for example data=512,fsdp=4"


def _read_price(text: str, *, name: str) -> float | None:
    return amount(text, option=name, unit="money an hour and device")


def _read_network(text: str, *, name: str) -> float | None:
    return amount(text, option=name, unit="Gbit/s of each GPU")


def _read_watts(text: str, *, name: str) -> float | None:
    return amount(text, option=name, unit="watts a device")


_SETTINGS = (
    flags.BATCH,
    flags.RESOLUTION,
    replace(flags.HEAD, rare=False),
    Flag("model.classes", "Number of classes, where no dataset is given (default: 1000)."),
)
_RUNNING = (
    replace(flags.MESH, panel=None, rare=False, help=f"{_MESH} (default: plan chooses)."),
    replace(flags.REMAT, panel=None, rare=False),
    replace(flags.MICROBATCH, panel=None, rare=False),
    Flag("search", "Find the fastest mesh, remat and batch that fit.", sets=True),
    Flag(
        "max_compiles",
        "Compile at most N programs, a minute or more each (default: 6).",
        metavar="N",
    ),
    Flag(
        "price",
        "Price of one device for an hour, in any currency, to compute costs.",
        reads=_read_price,
        metavar="MONEY",
    ),
    Flag(
        "watts",
        "Power of one device in watts, to compute energy.",
        reads=_read_watts,
        metavar="WATTS",
    ),
    Flag(
        "gpus_per_node",
        "GPUs in each machine, where --topology names GPUs (default: 8).",
        metavar="N",
    ),
    Flag(
        "network",
        "Network between machines in Gbit/s of each GPU, where --topology names GPUs (default: "
        "that of NVIDIA's DGX, where there is one).",
        reads=_read_network,
        metavar="GBIT",
    ),
)


@verb(
    makes=False,
    sets=Flags(TrainConfig, _SETTINGS),
    runs=Flags(PlanRuntime, _RUNNING),
    computes=True,
)
def plan(
    session: Session,
    model: flags.Model = None,
    topology: Annotated[
        str,
        Option(
            help="Devices to plan for: TPU chips as in v3:32x32, a slice as in v4-32, GPUs as in "
            "h100:8; local means the TPUs, GPUs or CPU of this machine (default: local). Programs "
            "for GPUs are not compiled elsewhere: their plan is an estimate.",
            show_default=False,
            autocompletion=completion.topologies,
        ),
    ] = LOCAL,
    data: Annotated[
        str | None,
        Option(
            metavar="REF",
            help="Dataset to train on, of which only the numbers of images and classes are read "
            "(default: those of ImageNet-1k).",
            autocompletion=completion.datasets,
        ),
    ] = None,
    source: Annotated[
        str | None,
        Option(
            "--from",
            metavar="REF",
            help="Plan the training that pretrain --from adds to this run, RUN@STEP, checkpoint or "
            "import (default: a run from random weights).",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    examples: Annotated[
        str | None,
        Option(metavar="N", help="Images to train on, where no dataset is given (default: 1.28M)."),
    ] = None,
    steps: flags.Steps = None,
    images: flags.Images = None,
    epochs: flags.Epochs = None,
    recipe: flags.RecipeChoice = None,
) -> None:
    """Example: vitctl plan --model G14 --topology v3:32x32 --batch 32768

    Predict whether a training run fits into the memory of TPUs or GPUs that you may not have, or of
    this machine, how fast it runs there and what it costs. For TPUs vitctl compiles the real train
    step, and calibrates the prediction on the throughput that the paper measured. A run that does
    not fit is an answer, too: exit code 0.
    """
    checkpoint = None
    if source is not None:
        checkpoint = session.one("checkpoint", source, option="--from", trunk=True)
    planned = resolve(
        session.overrides,
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        topology=topology,
        dataset=lambda own: session.one(
            "dataset", data, option="--data", stdin=source != "-", of=own
        ),
        names_dataset=data is not None,
        examples=examples,
        checkpoint=checkpoint,
        emit=session.emit,
    )
    runtime = planned.runtime(session.options.running)
    if session.options.print_config:
        session.print_config(planned.cfg)
        return
    from stages.plan.run import run

    report = run(planned.cfg, planned.inputs, runtime=runtime, emit=session.emit)
    if session.options.json:
        session.answer_json(report.as_json())
    else:
        from stages.plan.text import as_text

        session.answer_text(as_text(report))
