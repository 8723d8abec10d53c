"""How `vitctl scaling plot` works: table or fit -> study -> figures -> artifact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from stages.scaling.analysis import name_of, parent_of, resolve_config, say_guesses, study_table
from stages.scaling.fit.spec import REPORT
from stages.scaling.plot.spec import VERSION, FigureName, Inputs, PlotConfig
from vitctl import extras
from vitctl.artifacts import Artifact, Parent, Recipe, Store, crew
from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds import SCALING_PLOT
from vitctl.artifacts.kinds.plots import Drawn, Plots
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Note, silent
from vitctl.scaling.summary import FitReport
from vitctl.scaling.user_table import errors_or_losses, resolve_metric
from vitctl.stage import Runtime
from vitctl.text.tables import Table, read_table

_OF_STUDY: tuple[FigureName, ...] = (
    "compute",
    "model-size",
    "data-size",
    "images-seen",
    "held-out",
)
_LACKING: dict[FigureName, str] = {
    "model-size": "it needs a column of model names with two models or more",
    "data-size": "it needs a column of training set sizes with two sizes or more",
    "images-seen": "it needs columns of model names and of images seen",
    "held-out": "it needs runs enough to hold some out, and of a fit one made by this version",
}
_TITLES: dict[FigureName, str] = {
    "compute": "Error over compute, with the frontier, its law and residuals",
    "model-size": "Best error by model size",
    "data-size": "Best error by size of the training set",
    "images-seen": "Error over images seen, by model",
    "held-out": "Forms of the law fitted to the cheap runs, over the expensive ones",
    "schedules": "Learning rate schedules with their cooldown branches",
    "weight-decay": "Accuracy by the weight decay of head and body",
}


def run(
    cfg: PlotConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: Runtime,
    emit: Emit = silent,
) -> Artifact:
    """Draw the figures and return their artifact: the finished one of this recipe, or a new one."""
    # ---- What can be drawn of which input
    table = None if inputs.table is None else read_table(inputs.table)
    wanted = _wanted(cfg, table)
    if table is not None:
        given, cfg = cfg, resolve(cfg, table)
        if set(wanted) & set(_OF_STUDY):
            say_guesses(given.study, cfg.study, table, emit=emit)
    recipe = Recipe(
        stage="scaling-plot",
        version=VERSION,
        kind=SCALING_PLOT.name,
        config=cfg.model_dump(mode="json"),
        parents=(_parent(inputs, table),),
    )
    name = runtime.name or slug(_stem(inputs, table), default="table")
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        if draft.finished is not None:
            return draft.finished
        makers = _makers(cfg, inputs, table, wanted=wanted, emit=emit)

        # ---- Draw them
        drawn = []
        for figure, make in makers.items():
            for theme in cfg.themes:
                for form in cfg.formats:
                    file = f"{figure}-{theme}.{form}"
                    data = make(theme, form)
                    if data is None:
                        _cannot(figure, requested=cfg.figures is not None, emit=emit)
                        break
                    (draft.path / file).write_atomic(data)
                    drawn.append(Drawn(figure=figure, theme=theme, format=form, file=file))
                else:
                    continue
                break
        return draft.publish(summary=Plots(figures=tuple(drawn)).as_json())


# Choosing


def _wanted(cfg: PlotConfig, table: Table | None) -> tuple[FigureName, ...]:
    """The requested figures, or all that the input has columns for."""
    if cfg.figures is not None:
        if "weight-decay" in cfg.figures and table is None:
            raise UsageError(
                "a fit has no weight decays to draw", hint="give the table of runs instead"
            )
        return cfg.figures
    if table is None:
        return (*_OF_STUDY, "schedules")
    columns = cfg.study.columns
    decay = cfg.wd_head in table.columns and cfg.wd_body in table.columns
    law = columns.compute is not None or "compute" in table.columns
    of_study = _OF_STUDY if law or not decay else ()
    return (*of_study, "schedules", *(("weight-decay",) if decay else ()))


def resolve(cfg: PlotConfig, table: Table) -> PlotConfig:
    """The configuration without open questions, for a table."""
    study, wanted = cfg.study, _wanted(cfg, table)
    if set(wanted) & set(_OF_STUDY):
        study = resolve_config(study, table)
    elif "weight-decay" in wanted:
        study = study.model_copy(update={"columns": resolve_metric(study.columns, table)})
    return cfg.model_copy(update={"study": study})


def _parent(inputs: Inputs, table: Table | None) -> Parent:
    if table is None:
        assert inputs.fit is not None
        return inputs.fit.as_parent("fit")
    return parent_of(table, inputs.sweep)


def _stem(inputs: Inputs, table: Table | None) -> str:
    if table is None:
        assert inputs.fit is not None
        return plain_name(inputs.fit)
    return name_of(table, inputs.sweep)


def _cannot(figure: FigureName, *, requested: bool, emit: Emit) -> None:
    why = f"the figure {figure} can't be drawn: {_LACKING[figure]}"
    if requested:
        hint = "name the columns: --set study.columns.model=COLUMN, ..."
        if figure == "held-out":
            hint = (
                "of a table choose where runs are held out: --set 'study.below=[COMPUTE]'; a fit "
                "is made again by scaling fit --force"
            )
        raise InputError(why, hint=hint)
    emit(Note(why))


# Drawing


def _makers(
    cfg: PlotConfig,
    inputs: Inputs,
    table: Table | None,
    *,
    wanted: tuple[FigureName, ...],
    emit: Emit,
) -> dict[FigureName, Callable[[Any, Any], bytes | None]]:
    """For each figure the function (theme, format) -> bytes, or None where a column lacks.

    A figure is made anew for each file: laying out a picture changes it, and the bytes must not
    depend on what was rendered before.
    """
    try:
        from vitctl.figures import decay, forecasts, scaling, schedules, style
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        raise UsageError("drawing needs matplotlib", hint=extras.install("report")) from None

    branches = cfg.schedules
    figures: dict[FigureName, Callable[[style.Theme], Any]] = {
        "schedules": lambda theme: schedules.schedules(
            schedules.Branches(
                warmup_steps=branches.warmup_steps,
                timescale_steps=branches.timescale_steps,
                drop_end_steps=branches.drop_end_steps,
                cooldown_steps=branches.cooldown_steps,
                lengths=branches.ends,
            ),
            theme,
        ),
    }
    if set(wanted) & set(_OF_STUDY):
        report = _report(cfg, inputs, table, emit=emit)
        figures |= {
            "compute": partial(scaling.error_over_compute, report),
            "model-size": partial(scaling.error_by_model_size, report),
            "data-size": partial(scaling.error_by_data_size, report),
            "images-seen": partial(scaling.error_over_images, report),
            "held-out": partial(forecasts.forecasts, report),
        }
    if "weight-decay" in wanted:
        assert table is not None
        rows = table.where(cfg.study.columns.where)
        columns = cfg.study.columns
        if columns.unit == "none":
            raise UsageError(
                "the map of weight decays shows accuracies or error rates, not of a loss",
                hint="name such a column: --accuracy COLUMN",
            )
        metric = errors_or_losses(rows, columns)
        head, body = rows.numbers(cfg.wd_head), rows.numbers(cfg.wd_body)
        accuracy = metric if columns.accuracy is not None else 1 - metric
        figures["weight-decay"] = lambda theme: decay.decay_heat_map(
            head, body, accuracy, theme, metric=columns.metric or ""
        )

    def maker(name: FigureName) -> Callable[[Any, Any], bytes | None]:
        def make(theme: style.ThemeName, form: style.Format) -> bytes | None:
            drawn = figures[name](style.THEMES[theme])
            if drawn is None:
                return None
            return style.render(
                drawn, form=form, title=f"{name}-{theme}", description=_TITLES[name]
            )

        return make

    return {name: maker(name) for name in wanted}


def _report(cfg: PlotConfig, inputs: Inputs, table: Table | None, *, emit: Emit) -> FitReport:
    if table is not None:
        return study_table(cfg.study, table, emit=emit)
    assert inputs.fit is not None
    repair = f"see all: vitctl verify --deep {inputs.fit.path}"
    return read_part(inputs.fit.path / REPORT, FitReport, repair=repair)
