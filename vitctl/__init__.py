"""The library of vitctl: what its commands, which live in `stages`, are made of.

    errors       expected errors, and the one table of exit codes
    system_errors  errors of the system and of libraries that are expected ones to a user
    extras       which distribution is installed, and the command that adds an extra
    events       what a stage reports while it works
    stage        what every stage is made of
    summaries    what typed summaries of results are made of
    version      the version of the package; the build reads it from here
    losses       losses, mixup and top-k correctness, for one label an image or several
    printable    text that holds names of data, as one printable line
    native_log   lines of C++ libraries on stderr: their kind, and how grave they are
    protobuf     protocol buffers on the wire, as far as the few messages here need them
    text         text as people and programs write it: names, numbers, tables, JSON
    job_parts    parts of one job, as several machines do it
    settings     typed settings: the base of every Config, overrides, nested tables
    recipes      published recipes, and how one becomes the settings of a run
    pixels       one image: what its bytes are, and the pixels that training sees of it
    ingest       foreign files -> the records of a dataset
    data         images on disk -> batches in memory
    duplicates   images that are the same picture, exactly or nearly
    formula      images made by formulas: integers -> pictures
    model        the vision transformer: variants, accounting, forward pass
    optim        optimizers, schedules, averages of weights
    feature_sets  features of images, kept: on disk, or another program's
    train        training: the step, the run around it, its measurements
    inference    a trained model in use: weights, features, scores
    measures     metrics of a classifier's answers, with intervals
    clustering   k-means with one result for any number of threads and processes
    probe        the few-shot probe: a linear model on frozen features
    scaling      scaling laws: error against compute
    advice       what to train with a budget: measured runs, laws, speeds and memory joined
    plan         memory, speed and cost of a run on hardware one doesn't have
    sharding     how arrays are divided over devices
    hardware     devices and machines: names, peaks, precision, memory
    processes    several processes that train one model
    artifacts    versioned artifacts on disk: what stages read and write
    checkpoints  arrays of a checkpoint on disk, and its position in the data
    locks        one process at a time works below a path
    places       folders on disk and objects in buckets, behind one interface
    workers      worker processes on this machine, or on the nodes of a Ray cluster
    signals      SIGINT, SIGTERM, SIGHUP: finish the step, save, exit
    launch       the `vitctl` command: loads the `stages` beside this package, not another
    __main__     the same command as `python -m vitctl`
    console      the terminal side of a command
    figures      pictures of numbers, with matplotlib
    report       results as one page of HTML that needs no network
    doctor       checks of a machine that is to train
    interop      parameter trees of other codebases

What a notebook needs, loaded when it is used (docs/guide/python.md):

    load      the trained model of a checkpoint
    Store     where artifacts live
    fewshot   few-shot accuracy of features
    apply     the model as a function of parameters and images
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vitctl.version import __version__

__all__ = ["Store", "__version__", "apply", "fewshot", "load"]

if TYPE_CHECKING:
    from vitctl.artifacts.store import Store
    from vitctl.model.vit import apply
    from vitctl.probe.fewshot import accuracies as fewshot
    from vitctl.train.trained_model import load
else:
    _MODULES = {
        "Store": ("vitctl.artifacts.store", "Store"),
        "apply": ("vitctl.model.vit", "apply"),
        "fewshot": ("vitctl.probe.fewshot", "accuracies"),
        "load": ("vitctl.train.trained_model", "load"),
    }

    def __getattr__(name: str) -> Any:
        """Import what a name stands for (PEP 562): `import vitctl` alone loads no array library."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in ("apply", "load"):  # as commands do, before jax is imported
            import_module("vitctl.hardware.machine").settle_platform()
        module, attribute = _MODULES[name]
        value = globals()[name] = getattr(import_module(module), attribute)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
