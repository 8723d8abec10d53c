"""How `vitctl report` works: what is named -> the page -> its file."""

from __future__ import annotations

from pathlib import Path

from stages.report.spec import Inputs, PageRequest, Written
from vitctl.artifacts import Run, Store
from vitctl.errors import NotFoundError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.places import out_file
from vitctl.report.page import Page, page
from vitctl.text.quantities import show_bytes


def run(request: PageRequest, inputs: Inputs, *, store: Store, emit: Emit = silent) -> Written:
    """Write the page, whole or not at all.

    Raises:
      NotFoundError: the store is empty, or a run has no such step.
      OverwriteError: another file is there.
      UsageError: it cannot be written, or is of more artifacts than a page has.
      DoesNotFitError: the page would be too large.
    """
    named = inputs.named
    if named is None:
        named = tuple((entry, None) for entry in store.entries(check=False))
        if not named:
            raise NotFoundError(
                f"there is nothing in {store.root} yet", hint="make a dataset: vitctl shard SRC"
            )
    written = page(named, store=store, parents=request.parents, title=request.title)
    for problem in written.problems:
        emit(Caution(problem))
    _write(request, written)
    count = len(written.subjects)
    emit(
        Note(
            f"{request.file}: {count} {'result' if count == 1 else 'results'}, "
            f"{show_bytes(len(written.content))}; open it in any browser, no network needed"
        )
    )
    return Written(
        request.file,
        len(written.content),
        tuple(
            (s.id, "run" if isinstance(s.entry, Run) else s.kind, s.label) for s in written.subjects
        ),
        written.problems,
    )


def _write(request: PageRequest, written: Page) -> None:
    """Put the page into its file; one that has these very bytes is left as it is."""
    file = request.file
    try:
        if _is_same(file, written.content):
            return
        if file.is_symlink() or (file.exists() and not request.force):
            raise out_file.taken(file)
    except OSError as error:
        raise out_file.unwritable(file, error) from None
    out_file.write(file, written.content)


def _is_same(file: Path, content: bytes) -> bool:
    if file.is_symlink() or not file.is_file() or file.stat().st_size != len(content):
        return False
    return file.read_bytes() == content
