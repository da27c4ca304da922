"""From a recipe to the shards that make a network: equal prefixes are one network."""

from __future__ import annotations

from typing import Any

from mtljobs.contracts import DatasetInfo, Phase, Shard
from mtljobs.settings import Experiment, canonical, digest
from mtljobs.settings.numerics import Numerics

NAME_DIGITS = 12


def network_shards(
    experiment: Experiment, sparsity: float, seed: int, *, info: DatasetInfo, numerics: Numerics
) -> list[Shard]:
    """The chain of shared shards whose last one makes the cell's network."""
    chain: list[Shard] = []
    for phase in experiment.pruning.recipe(sparsity):
        parent = chain[-1] if chain else None
        inputs = {"data": data_identity(info)}
        spec = _phase_spec(experiment, phase, seed, info=info, numerics=numerics)
        if parent is not None:
            inputs["parent"] = parent.identity
        else:
            spec["init"] = canonical(experiment.init)
        chain.append(
            shared_shard(spec, inputs=inputs, parents=(parent.name,) if parent is not None else ())
        )
    return chain


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


def _phase_spec(
    experiment: Experiment, phase: Phase, seed: int, *, info: DatasetInfo, numerics: Numerics
) -> dict[str, Any]:
    spec = {
        "stage": "prune" if phase.kind == "cut" else "train",
        "phase": phase.kind,
        "method": canonical(phase.method),
        "data": canonical(experiment.data),
        "model": canonical(experiment.model, learns=True),
        "tasks": canonical(experiment.tasks, learns=True),
        "seed": seed,
        "sparsity": phase.sparsity,
        "numerics": computing(numerics),
    }
    if phase.kind == "cut":
        return spec
    training = canonical(experiment.training.over(len(info.splits["train"])))
    training["iterations"] = phase.iterations or training["iterations"]
    training["learning_rate"] = phase.learning_rate or training["learning_rate"]
    return {**spec, "training": training, "weighting": canonical(experiment.weighting)}
