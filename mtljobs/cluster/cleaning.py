"""What takes room in a run and in what runs share, and removing what nobody uses of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtljobs.cluster.runs import run_workspace
from mtljobs.errors import CorruptionError
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.commit import find_dead, find_dead_shared
from mtljobs.ledger.files import remove_tree
from mtljobs.ledger.paths import RunFolder, Workspace, claim_folder
from mtljobs.plan.frozen import read_newest

KINDS = {
    "leftovers": ("what dead attempts left", "nothing is lost"),
    "checkpoints": ("unfinished shards nobody works on", "they begin again"),
    "logs": ("what ended attempts printed", "cannot be made again"),
    "events": ("TensorBoard's curves of trainings", "cannot be made again"),
    "quarantine": ("results that were not what their records say", "cannot be made again"),
    "networks": ("finished networks that no run here plans", "would be trained again"),
    "report": ("figures and the page", "`mtljobs report` makes them again"),
}
"""Kind of files -> what they are, and what it means to remove them."""

KEPT = {
    "store": ("the run's results", "never removed here"),
    "maps": ("saliency maps in a store of many files", "never removed here"),
    "planned networks": ("finished networks that runs here plan", "never removed here"),
    "submissions": ("what jobs are given and print", "never removed here"),
}
"""The same of what is shown, where there is any, and stays."""


@dataclass(frozen=True)
class Room:
    """What one kind of files takes.

    Attributes:
        kind: Of `KINDS` or `KEPT`.
        files: Files and folders, which quotas count alike.
        size: In bytes.
    """

    kind: str
    files: int
    size: int


def measure(run: RunFolder, kind: str) -> Room:
    """What a kind takes, of what nobody uses.

    Args:
        kind: Of `KINDS` or `KEPT`.

    Raises:
        CorruptionError: Some run's plan cannot be read, so nobody knows whose networks are whose.
    """
    return _count(kind, _FINDERS[kind](run))


def measure_all(run: RunFolder, *, tell: Callable[[str], None]) -> Iterator[Room]:
    """What every kind takes, without what stays and is not there.

    Args:
        tell: Given a sentence about each kind of which nothing can be said.
    """
    for kind in KEPT | KINDS:
        try:
            room = measure(run, kind)
        except CorruptionError as error:
            tell(f"{kind} are left out: {error}")
            continue
        if room.files or kind in KINDS:
            yield room


def remove(run: RunFolder, kind: str) -> Room:
    """Remove the files of a kind that nobody uses; what went.

    What somebody begins to use meanwhile stays. Safe to kill and to repeat.

    Args:
        kind: Of `KINDS`.

    Raises:
        CorruptionError: As `measure`.
    """
    gone = Room(kind, 0, 0)
    for path in _FINDERS[kind](run):
        one = _count(kind, [path])
        if path.is_dir():
            remove_tree(path)
        else:
            path.unlink(missing_ok=True)
        gone = Room(kind, gone.files + one.files, gone.size + one.size)
    return gone


def _find_leftovers(run: RunFolder) -> Iterator[Path]:
    yield from find_dead(run)
    yield from find_dead_shared(run_workspace(run))


def _find_checkpoints(run: RunFolder) -> Iterator[Path]:
    workspace = run_workspace(run)
    dead = set(_find_leftovers(run))
    yield from (path for path in _idle(run.work, lambda name: _runs(run, name)) if path not in dead)
    shared = _idle(workspace.work, lambda name: _held(workspace, name))
    yield from (path for path in shared if path not in dead)


def _find_logs(run: RunFolder) -> Iterator[Path]:
    for path in _idle(run.logs, lambda name: _runs(run, name.rsplit(".", 2)[0])):
        if path != run.sweeps:
            yield path


def _find_events(run: RunFolder) -> Iterator[Path]:
    yield from _idle(run.tensorboard, lambda name: _runs(run, name))


def _find_quarantine(run: RunFolder) -> Iterator[Path]:
    yield from _idle(run.quarantine, lambda _: False)


def _find_networks(run: RunFolder) -> Iterator[Path]:
    workspace = run_workspace(run)
    for path, is_planned in _networks(workspace):
        if not is_planned and not _held(workspace, path.name):
            yield path


def _find_planned_networks(run: RunFolder) -> Iterator[Path]:
    yield from (path for path, is_planned in _networks(run_workspace(run)) if is_planned)


def _networks(workspace: Workspace) -> Iterator[tuple[Path, bool]]:
    """Every finished network, and whether some run plans it."""
    # Listed before the plans are read: a network is planned before it is there.
    finished = _list(workspace.networks)
    plans = (read_newest(workspace.run(name)) for name in workspace.run_names())
    planned = {shard.identity for plan in plans if plan is not None for shard in plan.shards}
    yield from ((path, path.name in planned) for path in finished)


def _find_report(run: RunFolder) -> Iterator[Path]:
    if not run.report.is_symlink():  # what it leads to may be another run's
        names = {"index.html", *_figure_names(run)}
        yield from (path for path in _list(run.report) if path.name in names)


def _figure_names(run: RunFolder) -> Iterator[str]:
    """How a report's figures are called, of every experiment and task that the run has."""
    plan = read_newest(run)
    for name, layout in () if plan is None else plan.layouts.items():
        whole = ("faithfulness", "performance", "curves", f"layers-{name}", f"steps-{name}")
        kinds = ("groups", "saliency")
        of_tasks = [f"{kind}-{name}-{task}" for kind in kinds for task in layout.tasks]
        yield from (f"{figure}.{end}" for figure in (*whole, *of_tasks) for end in ("svg", "png"))


def _find_submissions(run: RunFolder) -> Iterator[Path]:
    yield from _list(run.submissions)


def _find_store(run: RunFolder) -> Iterator[Path]:
    yield from (run.store, run.store_file)


def _find_maps(run: RunFolder) -> Iterator[Path]:
    yield from (path for path in run.store.glob("*/*/cam*") if path.name in {"cam", "cam_half"})


_FINDERS: dict[str, Callable[[RunFolder], Iterator[Path]]] = {
    "leftovers": _find_leftovers,
    "checkpoints": _find_checkpoints,
    "logs": _find_logs,
    "events": _find_events,
    "quarantine": _find_quarantine,
    "networks": _find_networks,
    "store": _find_store,
    "maps": _find_maps,
    "planned networks": _find_planned_networks,
    "report": _find_report,
    "submissions": _find_submissions,
}


def _idle(folder: Path, in_use: Callable[[str], bool]) -> Iterator[Path]:
    """What lies in a folder and is not used at the moment when it is looked at."""
    return (path for path in _list(folder) if not in_use(path.name))


def _runs(run: RunFolder, shard: str) -> bool:
    return attempts.is_running(run.attempts, shard)


def _held(workspace: Workspace, identity: str) -> bool:
    return claims.is_held(claim_folder(workspace, identity))


def _list(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _count(kind: str, paths: Iterable[Path]) -> Room:
    everything = [inner for path in paths for inner in _walk(path)]
    sizes = [path.lstat().st_size for path in everything if path.is_symlink() or path.is_file()]
    return Room(kind, len(everything), sum(sizes))


def _walk(path: Path) -> Iterator[Path]:
    """A path, if it is there, and all below; a link is what it is, and not what it leads to."""
    if path.is_symlink() or path.exists():
        yield path
    if not path.is_symlink():
        yield from path.rglob("*")
