"""What workers and merges do, with numpy payloads, in processes that may be killed.

For programs of their own, that import everything and compute nothing before they fork: zarr starts
threads, and a fork would lose them. Processes are killed, the power is not cut, so nobody waits
for the disk: `os.fsync` does nothing here.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtljobs.contracts import ExperimentLayout, Shard, TaskLayout
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.commit import commit, new_staging, sweep_run, sweep_shared
from mtljobs.ledger.files import remove_tree, to_json
from mtljobs.ledger.paths import RunFolder, Workspace, claim_folder, create_folder
from mtljobs.ledger.records import RECORD, make_record, write_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import load_backend
from mtljobs.store.findings import Finding
from mtljobs.store.merge import merge
from mtljobs.store.requeue import requeue
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.writer import sole_writer

os.fsync = lambda descriptor: None

LAYOUT = ExperimentLayout(
    sparsities=(0.0, 0.5),
    seeds=(0, 1),
    images=tuple(f"test-{index:05d}" for index in range(59)),
    block=3,  # 20 blocks, the last of them ragged.
    size=(4, 4),
    cam_size=(1, 1),
    segments_max=4,
    tasks={"depth": TaskLayout(("near", "far"), ("abs_error",), ("abs_error",), {})},
    layers=("conv",),
    maps="scores",
    map_images=0,
    previews=1,
    inputs="5e" * 32,
    settings={},
)
BAD_CHUNK = "small/depth/irof/c.0.0.1.0.0"
NETWORK = Shard("train-x", "train", f"{0:064x}", True, (), {}, {}, {})

Place = tuple[int, int, int]
Task = tuple[str, Place | str | None]
"""A kind of process, and what it works on."""


@dataclass(frozen=True)
class Site:
    """A workspace with one run, and what is to be done there.

    Attributes:
        folder: Of the workspace.
        plans: Layouts, of which the newest one whose number stands in the plans counts.
        networks: How many shared shards there are.
        backend: As `[store]` names it.
    """

    folder: Path
    plans: tuple[ExperimentLayout, ...]
    networks: int
    backend: str

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    @property
    def run(self) -> RunFolder:
        return self.workspace.run("run")

    @property
    def store(self) -> Path:
        return load_backend(self.backend).path(self.run)

    def submit(self, number: int) -> None:
        create_folder(self.run.plans)
        (self.run.plans / str(number)).touch()

    def layouts(self) -> dict[str, ExperimentLayout]:
        newest = max(int(path.name) for path in self.run.plans.iterdir())
        return {"small": self.plans[newest]}

    def blocks(self) -> list[Place]:
        layout = self.layouts()["small"]
        return [
            (sparsity, seed, block)
            for sparsity in range(len(layout.sparsities))
            for seed in range(len(layout.seeds))
            for block in range(math.ceil(len(layout.images) / layout.block))
        ]

    def todo(self) -> list[Task]:
        """Blocks and networks whose record is nowhere."""
        done = {path.parent.name for path in self.run.committed.glob(f"*/{RECORD}")}
        done |= {path.stem for path in self.run.ledger.glob("*.json")}
        done |= {path.parent.name for path in self.workspace.networks.glob(f"*/{RECORD}")}
        networks = [f"{number:064x}" for number in range(self.networks)]
        return [
            *(("block", place) for place in self.blocks() if block_name(place) not in done),
            *(("network", identity) for identity in networks if identity not in done),
        ]

    def tree(self) -> dict[str, bytes]:
        """Every file that must not depend on what happened on the way."""
        lasting = (self.run.store, self.run.ledger, self.workspace.networks)
        files = [path for folder in lasting for path in folder.rglob("*") if path.is_file()]
        files += [self.run.store_file] if self.run.store_file.exists() else []
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}

    def leftovers(self) -> list[str]:
        """What is still there of unfinished work once the dead were swept away."""
        sweep_run(self.run)
        sweep_shared(self.workspace)
        passing = (self.run.committed, self.run.staging, self.run.quarantine)
        folders = [*passing, self.workspace.staging, self.workspace.work]
        names = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
        names += [path for path in self.run.merging.iterdir() if path.is_dir()]
        return [path.relative_to(self.folder).as_posix() for path in names]


def new_site(folder: Path, *plans: ExperimentLayout, networks: int, backend: str) -> Site:
    """A workspace under its first plan."""
    site = Site(folder, plans, networks, backend)
    load_backend(backend)  # imported before anybody forks
    site.submit(0)
    return site


def add_superpixels(site: Site) -> None:
    """What the segment shard commits for all runs."""
    inputs = create_folder(site.workspace.inputs / LAYOUT.inputs)
    np.save(inputs / "segments.npy", np.ones((59, 4, 4), dtype=np.uint16))
    np.save(inputs / "n_segments.npy", np.full(59, 4, dtype=np.uint16))
    np.save(inputs / "preview.npy", np.ones((59, 4, 4, 3), dtype=np.uint8))
    (inputs / "images.json").write_bytes(to_json(list(LAYOUT.images)))
    record = make_record(inputs, shard="segment", identity=LAYOUT.inputs, versions={})
    write_record(inputs, record)


def block_name(place: Place) -> str:
    return f"explain-small-{'-'.join(map(str, place))}-0123456789ab"


def do_block(site: Site, place: Place) -> None:
    """What the worker does with a shard of a run."""
    name = block_name(place)
    attempt = attempts.begin(site.run.attempts, name, device="cpu")
    folder = new_staging(site.run.staging, name)
    layouts = site.layouts()
    staging = Staging(folder, build_schema(layouts), load_backend(site.backend))
    values = np.random.default_rng(place)
    images = min(3, len(layouts["small"].images) - 3 * place[2])
    where = dict(zip(("sparsity", "seed", "block"), place, strict=True))
    staging.write("small/depth", "irof", values.random((images, 2, 5)), **where)
    staging.write("small/depth", "order", values.integers(0, 4, (images, 2, 4)), **where)
    staging.write("small/depth", "status", np.ones((images, 2), dtype=int), **where)
    record = make_record(folder, shard=name, identity="0" * 64, versions={"numpy": "2"})
    merged = site.run.ledger / f"{name}.json"
    is_first = commit(folder, site.run.committed / name, record, merged=merged)
    attempt.end("done" if is_first else "duplicate", "")


def do_network(site: Site, identity: str) -> None:
    """What the worker does with a shard that runs share."""
    attempt = attempts.begin(site.run.attempts, f"train-{identity}", device="cpu")
    claim = claims.acquire(claim_folder(site.workspace, identity))
    if claim is None:
        attempt.end("waiting", "")
        return
    if (site.workspace.networks / identity / RECORD).exists():
        remove_tree(site.workspace.work / identity)
        claim.release()
        attempt.end("duplicate", "")
        return
    folder = new_staging(site.workspace.staging, identity)
    (folder / "weights").write_bytes(np.random.default_rng(int(identity, 16)).bytes(5000))
    record = make_record(folder, shard=f"train-{identity}", identity=identity, versions={})
    is_first = commit(folder, site.workspace.networks / identity, record)
    remove_tree(site.workspace.work / identity)
    claim.release()
    attempt.end("done" if is_first else "duplicate", "")


def do_merge(site: Site, _: None) -> None:
    backend = load_backend(site.backend)
    report = merge(site.run, site.workspace, backend, read_layouts=site.layouts, wait_s=60)
    if report.quarantined:
        raise AssertionError(report)


def damaged(site: Site) -> list[Finding]:
    """What a check would find in a run that `damage` was done to."""
    found = [
        Finding("changed file", site.store / BAD_CHUNK, block_name((0, 0, 1)), ""),
        Finding("changed file", site.workspace.networks, NETWORK.name, ""),
    ]
    if site.store.is_file():
        return [*found, Finding("wrong metadata", site.store, None, "")]
    return [
        *found,
        Finding("wrong metadata", site.store / "small/depth/seed/c.0", None, ""),
        Finding("unknown file", site.store / "note", None, ""),
    ]


def do_requeue(site: Site, _: None) -> None:
    """What `mtljobs verify --requeue` does once it has looked."""
    plan = Plan("", (), site.layouts(), (NETWORK,), {}, site.backend)
    with sole_writer(site.run, wait_s=60) as writer:
        requeue(site.run, site.workspace, plan, damaged(site), writer=writer)


def do_mend(site: Site, _: None) -> None:
    """The same again, in peace, as the next check would find what is left; and the rest."""
    do_requeue(site, None)
    remove_tree(site.run.quarantine)
    do_rest(site, None)


def do_rest(site: Site, _: None) -> None:
    """Everything that is left, one after the other, in peace."""
    for kind, what in site.todo():
        KINDS[kind](site, what)
    do_merge(site, None)


KINDS: dict[str, Callable[..., None]] = {
    "block": do_block,
    "network": do_network,
    "merge": do_merge,
    "requeue": do_requeue,
    "mend": do_mend,
    "rest": do_rest,
}


def fork(site: Site, task: Task, *, before: Callable[[], None] = lambda: None) -> int:
    """Start a process that does one thing and ends; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        before()
        kind, what = task
        KINDS[kind](site, what)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # A child must never return into its parent's code.


def wait(pid: int) -> bool:
    """Whether the process was killed; one that failed by itself ends the program."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGKILL:
            return True
        sys.exit(f"a process died of signal {os.WTERMSIG(status)}")
    if os.WEXITSTATUS(status):
        sys.exit("a process failed by itself; its traceback stands above")
    return False


def compare(site: Site, quiet: Site) -> dict[str, object]:
    """How a site differs from one where nobody was killed; nothing but counts where it does not."""
    found, expected = site.tree(), quiet.tree()
    names = found.keys() | expected.keys()
    return {
        "files": len(expected),
        "records": sum("/ledger/" in name or name.endswith(RECORD) for name in expected),
        "different": sorted(name for name in names if found.get(name) != expected.get(name)),
        "leftovers": site.leftovers(),
    }
