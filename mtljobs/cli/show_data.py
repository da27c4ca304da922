"""What `mtljobs data prepare` prints, for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from mtljobs.contracts import DatasetInfo
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.datasets import info_path, prepared_as
from mtljobs.settings.sizes import parse_size


def prepared_values(info: DatasetInfo, workspace: Workspace) -> dict[str, Any]:
    """What was prepared, as JSON values."""
    return {
        "id": info.id,
        "dataset": str(info_path(workspace, info.id)),
        "images": _counts(info),
        "tasks": info.tasks,
        "sizes": list(info.description.get("sizes", ())),
        "sha256": info.sha256,
    }


def print_prepared(console: Console, info: DatasetInfo, workspace: Workspace) -> None:
    """What was prepared, and how a grid names it."""
    sizes = list(info.description.get("sizes", ()))
    size = list(parse_size(sizes[0])) if sizes else "[...]"
    table = f'name = "{prepared_as(info)}", id = "{info.id}", size = {size}'
    console.print(
        f"{info.id}: {', '.join(f'{count} {split}' for split, count in _counts(info).items())}; "
        f"{', '.join(info.tasks)}{'; at ' if sizes else ''}{', '.join(sizes)}"
    )
    path = info_path(workspace, info.id)
    console.print(f"wrote {path}; in a grid: data = {{ {table} }}")


def _counts(info: DatasetInfo) -> dict[str, int]:
    return {split: len(ids) for split, ids in info.splits.items()}
