"""The shards of one cell: its networks, its evaluation, its explanations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mtljobs.contracts import DatasetInfo, ExperimentLayout, Shard
from mtljobs.plan.frozen import Cell
from mtljobs.plan.layouts import new_layout
from mtljobs.plan.networks import (
    NAME_DIGITS,
    NetworkPlanner,
    computing,
    data_identity,
    shard_identity,
    shared_shard,
)
from mtljobs.settings import canonical, digest
from mtljobs.settings.grid import Experiment
from mtljobs.settings.numerics import Numerics


@dataclass(frozen=True)
class CellPlanner:
    """Makes the cells of one experiment.

    Attributes:
        experiment: As the grid says.
        info: Of its data set.
        numerics: As the grid says.
    """

    experiment: Experiment
    info: DatasetInfo
    numerics: Numerics

    def layout(self) -> ExperimentLayout:
        """The layout that the experiment has by itself."""
        return new_layout(
            self.experiment, info=self.info, numerics=self.numerics, inputs=self.segment.identity
        )

    @cached_property
    def segment(self) -> Shard:
        """The superpixels of the whole test split, shared by every network."""
        spec = {
            "stage": "segment",
            "data": canonical(self.experiment.data),
            "superpixels": canonical(self.experiment.explain.superpixels),
            "segments_max": self.experiment.explain.segments_room(),
            "numerics": computing(self.numerics),
        }
        return shared_shard(spec, inputs={"data": data_identity(self.info)}, parents=())

    def plan(
        self, sparsity: float, seed: int, layout: ExperimentLayout
    ) -> tuple[Cell, tuple[Shard, ...]]:
        """A cell and its shards, parents first.

        Args:
            layout: The experiment's layout in the run; says which index the cell's axes have.
        """
        networks = self._networks.chain(sparsity, seed)
        place = {
            "experiment": self.experiment.name,
            "sparsity": layout.sparsities.index(sparsity),
            "seed": layout.seeds.index(seed),
        }
        label = f"{self.experiment.name}-{sparsity:g}-{seed}"
        results = [self._evaluate(networks[-1], label, place, layout)]
        results += [
            self._explain(networks[-1], f"{label}-{block}", {**place, "block": block}, layout)
            for block in range(-(-len(layout.images) // layout.block))
        ]
        shards = (self.segment, *networks, *results)
        cell = Cell(
            experiment=self.experiment.name,
            sparsity=sparsity,
            seed=seed,
            identity=digest([shard.identity for shard in results]),
            network=networks[-1].identity,
            shards=tuple(shard.name for shard in shards),
        )
        return cell, shards

    def _evaluate(
        self, network: Shard, label: str, place: dict[str, Any], layout: ExperimentLayout
    ) -> Shard:
        spec = {"stage": "evaluate", **self._computing, "images": list(layout.images)}
        inputs = {"data": data_identity(self.info), "network": network.identity}
        return _run_shard(spec, inputs, label, place, parents=(network.name,))

    def _explain(
        self,
        network: Shard,
        label: str,
        place: dict[str, Any],
        layout: ExperimentLayout,
    ) -> Shard:
        start = place["block"] * layout.block
        images = list(layout.images[start : start + layout.block])
        mapped = min(max(layout.map_images - start, 0), len(images))
        spec = {
            **self._explaining,
            "images": images,
            "segments_max": layout.segments_max,
            "maps": layout.maps if mapped else "scores",
            "map_images": mapped,
        }
        inputs = {
            "data": data_identity(self.info),
            "network": network.identity,
            "segments": self.segment.identity,
        }
        return _run_shard(spec, inputs, label, place, parents=(self.segment.name, network.name))

    @cached_property
    def _networks(self) -> NetworkPlanner:
        return NetworkPlanner(self.experiment, self.info, self.numerics)

    @cached_property
    def _explaining(self) -> dict[str, Any]:
        """What all explanations of the experiment share."""
        explain, model = self.experiment.explain, self.experiment.model
        return {
            "stage": "explain",
            **self._computing,
            "saliency": canonical(explain.saliency.resolved(model)),
            "faithfulness": canonical(explain.faithfulness),
            "forward": canonical(explain.forward),
            "irof_batch": self.numerics.resolved_irof_batch(self.experiment.data.size, model.width),
        }

    @cached_property
    def _computing(self) -> dict[str, Any]:
        """What all that computes with the experiment's networks shares."""
        return {
            "data": canonical(self.experiment.data),
            "model": canonical(self.experiment.model),
            "tasks": canonical(self.experiment.tasks),
            "numerics": computing(self.numerics),
        }


def reduction(shards: tuple[Shard, ...]) -> Shard:
    """The line of the reduction: always due, after everything else."""
    identity = digest(sorted(shard.identity for shard in shards))
    return Shard(
        name="reduce",
        stage="reduce",
        identity=identity,
        shared=False,
        parents=tuple(shard.name for shard in shards),
        inputs={},
        spec={"stage": "reduce"},
        place={},
    )


def _run_shard(
    spec: dict[str, Any],
    inputs: dict[str, str],
    label: str,
    place: dict[str, Any],
    *,
    parents: tuple[str, ...],
) -> Shard:
    identity = shard_identity(spec, inputs)
    name = f"{spec['stage']}-{label}-{identity[:NAME_DIGITS]}"
    return Shard(name, spec["stage"], identity, False, parents, inputs, spec, place)
