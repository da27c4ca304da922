"""The box as pytest fixtures: `pytest_plugins = ["testbed.fixtures"]`; README.md shows how.

`@pytest.mark.testbed(grace_s=0)` on a test, or `pytestmark` of a module, says which cluster it
wants: the fields of `SlurmOptions`. One box is up at a time, and serves all tests in a row that
want the same.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.config import SlurmOptions
from testbed.slurm import PATH, SlurmBox, why_not

# Where a machine that cannot run the box is an error, as in CI.
REQUIRED = "required"


@dataclass
class _Current:
    box: SlurmBox | None = None

    def serve(self, options: SlurmOptions) -> SlurmBox:
        if self.box is None or self.box.layout.options != options:
            self.stop()
            self.box = SlurmBox.start(options)
        return self.box

    def stop(self) -> None:
        if self.box is not None:
            self.box.stop()
        self.box = None


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "testbed(**options): needs a real Slurm, with SlurmOptions")


@pytest.fixture(scope="session")
def _current_box() -> Iterator[_Current]:
    current = _Current()
    yield current
    current.stop()


@pytest.fixture
def slurm(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _current_box: _Current
) -> SlurmBox:
    """A Slurm with nothing in its queue, which this process and its children submit to."""
    if reason := why_not():
        if os.environ.get("MTLJOBS_TESTBED") == REQUIRED:
            pytest.fail(f"no Slurm on this machine: {reason}", pytrace=False)
        pytest.skip(f"no Slurm on this machine: {reason}")
    asked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("testbed"))):
        asked |= mark.kwargs  # the nearest to the test comes last, and wins
    box = _current_box.serve(SlurmOptions(**asked))
    box.clean()
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    for name, value in {**box.environment, "PATH": PATH}.items():
        monkeypatch.setenv(name, value)
    return box


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
