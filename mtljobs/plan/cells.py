"""The shards of one cell: its networks, its evaluation, its explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtljobs.contracts import DatasetInfo, ExperimentLayout, Shard
from mtljobs.plan.frozen import Cell
from mtljobs.plan.layouts import new_layout
from mtljobs.plan.networks import (
    NAME_DIGITS,
    computing,
    data_identity,
    network_shards,
    shard_identity,
    shared_shard,
)
from mtljobs.settings import Experiment, canonical, digest
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
            self.experiment, info=self.info, numerics=self.numerics, inputs=self.segment().identity
        )

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
        segment = self.segment()
        networks = network_shards(
            self.experiment, sparsity, seed, info=self.info, numerics=self.numerics
        )
        place = {
            "experiment": self.experiment.name,
            "sparsity": layout.sparsities.index(sparsity),
            "seed": layout.seeds.index(seed),
        }
        label = f"{self.experiment.name}-{sparsity:g}-{seed}"
        results = [self._evaluate(networks[-1], label, place, layout)]
        results += [
            self._explain(
                networks[-1], segment, f"{label}-{block}", {**place, "block": block}, layout
            )
            for block in range(-(-len(layout.images) // layout.block))
        ]
        shards = (segment, *networks, *results)
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
        spec = {**self._common("evaluate"), "images": list(layout.images)}
        inputs = {"data": data_identity(self.info), "network": network.identity}
        return _run_shard(spec, inputs, label, place, parents=(network.name,))

    def _explain(
        self,
        network: Shard,
        segment: Shard,
        label: str,
        place: dict[str, Any],
        layout: ExperimentLayout,
    ) -> Shard:
        explain = self.experiment.explain
        start = place["block"] * layout.block
        spec = {
            **self._common("explain"),
            "images": list(layout.images[start : start + layout.block]),
            "saliency": canonical(explain.saliency.resolved(self.experiment.model)),
            "faithfulness": canonical(explain.faithfulness),
            "forward": canonical(explain.forward),
            "maps": explain.maps,
            "segments_max": layout.segments_max,
            "irof_batch": self.numerics.resolved_irof_batch(
                self.experiment.data.size, self.experiment.model.width
            ),
        }
        inputs = {
            "data": data_identity(self.info),
            "network": network.identity,
            "segments": segment.identity,
        }
        return _run_shard(spec, inputs, label, place, parents=(segment.name, network.name))

    def _common(self, stage: str) -> dict[str, Any]:
        return {
            "stage": stage,
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
