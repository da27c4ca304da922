"""A part of a run: some of its experiments, tasks and sparsities."""

from __future__ import annotations

from collections.abc import Collection

import xarray as xr

from mtljobs.errors import UserError, nearest


def select_part(
    run: xr.DataTree,
    *,
    experiments: Collection[str],
    tasks: Collection[str],
    sparsities: Collection[float],
) -> xr.DataTree:
    """What of a run is asked for, read when it is used; where nothing is asked for, all.

    An experiment without any of the tasks, or of the sparsities, is left out. What belongs to a
    network or to its images stays with every task.

    Args:
        run: As `open_run` gives it.

    Raises:
        UserError: None of the experiments has something that is asked for; says what they have.
    """
    _require_known("experiment", experiments, run.children)
    chosen = [node for name, node in run.children.items() if not experiments or name in experiments]
    _require_known("task", tasks, {task for node in chosen for task in _tasks(node)})
    known = sorted({float(value) for node in chosen for value in node.coords["sparsity"].values})
    for value in sparsities:
        if value not in known:
            raise UserError(
                f"there is no sparsity {value:g} to export; as fractions: "
                f"{', '.join(f'{one:g}' for one in known)}."
            )
    nodes = {"/": run.to_dataset()}
    for experiment in chosen:
        nodes |= _select_nodes(experiment, tasks, sparsities)
    if len(nodes) == 1:
        raise UserError(
            f"no experiment has a task of {', '.join(tasks)} and a sparsity of "
            f"{', '.join(f'{value:g}' for value in sparsities)} too: ask for less at a time."
        )
    return xr.DataTree.from_dict(nodes, name=run.name)


def _require_known(kind: str, asked: Collection[str], known: Collection[str]) -> None:
    for word in asked:
        if word not in known:
            raise UserError(f"there is no {kind} {word!r} to export{nearest(word, known)}.")


def _select_nodes(
    experiment: xr.DataTree, tasks: Collection[str], sparsities: Collection[float]
) -> dict[str, xr.Dataset]:
    """Path -> dataset of an experiment's nodes that are asked for; empty if it lacks them."""
    own = _tasks(experiment)
    kept = [task for task in own if not tasks or task in tasks]
    dropped = {experiment.children[task].path for task in own if task not in kept}
    nodes = {
        node.path: node.to_dataset() for node in experiment.subtree if node.path not in dropped
    }
    if sparsities:
        levels = experiment["sparsity"].isin(list(sparsities)).values
        nodes = {path: node.isel(sparsity=levels) for path, node in nodes.items()}
    nodes[experiment.path].attrs["tasks"] = " ".join(kept)
    return nodes if kept and nodes[experiment.path].sizes["sparsity"] else {}


def _tasks(experiment: xr.DataTree) -> list[str]:
    names: str = experiment.attrs["tasks"]
    return names.split()
