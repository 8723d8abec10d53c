"""The answer as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from vitctl.console.table import table
from vitctl.console.tree import bold, fields, warned
from vitctl.plan.answer import Answer, Candidate, Rate, Search
from vitctl.text.quantities import counted, plural, show_count, shown_digits
from vitctl.train.program.footprint import gib


def as_text(answer: Answer) -> str:
    """The whole answer as text."""
    return "\n".join(_lines(answer))


def _lines(answer: Answer) -> Iterator[str]:
    size = answer.parameters
    yield bold(f"{answer.model} at {answer.resolution} px on {answer.topology}")
    yield from fields(
        {
            "parameters": f"{size.total:,}; backbone {size.backbone:,}, "
            f"with pooling {size.features:,}, {counted(answer.classes, 'class')}",
            "work": f"{shown_digits(answer.gflops_per_image, least=4)} GFLOPs an image "
            "(forward, matrix products)",
            "batch": f"{answer.batch:,}{_each(answer)}, {answer.precision}",
            "layout": _layout(answer.mesh, answer.remat, answer.microbatch),
            "basis": "the compiled train step"
            if answer.basis == "compiled"
            else "an estimate from shapes; nothing was compiled",
        }
    )
    yield from ("", bold("memory of a device"))
    memory = answer.memory
    yield from fields(
        {
            "parameters": gib(memory.parameters),
            "optimizer": gib(memory.optimizer),
            "batch": gib(memory.batch),
            "gradients": gib(memory.gradients),
            "activations": gib(memory.activations),
            "temporaries": gib(memory.temporaries),
            "in all": gib(memory.peak)
            + (f" of {gib(memory.available)}" if memory.available is not None else ""),
        }
    )
    verdict = {
        True: "it fits",
        False: warned("it does not fit"),
        None: "whether it fits is unknown",
    }
    yield f"  {verdict[answer.fits]}"
    for line in answer.advice:
        yield f"  {line}"
    yield from ("", bold("speed"), *fields(_speed(answer)))
    length = f"{_steps(answer.steps)}, {counted(answer.images, 'image')}"
    yield from ("", bold(f"whole schedule: {length}"))
    yield from fields(_bill(answer))
    if answer.candidates:
        yield from ("", bold("compared"))
        yield table(_COLUMNS, [_row(candidate) for candidate in answer.candidates])
    if answer.search:
        yield f"  {_left_out(answer.search)}"


def _steps(count: int) -> str:
    return f"{show_count(count)} {'step' if count == 1 else 'steps'}"


def _each(answer: Answer) -> str:
    if answer.devices == 1:
        return " on one device"
    return f": {answer.batch_per_device:,} on each of {answer.devices:,} devices"


def _layout(mesh: str, remat: str, microbatch: int | None) -> str:
    parts = "" if microbatch is None else f", {plural(microbatch, 'image')} at a time"
    return f"mesh {mesh}, remat {remat}{parts}"


def _speed(answer: Answer) -> dict[str, str]:
    rate = answer.rate
    if rate.predicted is None or rate.roofline is None or rate.efficiency is None:
        return {"predicted": "unknown: " + _why_unknown(answer)}
    mfu = f", MFU {rate.mfu:.0%}" if rate.mfu is not None else ""
    as_text = {
        "predicted": f"{_rounded(rate.predicted)} images/s a device{_range(rate)}, "
        f"{_count(rate.predicted * answer.devices)} in all{mfu}",
        "at most": f"{_rounded(rate.roofline)} images/s a device by the roofline, an upper bound",
        "efficiency": f"{rate.efficiency:.0%} of the cost, {_efficiency(rate)}",
    }
    if rate.left_out is not None:
        as_text["calibration"] = _calibration(answer, rate.left_out)
    return as_text


def _efficiency(rate: Rate) -> str:
    if rate.calibration == "GPUs":
        return "an assumption: the mean of what other programs reach on A100 and H100"
    return "an assumption: measured on v3" if rate.assumed else "as the paper measured"


def _range(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return ""
    return f" ({_rounded(rate.low)} to {_rounded(rate.high)})"


def _calibration(answer: Answer, error: float) -> str:
    if answer.rate.measured:
        return (
            f"predicted from the paper's other models, {answer.model} would be off by {error:+.1%}"
        )
    if answer.rate.calibration == "GPUs":
        return (
            "rates that others published, each predicted from those of other models and GPUs, are "
            f"off by {error:.0%} at most"
        )
    return f"the paper's models, each predicted from the others, are off by {error:.1%} at most"


def _left_out(search: Search) -> str:
    """What a search did not compile, and why."""
    if not search.compiled:
        return (
            f"the fastest by the estimate of {search.counted:,} ways to run; "
            f"{search.too_large:,} need too much memory"
        )
    why = {
        "need too much memory by the count": search.too_large,
        "are slower by the estimate": search.slower,
        "were left, as --max-compiles says": search.untried,
    }
    parts = [f"{count:,} {reason}" for reason, count in why.items() if count]
    rest = f"; of the others {', '.join(parts)}" if parts else ""
    return f"{search.compiled} of {search.counted:,} ways to run compiled{rest}"


def _why_unknown(answer: Answer) -> str:
    if answer.fits is False:
        return "it does not fit"
    return f"no peak and bandwidth are known for {answer.topology}"


def _bill(answer: Answer) -> dict[str, str]:
    bill = answer.bill
    if bill is None:
        return {"device-hours": "unknown"}
    days = bill.wall_hours / 24
    devices = "one device" if answer.devices == 1 else f"{answer.devices:,} devices"
    took = (
        f"{shown_digits(days, least=3)} days"
        if days >= 1
        else f"{shown_digits(bill.wall_hours, least=3)} hours"
    )
    as_text = {"device-hours": f"{_count(bill.device_hours)}; {took} on {devices}"}
    if bill.money is not None:
        as_text["money"] = _count(bill.money)
    if bill.energy_kwh is not None:
        as_text["energy"] = f"{_count(bill.energy_kwh)} kWh"
    return as_text


def _rounded(value: float) -> str:
    """Three digits that matter: 11.3 or 1,590."""
    return _count(value, digits=3)


def _count(value: float, *, digits: int = 4) -> str:
    """So many digits that matter, in full: 808,800 or 8.088."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"


_COLUMNS = ("mesh", "remat", "batch", "memory", "fits", "images/s a device", "basis")


def _row(candidate: Candidate) -> list[str]:
    rate = candidate.images_per_second_per_device
    return [
        candidate.mesh,
        candidate.remat,
        f"{candidate.batch:,}",
        gib(candidate.peak_bytes),
        "yes" if candidate.fits else "no",
        "" if rate is None else _rounded(rate),
        candidate.basis,
    ]
