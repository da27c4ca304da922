"""From a recipe to the shards that make a network: equal prefixes are one network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mtljobs.contracts import DatasetInfo, Phase, Shard
from mtljobs.settings import canonical, digest
from mtljobs.settings.grid import Experiment
from mtljobs.settings.numerics import Numerics

NAME_DIGITS = 12


@dataclass(frozen=True)
class NetworkPlanner:
    """Makes the networks of one experiment.

    Attributes:
        experiment: As the grid says.
        info: Of its data set.
        numerics: As the grid says.
    """

    experiment: Experiment
    info: DatasetInfo
    numerics: Numerics

    def chain(self, sparsity: float, seed: int) -> list[Shard]:
        """The shared shards whose last one makes the cell's network."""
        chain: list[Shard] = []
        for common in self._recipes[sparsity]:
            parent = chain[-1] if chain else None
            inputs = {"data": data_identity(self.info)}
            spec = {**common, "seed": seed}
            if parent is not None:
                inputs["parent"] = parent.identity
            else:
                spec["init"] = canonical(self.experiment.init)
            parents = (parent.name,) if parent is not None else ()
            chain.append(shared_shard(spec, inputs=inputs, parents=parents))
        return chain

    @cached_property
    def _recipes(self) -> dict[float, list[dict[str, Any]]]:
        """Per sparsity, the settings of each phase, which all seeds share."""
        return {
            sparsity: [
                self._phase_spec(phase) for phase in self.experiment.pruning.recipe(sparsity)
            ]
            for sparsity in self.experiment.sparsities
        }

    def _phase_spec(self, phase: Phase) -> dict[str, Any]:
        spec = {
            "stage": "prune" if phase.kind == "cut" else "train",
            "phase": phase.kind,
            "method": canonical(phase.method),
            "sparsity": phase.sparsity,
            "data": canonical(self.experiment.data),
            "model": canonical(self.experiment.model, learns=True),
            "tasks": canonical(self.experiment.tasks, learns=True),
            "numerics": computing(self.numerics),
        }
        if phase.kind == "cut":
            return spec
        training = canonical(self.experiment.training.over(len(self.info.splits["train"])))
        training["iterations"] = phase.iterations or training["iterations"]
        training["learning_rate"] = phase.learning_rate or training["learning_rate"]
        return {**spec, "training": training, "weighting": canonical(self.experiment.weighting)}


def shared_shard(
    spec: dict[str, Any], *, inputs: dict[str, str], parents: tuple[str, ...]
) -> Shard:
    """A shard whose result all runs share."""
    identity = shard_identity(spec, inputs)
    name = f"{spec['stage']}-{identity[:NAME_DIGITS]}"
    return Shard(name, spec["stage"], identity, True, parents, inputs, spec, {})


def shard_identity(spec: dict[str, Any], inputs: dict[str, str]) -> str:
    """SHA-256 of the fully resolved settings and the identities of the inputs."""
    return digest({"spec": spec, "inputs": inputs})


def data_identity(info: DatasetInfo) -> str:
    """What a shard's identity says of its data; "provisional-..." until the set is prepared."""
    return info.sha256 or f"provisional-{info.id}"


def computing(numerics: Numerics) -> dict[str, Any]:
    """The part of `[numerics]` that every computing shard depends on."""
    values: dict[str, Any] = canonical(numerics)
    del values["irof_batch"]
    return values
