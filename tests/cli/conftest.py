from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mtljobs.cli.app import main
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger import attempts
from mtljobs.ledger.attempts import Attempt
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.frozen import read_newest


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as a program reads it."""
        return json.loads(self.out)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of every command of a test; nothing was ever written to it."""
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(tmp_path / "runs"))
    return Workspace(tmp_path / "runs")


@pytest.fixture
def mtljobs(workspace, monkeypatch, capsys):
    """Runs a command line in this process, as a user types it after `mtljobs`."""

    def run(line: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["mtljobs", *shlex.split(line)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Answer(ended.value.code or 0, printed.out, printed.err)

    return run


@pytest.fixture
def submitted(workspace, grid_file):
    """Freezes the plan of `grid_file` as a run, as `mtljobs submit` does before it works on it."""

    def submit(name: str = "study") -> RunFolder:
        proposal = propose(str(grid_file()), workspace=workspace, run_name=name)
        freeze(proposal)
        return proposal.run

    return submit


@pytest.fixture
def finish(workspace):
    """Commits empty results of a run's shards whose names begin so, as their workers would."""

    def commit(run: RunFolder, beginning: str = "") -> None:
        for shard in read_newest(run).shards[:-1]:
            if shard.name.startswith(beginning):
                folder = create_folder(result_folder(workspace, run, shard))
                record = make_record(folder, shard=shard.name, identity=shard.identity, versions={})
                write_record(folder, record)

    return commit


@pytest.fixture
def attempt():
    """Makes an attempt at the first shard of a run whose name begins so, and ends it."""

    def make(run: RunFolder, beginning: str, outcome=None, detail: str = "") -> Attempt:
        names = [shard.name for shard in read_newest(run).shards]
        name = next(name for name in names if name.startswith(beginning))
        made = attempts.begin(run.attempts, name, device="cpu")
        if outcome is not None:
            made.end(outcome, detail)
        return made

    return make
