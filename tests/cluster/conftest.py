from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from mtljobs.cluster.building import build_wheel
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger import attempts
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.frozen import read_newest
from testbed.image import base_root, build_image

CHECKOUT = Path(__file__).resolve().parents[2]

FAKE = f"""#!{sys.executable} -IS
import json, os, pathlib, re, shlex, sys
here, name = pathlib.Path(__file__).parent, pathlib.Path(__file__).name
number = 101 + len(list(here.glob(name + ".*.call")))
kinds = ("SLURM_", "SBATCH_", "SQUEUE_", "TMPDIR")
environment = {{key: value for key, value in os.environ.items() if key.startswith(kinds)}}
script = pathlib.Path(sys.argv[-1]).read_text() if name == "sbatch" else ""
call = {{"arguments": sys.argv[1:], "environment": environment, "script": script}}
(here / f"{{name}}.{{number}}.call").write_text(json.dumps(call))
queue = json.loads((here / "queue").read_text())
reasons = json.loads((here / "reasons").read_text())
if (here / f"{{name}}.fails").exists():
    sys.exit((here / f"{{name}}.fails").read_text() or "error: no contact")
if name == "sbatch":
    last = re.search("--array=0-([0-9]+)", script)
    elements = [f"{{number}}_{{i}}" for i in range(int(last[1]) + 1)] if last else [str(number)]
    if len(queue) + len(elements) > int((here / "limit").read_text()):
        sys.exit("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    queue |= dict.fromkeys(elements, sys.argv[-1])
    print(f"Submitted batch job {{number}}")
elif name == "squeue":
    for index, (element, path) in enumerate(queue.items()):
        print(element, 5000 + index, reasons.get(element, "Priority"), path, sep="|")
elif name == "scancel":
    taken = set(sys.argv[1:])
    queue = {{e: p for e, p in queue.items() if not taken & {{e, e.partition("_")[0]}}}}
else:
    print((here / f"{{name}}.out").read_text())
(here / "queue.aside").write_text(json.dumps(queue))
(here / "queue.aside").replace(here / "queue")
"""


class FakeSlurm:
    """Five small scripts that take jobs, show them in a queue, and run none."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("sbatch", "squeue", "scontrol", "scancel", "srun"):
            (folder / name).write_text(FAKE)
            (folder / name).chmod(0o755)
        self.set_queue({})
        self.hold("Priority")
        self.set_limit(10_000)
        self.set_longest(1001)

    def set_longest(self, elements):
        (self.folder / "scontrol.out").write_text(
            f"Configuration data\nMaxArraySize            = {elements}\nMaxJobCount = 10000\n"
        )

    def set_limit(self, jobs):
        """How many elements the user may have in the queue."""
        (self.folder / "limit").write_text(str(jobs))

    def fail(self, name, words=""):
        (self.folder / f"{name}.fails").write_text(words)

    @property
    def queue(self):
        """Script of every element that is in the queue."""
        return json.loads((self.folder / "queue").read_text())

    def set_queue(self, queue):
        (self.folder / "queue").write_text(json.dumps(queue))

    def hold(self, reason, *elements):
        """Let elements of the queue wait for a reason."""
        (self.folder / "reasons").write_text(json.dumps(dict.fromkeys(elements, reason)))

    def end(self, *jobs):
        """Let jobs, arrays or elements leave the queue; without a name, all."""
        self.set_queue(
            {
                element: script
                for element, script in self.queue.items()
                if jobs and not {element, element.partition("_")[0]} & {*jobs}
            }
        )

    def calls(self, name):
        paths = sorted(
            self.folder.glob(f"{name}.*.call"), key=lambda path: int(path.suffixes[0][1:])
        )
        return [json.loads(path.read_text()) for path in paths]

    @property
    def scripts(self):
        """Of each job, by its id."""
        return {str(101 + index): call["script"] for index, call in enumerate(self.calls("sbatch"))}

    def options(self, job):
        lines = [
            shlex.split(line)[1] for line in self.scripts[job].splitlines() if "#SBATCH" in line
        ]
        return dict(line[2:].partition("=")[::2] for line in lines)

    def stage(self, job):
        return self.options(job)["job-name"].rpartition("-")[2]


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch):
    """A login node with a Slurm that runs nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FakeSlurm(folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that nothing was ever written to."""
    return Workspace(tmp_path / "runs")


@pytest.fixture
def submitted(workspace: Workspace, grid_file):
    """Freezes the plan of `grid_file` as a run, as `mtljobs submit` does before it works on it."""

    def submit(name: str = "study", *changes: tuple[str, str]) -> RunFolder:
        proposal = propose(str(grid_file(*changes)), workspace=workspace, run_name=name)
        freeze(proposal)
        return proposal.run

    return submit


@pytest.fixture
def run(submitted):
    """A run of two cells that nobody has worked on."""
    return submitted()


@pytest.fixture
def shards(run):
    """The shards of the run's plan by a short name: stage, or phase, and what tells them apart."""
    plan = read_newest(run)
    dense, half = plan.cells
    names = [*dense.shards[:2], *half.shards[1:4], *dense.shards[2:], *half.shards[4:]]
    keys = ["segment", "dense", "train", "cut", "tune", "evaluate-dense", "explain-dense-0",
            "explain-dense-1", "evaluate", "explain-0", "explain-1"]  # fmt: skip
    by_name = {shard.name: shard for shard in plan.shards}
    return {key: by_name[name] for key, name in zip(keys, names, strict=True)}


@pytest.fixture
def finish(run, workspace, shards):
    """Commits results of shards, as their workers would."""

    def commit(*keys):
        for key in keys:
            shard = shards[key]
            folder = create_folder(result_folder(workspace, run, shard))
            write_record(
                folder, make_record(folder, shard=shard.name, identity=shard.identity, versions={})
            )

    return commit


@pytest.fixture
def attempt(run, shards):
    """Begins an attempt at a shard and, if it has one, writes its end."""

    def begin(key, outcome=None, detail=""):
        started = attempts.begin(run.attempts, shards[key].name, device="cpu")
        if outcome is not None:
            started.end(outcome, detail)
        return started

    return begin


@pytest.fixture(scope="session")
def image(apptainer) -> Path:
    """Python and the system's libraries, by `Apptainer.def`."""
    files = [CHECKOUT / "containers" / name for name in ("compute.lock", "install.sh", "smoke.py")]
    return build_image(
        CHECKOUT / "Apptainer.def",
        arguments={
            "BOOTSTRAP": "localimage",
            "BASE": str(base_root()),
            "STACK": "host",
            "WHEEL": str(build_wheel(CHECKOUT).relative_to(CHECKOUT)),
        },
        folder=CHECKOUT,
        inputs=files,
    )


@pytest.fixture
def finish_stages(workspace):
    """Commits empty results of a run's shards of these stages."""

    def commit(run, *stages):
        for shard in read_newest(run).shards:
            if shard.stage in stages:
                folder = create_folder(result_folder(workspace, run, shard))
                record = make_record(folder, shard=shard.name, identity=shard.identity, versions={})
                write_record(folder, record)

    return commit
