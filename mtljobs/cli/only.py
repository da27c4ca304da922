"""What `--only` means: some cells of a grid."""

from __future__ import annotations

from mtljobs.errors import UserError, nearest
from mtljobs.plan.frozen import CellFilter


def parse_only(values: list[str] | None) -> CellFilter:
    """The filter that `--only` describes: any of the values of a key, all of the keys.

    Raises:
        UserError: A key or number that cannot be meant; names the valid keys.

    Example:
        >>> wanted = parse_only(["sparsity=0.5,sparsity=0", "seed=1"])
        >>> wanted("any", 0.5, 1), wanted("any", 0.75, 1), wanted("any", 0.0, 0)
        (True, False, False)
    """
    wanted: dict[str, set[str | float]] = {}
    for part in ",".join(values or []).split(","):
        if not part.strip():
            continue
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or key not in {"experiment", "sparsity", "seed"}:
            raise UserError(
                f"--only takes experiment=…, sparsity=…, seed=…, received {part!r}"
                f"{nearest(key, ('experiment', 'sparsity', 'seed'))}."
            )
        wanted.setdefault(key, set()).add(value if key == "experiment" else _number(part, value))

    def matches(experiment: str, sparsity: float, seed: int) -> bool:
        cell = {"experiment": experiment, "sparsity": sparsity, "seed": seed}
        return all(cell[key] in valid for key, valid in wanted.items())

    return matches


def _number(part: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise UserError(f"--only: {part!r} needs a number, received {value!r}.") from error
