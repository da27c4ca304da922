"""The box as pytest fixtures: `pytest_plugins = ["testbed.fixtures"]`; README.md shows how.

`@pytest.mark.testbed(grace_s=0)` on a test, or `pytestmark` of a module, says which cluster it
wants: the fields of `SlurmOptions`. One box is up at a time, and serves all tests in a row that
want the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from testbed.config import SlurmOptions
from testbed.machine import PATH, BoxError, why_not
from testbed.slurm import SlurmBox


@dataclass
class _Current:
    box: SlurmBox | None = None

    def serve(self, options: SlurmOptions) -> SlurmBox:
        if self.box is not None and self.box.layout.options == options:
            # A test may have broken it beyond repair; the next one shall not suffer for it.
            with contextlib.suppress(BoxError):
                self.box.clean()
                return self.box
        self.stop()
        self.box = SlurmBox.start(options)
        return self.box

    def stop(self) -> None:
        if self.box is not None:
            self.box.stop()
        self.box = None


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "testbed(**options): needs a real Slurm")


@pytest.fixture(scope="session")
def _current_box() -> Iterator[_Current]:
    current = _Current()
    yield current
    current.stop()


@pytest.fixture(scope="session")
def apptainer() -> None:
    """Skips where Apptainer cannot run, or the base of an image cannot be made."""
    require("apptainer")


@pytest.fixture
def slurm(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _current_box: _Current
) -> SlurmBox:
    """A Slurm with nothing in its queue, which this process and its children submit to."""
    require("slurm")
    asked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("testbed"))):
        asked |= mark.kwargs  # the nearest to the test comes last, and wins
    box = _current_box.serve(SlurmOptions(**asked))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    for name, value in {**box.environment, "PATH": PATH}.items():
        monkeypatch.setenv(name, value)
    return box


def require(needed: Literal["slurm", "apptainer"]) -> None:
    """Skip the test, and say why, where the test bed cannot run; with MTLJOBS_TESTBED, fail it."""
    if reason := why_not(needed):
        if os.environ.get("MTLJOBS_TESTBED") == "required":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the daemons said where a test has failed."""
    report = yield
    box = getattr(item, "funcargs", {}).get("slurm")
    if report.failed and isinstance(box, SlurmBox) and box.folder.exists():
        report.sections.append(("Slurm", box.logs()))
    return report
