"""The processor time of each test, `-p tests.costs`: a machine's load changes it little, and what
threads, children and forks take is in it. Lists the dearest tests and files at the end."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from tests.forking import process

_SHOWN = 40


def _seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(which) for which in who]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + process.cpu_seconds()


class _Costs:
    def __init__(self) -> None:
        self.before = _seconds()
        self.tests: Counter[str] = Counter()
        self.setups: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Once after set-up, call and teardown each, in the process that runs the test."""
        report = yield
        after = _seconds()
        report.cpu_seconds, self.before = after - self.before, after
        return report

    def pytest_collection_finish(self) -> None:
        self.before = _seconds()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """In the process that prints."""
        self.tests[report.nodeid] += report.cpu_seconds
        if report.when == "setup":
            self.setups[report.nodeid] += report.cpu_seconds

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        files: Counter[str] = Counter()
        for name, seconds in self.tests.items():
            files[name.partition("::")[0]] += seconds
        terminalreporter.section(f"{sum(files.values()):.0f} s of processor time in tests")
        for name, seconds in files.most_common(_SHOWN):
            terminalreporter.write_line(f"{seconds:8.1f}  {name}")
        terminalreporter.write_line("    each  set-up")
        for name, seconds in self.tests.most_common(_SHOWN):
            terminalreporter.write_line(f"{seconds:8.1f} {self.setups[name]:7.1f}  {name}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Costs())
