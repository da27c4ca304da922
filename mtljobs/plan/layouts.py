"""The store's shapes and labels of an experiment: fixed by its first plan, grown at the ends."""

from __future__ import annotations

import dataclasses
from typing import Any

from mtljobs.contracts import DatasetInfo, ExperimentLayout, TaskLayout
from mtljobs.errors import GridError, nearest
from mtljobs.plan.networks import data_identity
from mtljobs.settings import canonical
from mtljobs.settings.explain import RegionPerturbation
from mtljobs.settings.grid import Experiment
from mtljobs.settings.numerics import Numerics


def new_layout(
    experiment: Experiment, *, info: DatasetInfo, numerics: Numerics, inputs: str
) -> ExperimentLayout:
    """The layout that an experiment's own settings give.

    Args:
        inputs: Identity of the superpixels.
    """
    size = experiment.data.size
    return ExperimentLayout(
        sparsities=experiment.sparsities,
        seeds=experiment.seeds,
        images=explained_images(experiment, info),
        block=experiment.explain.block_size(),
        size=size,
        cam_size=experiment.explain.saliency.map_size(experiment.model, size),
        segments_max=experiment.explain.segments_room(),
        tasks={
            task.name: TaskLayout(
                groups=task.groups(info),
                metrics=task.metrics,
                lower_is_better=task.lower_is_better,
                arrays=task.arrays,
            )
            for task in experiment.tasks
        },
        layers=experiment.model.convolutions(task_names(experiment)),
        maps=experiment.explain.maps,
        map_images=experiment.explain.mapped_images(),
        previews=experiment.explain.previews if info.preview_allowed else 0,
        inputs=inputs,
        settings=comparable_settings(experiment, info=info, numerics=numerics),
    )


def grow_layout(old: ExperimentLayout, new: ExperimentLayout) -> ExperimentLayout:
    """`old` with the sparsities and seeds that only `new` has appended."""
    return dataclasses.replace(
        old,
        sparsities=_append(old.sparsities, new.sparsities),
        seeds=_append(old.seeds, new.seeds),
    )


def is_growth(old: ExperimentLayout, new: ExperimentLayout) -> bool:
    """Whether the layouts differ in sparsities and seeds alone."""
    return dataclasses.replace(new, sparsities=old.sparsities, seeds=old.seeds) == old


def comparable_settings(
    experiment: Experiment, *, info: DatasetInfo, numerics: Numerics
) -> dict[str, Any]:
    """All that is behind an experiment's results, resolved, less the axes that may grow."""
    explain = dataclasses.replace(
        experiment.explain,
        block=experiment.explain.block_size(),
        segments_max=experiment.explain.segments_room(),
        saliency=experiment.explain.saliency.resolved(experiment.model),
    )
    training = experiment.training.over(len(info.splits["train"]))
    values: dict[str, Any] = canonical(
        dataclasses.replace(experiment, explain=explain, training=training)
    )
    del values["sparsities"], values["seeds"]
    batch = numerics.resolved_irof_batch(experiment.data.size, experiment.model.width)
    return {
        "experiment": values,
        "numerics": canonical(dataclasses.replace(numerics, irof_batch=batch)),
        "data_sha256": data_identity(info),
        "depth_unit": info.depth_unit,
        "depth_scale": info.depth_scale,
    }


def task_names(experiment: Experiment) -> tuple[str, ...]:
    """Names of the experiment's tasks, in its order."""
    return tuple(task.name for task in experiment.tasks)


def explained_images(experiment: Experiment, info: DatasetInfo) -> tuple[str, ...]:
    """Images of the test split, spread evenly over it."""
    ids = info.splits["test"]
    count = experiment.explain.images
    if count > len(ids):
        raise GridError(
            f"experiment {experiment.name!r} explains {count} images, but the test split of "
            f"{info.id!r} has {len(ids)}; lower explain.images."
        )
    return tuple(ids[index * len(ids) // count] for index in range(count))


def check_experiment(experiment: Experiment, info: DatasetInfo) -> None:
    """Refuse what its settings classes cannot see alone.

    Raises:
        GridError: A target that the data set lacks, a size that the model cannot take, images
            without room for what faithfulness removes, a batch larger than the training split, a
            validation without images, best weights of a network that prunes as it trains, or a
            sparsity out of the method's reach.
    """
    where = f"experiment {experiment.name!r}"
    for task in experiment.tasks:
        if task.name not in info.tasks:
            raise GridError(
                f"{where}: the data set {info.id!r} has no {task.name}"
                f"{nearest(task.name, info.tasks)}."
            )
    multiple = experiment.model.size_multiple
    if any(edge % multiple for edge in experiment.data.size):
        raise GridError(
            f"{where}: {experiment.model.name} takes images whose rows and columns are multiples "
            f"of {multiple}, received {experiment.data.size[0]} x {experiment.data.size[1]}."
        )
    _check_faithfulness(experiment)
    _check_sparsities(experiment)
    _check_training(experiment, info)


def _check_faithfulness(experiment: Experiment) -> None:
    faithfulness, room = experiment.explain.faithfulness, experiment.explain.segments_room()
    # Every image has pixels for all its superpixels; squares are for the settings to count.
    if isinstance(faithfulness, RegionPerturbation):
        rows, columns = experiment.data.size
        if room > (most := faithfulness.most_steps((rows, columns))):
            raise GridError(
                f"experiment {experiment.name!r}: region perturbation takes a square for each "
                f"superpixel, of which an image may have {room}, and {rows} x {columns} pixels "
                f"hold {most} squares of edge {faithfulness.edge}; lower "
                "explain.faithfulness.edge, explain.superpixels.n_segments or "
                "explain.segments_max."
            )


def _check_training(experiment: Experiment, info: DatasetInfo) -> None:
    where = f"experiment {experiment.name!r}"
    if experiment.training.batch > len(info.splits["train"]):
        raise GridError(
            f"{where}: training.batch = {experiment.training.batch} exceeds the "
            f"{len(info.splits['train'])} training images of {info.id!r}."
        )
    if experiment.training.validate_every and not info.splits["validation"]:
        raise GridError(
            f"{where}: training.validate_every asks for validation images, and {info.id!r} has "
            "none: prepare the data set with a validation part, or leave out validate_every and "
            'keep = "best". The test images are for the results alone.'
        )
    phases = [
        phase for sparsity in experiment.sparsities for phase in experiment.pruning.recipe(sparsity)
    ]
    if experiment.training.keep == "best" and any(
        phase.kind == "train" and phase.sparsity for phase in phases
    ):
        raise GridError(
            f"{where}: {experiment.pruning.name} prunes while it trains, so its best weights may "
            'be from before it reached the sparsity: use training.keep = "last".'
        )


def _check_sparsities(experiment: Experiment) -> None:
    groups = experiment.model.channel_groups(task_names(experiment))
    reach = experiment.pruning.reachable(groups)
    for sparsity in experiment.sparsities:
        if sparsity and sparsity not in reach:
            raise GridError(
                f"experiment {experiment.name!r}: {experiment.pruning.name} cannot reach a "
                f"sparsity of {sparsity:g} on {experiment.model.name} at this width; reachable: "
                f"{reach}."
            )


def _append(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    return old + tuple(value for value in new if value not in old)
