"""The flags of `vitctl plan`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from stages.plan.spec import Inputs, PlanRuntime
from vitctl.console.flags import (
    Epochs,
    Head,
    Images,
    Model,
    RecipeChoice,
    Resolution,
    Steps,
    TrainBatch,
    count,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Note
from vitctl.plan.bill import amount
from vitctl.plan.topology import LOCAL, parse
from vitctl.recipes import pretraining
from vitctl.recipes.settings import length, resolve
from vitctl.settings.overrides import build

# What is planned for where nothing says how many images and classes there are.
_IMAGENET = pretraining.Images(examples=1_281_167, classes=1000, eval_split=None)


@verb(makes=False, configurable=True)
def plan(
    session: Session,
    model: Model = None,
    topology: Annotated[
        str, Option(help="Chips, as in v3:32x32, or a slice, as in v4-32; local: this machine.")
    ] = LOCAL,
    recipe: RecipeChoice = None,
    data: Annotated[
        str | None, Option(help="Dataset that says how many images and classes there are.")
    ] = None,
    examples: Annotated[
        str | None, Option(help="Images in the dataset, if there is none yet; 1.28M if left out.")
    ] = None,
    classes: Annotated[int | None, Option(help="Classes of it; 1000 if left out.")] = None,
    steps: Steps = None,
    images: Images = None,
    epochs: Epochs = None,
    batch: TrainBatch = None,
    res: Resolution = None,
    head: Head = None,
    mesh: Annotated[
        str | None, Option(help="Devices along each axis, as in data=512,fsdp=4.")
    ] = None,
    remat: Annotated[
        str | None, Option(help="What the backward pass recomputes, as pretrain takes it.")
    ] = None,
    microbatch: Annotated[int | None, Option(min=1, help="Images a device at a time.")] = None,
    search: Annotated[
        bool, Option("--search", help="Find the fastest mesh, remat and batch that fit.")
    ] = False,
    max_compiles: Annotated[int, Option(min=1, help="Compile at most so many programs.")] = 6,
    price: Annotated[str | None, Option(help="Of a device for an hour.")] = None,
    watts: Annotated[str | None, Option(help="That a device draws.")] = None,
) -> None:
    """Example: vitctl plan --model G14 --topology v3:32x32 --batch 32768

    Whether a training run fits hardware that need not be here, how fast it is there, and what it
    costs. The real train step is compiled for it; the prediction is calibrated on the throughput
    that the paper measured. What does not fit is an answer, too: exit 0.
    """
    flags: dict[str, Any] = {
        "data.batch": batch,
        "model.classes": classes,
        "model.resolution": res,
        "model.head": head,
    }
    if data is not None and examples is not None:
        raise UsageError("--data and --examples both say how many images there are",
                         hint="keep one of them")  # fmt: skip
    where = None if topology.strip().lower() == LOCAL else parse(topology)
    dataset = None if data is None else session.one("dataset", data, option="--data")
    described = _IMAGENET
    if dataset is not None:
        described = pretraining.images_of(dataset, split="train")
    elif examples is not None:
        described = pretraining.Images(count(examples, "--examples") or 0, _IMAGENET.classes, None)
        if described.examples < 1:
            raise UsageError("--examples 0 leaves nothing to train on")
    resolved = resolve(
        session.overrides.with_flags(flags),
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        images=lambda overrides: described,
        mock=dataset is None,
        target_precision="bfloat16" if where else None,  # this machine decides for itself
    )
    resolved.announce(session.emit)
    cfg = resolved.cfg
    if dataset is None and examples is None:
        session.emit(
            Note(f"for {described.examples:,} images in {cfg.model.classes:,} classes; "
                 "--data, or --examples and --classes, say otherwise")
        )  # fmt: skip
    runtime = build(
        PlanRuntime,
        {
            "mesh": mesh,
            "remat": remat,
            "microbatch": microbatch,
            "search": search,
            "largest_batch": described.examples if batch is None else None,
            "max_compiles": max_compiles,
            "price": amount(price, option="--price", unit="money an hour and device"),
            "watts": amount(watts, option="--watts", unit="watts a device"),
        },
    )
    if session.options.print_config:
        session.print_config(cfg)
        return
    from stages.plan.run import run

    found = run(cfg, Inputs(where), runtime=runtime, emit=session.emit)
    if session.options.json:
        session.answer_json(found.as_json())
    else:
        from stages.plan.text import told

        session.answer_text(told(found))
