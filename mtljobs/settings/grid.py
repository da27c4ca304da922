"""A grid: experiments over sparsities and seeds, as one TOML file says it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED
from mtljobs.settings.data import DataChoice
from mtljobs.settings.explanation import Explain
from mtljobs.settings.models import ModelChoice, WeightsFile
from mtljobs.settings.numerics import Numerics
from mtljobs.settings.pruning import PruningChoice
from mtljobs.settings.resources import Resources
from mtljobs.settings.store import Store
from mtljobs.settings.tasks import TaskChoice
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import Equal, Fixed, WeightingChoice

T = TypeVar("T")


@dataclass(**DECLARED)
class Experiment:
    """One line of a study.

    Attributes:
        name: Of the experiment's node in the store.
        sparsities: Fractions in [0, 1), of four digits at most.
        seeds: One network per seed and sparsity.
        init: Weights of a whole, dense network of this model and these tasks that every recipe
            begins with; None: random ones, a function of the seed.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    data: DataChoice
    model: ModelChoice
    tasks: Annotated[tuple[TaskChoice, ...], Field(min_length=1)]
    weighting: WeightingChoice = Equal(name="equal")
    training: Training
    pruning: PruningChoice
    sparsities: Annotated[tuple[float, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)]
    explain: Explain
    init: WeightsFile | None = None

    @field_validator("sparsities")
    @classmethod
    def _fractions(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        for value in values:
            if not 0 <= value < 1:
                hint = f" (for {value:g} % write {value / 100:g})" if 1 < value < 100 else ""
                raise ValueError(f"a sparsity is a fraction in [0, 1), received {value:g}{hint}")
            # It names shards and labels an axis, so it must be what it is printed as.
            if value != round(value, 4):
                raise ValueError(f"a sparsity has four digits at most, received {value!r}")
        return _distinct(tuple(map(abs, values)))  # -0.0 is 0.0

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return _distinct(values)

    @field_validator("tasks")
    @classmethod
    def _distinct_tasks(cls, values: tuple[TaskChoice, ...]) -> tuple[TaskChoice, ...]:
        _distinct(tuple(task.name for task in values))
        return values

    @field_validator("weighting")
    @classmethod
    def _weights_for_all_tasks(
        cls, value: WeightingChoice, info: ValidationInfo
    ) -> WeightingChoice:
        tasks = {task.name for task in info.data.get("tasks", ())}
        if isinstance(value, Fixed) and tasks and tasks != value.weights.keys():
            raise ValueError(
                f"weights should name each task once ({', '.join(sorted(tasks))}), received "
                f"{', '.join(sorted(value.weights)) or 'none'}"
            )
        return value

    @field_validator("init")
    @classmethod
    def _one_beginning(cls, value: WeightsFile | None, info: ValidationInfo) -> WeightsFile | None:
        if value is not None and getattr(info.data.get("model"), "backbone", None) is not None:
            raise ValueError(
                "a network begins with all weights of init or with those of model.backbone; "
                "received both"
            )
        return value


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"each may stand here once, received twice: {', '.join(twice)}")
    return values


@dataclass(**DECLARED)
class Grid:
    """What to compute, with what numerics, on what resources."""

    experiment: Annotated[tuple[Experiment, ...], Field(min_length=1)]
    numerics: Numerics = Numerics()
    resources: Resources = Resources()
    store: Store = Store()

    @field_validator("experiment")
    @classmethod
    def _distinct_names(cls, values: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
        _distinct(tuple(experiment.name for experiment in values))
        return values
