"""The published variables: name, axes, type and meaning of every array that holds results."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mtljobs.contracts import STATUS

CELL = ("sparsity", "seed")
ITEM = (*CELL, "image", "group")


@dataclass(frozen=True)
class Variable:
    """An array of the format, before a layout says how long its axes are.

    Attributes:
        name: Inside its node.
        axes: Names of the dimensions.
        long_name: What its numbers are.
        dtype: numpy's name of the type.
        fill: What stands where nothing was written.
        units: None where they differ along an axis.
        attributes: Further JSON values, CF's where CF has a name.
    """

    name: str
    axes: tuple[str, ...]
    long_name: str
    dtype: str = "float32"
    fill: float = math.nan
    units: str | None = "1"
    attributes: Mapping[str, Any] = field(default_factory=dict)


def flag_meaning(text: str) -> str:
    """A status text as the one word that CF's `flag_meanings` allows.

    Example:
        >>> flag_meaning("clean score <= eps")
        'clean_score_at_most_eps'
    """
    return re.sub(r"[^a-z0-9]+", "_", text.replace("<=", "at most"))


_STATUS = {
    "flag_values": list(STATUS),
    "flag_meanings": " ".join(flag_meaning(text) for text in STATUS.values()),
}

EXPERIMENT = (
    Variable("sparsity_parameters", CELL, "fraction of the parameters that are gone"),
    Variable("sparsity_filters", CELL, "fraction of the filters that are gone"),
    Variable("sparsity_macs", CELL, "fraction of the multiplications that are gone"),
    Variable("sparsity_weights", CELL, "fraction of the convolutions' weights that are gone"),
    Variable("sparsity_shared", CELL, "the same of layers that all tasks share"),
    Variable("sparsity_branches", CELL, "the same of layers that belong to one task"),
    Variable("layer_sparsity", (*CELL, "layer"), "fraction of the weights that are gone"),
    Variable("mask_agreement", (*CELL, "layer"), "fraction of kept weights that all tasks keep"),
)
"""Of `/<experiment>`: what pruning reached, against the unpruned network."""

EXPLANATIONS = (
    Variable("irof", (*ITEM, "step"), "score while parts go, divided by the clean score"),
    Variable("segment_score", (*ITEM, "segment"), "mean saliency of the part"),
    Variable("order", (*ITEM, "segment"), "part that each step removes", "uint16", 65535),
    Variable("cam_max", ITEM, "maximum of the saliency map at the size of the image"),
    Variable("status", ITEM, "what became of the item", "uint8", 0, attributes=_STATUS),
)
"""Of `/<experiment>/<task>`, for every image and group."""

_MAP = "saliency map as its method gives it"
_POSITIONS = ("group", "cam_row", "cam_column")

MAPS = {
    "native": (Variable("cam", (*CELL, "image", *_POSITIONS), _MAP),),
    "subset": (Variable("cam", (*CELL, "map_image", *_POSITIONS), _MAP),),
    "half": (Variable("cam_half", (*CELL, "image", *_POSITIONS), f"{_MAP} / cam_max", "float16"),),
    "scores": (),
}
"""Of `/<experiment>/<task>`, by the setting `maps`; not resized."""

PERFORMANCES = (
    Variable("performance", (*CELL, "metric"), "metric over the whole test split", units=None),
    Variable("performance_image", (*CELL, "image", "metric"), "metric of one image", units=None),
    Variable("performance_constant", ("metric",), "metric of a constant prediction", units=None),
)
"""Of `/<experiment>/<task>`. The constant is the best that ignores the image."""

INPUTS = (
    Variable("segments", ("image", "row", "column"), "superpixel of each pixel", "uint16", 65535),
    Variable("n_segments", ("image",), "number of superpixels; 0: not copied yet", "uint16", 0),
)
"""Of `/<experiment>/inputs`."""

PREVIEW = Variable(
    "preview", ("preview_image", "row", "column", "rgb"), "image as the network sees it", "uint8", 0
)
"""Of `/<experiment>/inputs`, where the licence allows it."""

FILLS: dict[str, float] = {
    variable.name: variable.fill
    for variable in (*EXPERIMENT, *EXPLANATIONS, *PERFORMANCES, *INPUTS, PREVIEW)
} | {variable.name: variable.fill for kept in MAPS.values() for variable in kept}
"""What stands where nothing was written, of every array that is no task's own."""
