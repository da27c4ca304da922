"""Every choice that a grid can make: one frozen dataclass per method.

A page per room (`data`, `models`, `tasks`, `weighting`, `pruning`, `explain`) and a page each for
what has no method to choose (`explanation`, `training`, `numerics`, `resources`, `store`); `grid`
puts them together, `base` says how a class is declared, hashed and built.
"""

from mtljobs.settings.base import Choice, build, canonical, derive_seed, digest

__all__ = ["Choice", "build", "canonical", "derive_seed", "digest"]
