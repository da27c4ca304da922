"""Whether results make sense as numbers: every chunk decoded, and held against its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from mtljobs.contracts import STATUS, ExperimentLayout
from mtljobs.errors import CorruptionError
from mtljobs.store.backend import Part
from mtljobs.store.chunks import ChunkName
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.inventory import AGAIN, Held
from mtljobs.store.items import count_missing, item_faults, superpixel_faults
from mtljobs.store.variables import CELL

Decode = Callable[[str, bytes], Part]
"""`read_part` with a backend, under the schema of the newest plan."""


def read_parts(held: Held, decode: Decode, *, only: str = "") -> Iterator[Part | Finding]:
    """What each file of a shard holds, or why it holds nothing; files that are gone are left out.

    Args:
        only: Files of this array; empty: all.
    """
    for name in held.record.files:
        if only and ChunkName.of(name).array != only:
            continue
        source = held.place.find(name)
        if source.size(name) is None:
            continue
        try:
            yield decode(name, source.read(name))
        except (CorruptionError, OSError) as error:
            detail = f"expected a chunk with a checksum, found that {error}: {AGAIN}"
            yield Finding("unreadable chunk", source.path(name), held.shard, detail)


def check_values(
    held: Held, decode: Decode, *, n_segments: Mapping[str, np.ndarray], checked: Checked
) -> Iterator[Finding]:
    """Decode all of a shard's results and look for numbers that contradict each other.

    Args:
        n_segments: Experiment -> L of each image, 0 where the store does not say yet.
    """
    blocks: dict[tuple[str, int | None], list[Part]] = {}
    for found in read_parts(held, decode):
        if isinstance(found, Finding):
            yield found
        else:
            checked.chunks += 1
            block = found.where["image"].start if "image" in found.where else None
            blocks.setdefault((found.node, block), []).append(found)
    for (node, _), parts in blocks.items():
        for fault in _faults(parts, n_segments.get(node.partition("/")[0])):
            path = held.place.path(node)
            detail = f"expected what docs/format.md says, found that {fault}: {AGAIN}"
            yield Finding("wrong values", path, held.shard, detail)


def _faults(parts: list[Part], n_segments: np.ndarray | None) -> Iterator[str]:
    arrays = {part.array: _without_cell(part) for part in parts}
    if {"status", "irof", "order"} <= arrays.keys():
        counts = None if n_segments is None else n_segments[parts[0].where["image"]]
        yield from item_faults(arrays, counts if counts is not None and counts.all() else None)
    if {"segments", "n_segments"} <= arrays.keys():
        yield from superpixel_faults(arrays)
    reached = arrays.get("sparsity_parameters")
    if reached is not None and not 0 <= reached <= 1:
        yield f"sparsity_parameters is {reached:g}"


def _without_cell(part: Part) -> np.ndarray:
    return part.values[tuple(0 if axis in CELL else slice(None) for axis in part.where)]


def read_n_segments(
    held: Iterable[Held], decode: Decode, layouts: Mapping[str, ExperimentLayout]
) -> dict[str, np.ndarray]:
    """Experiment -> number of superpixels of each image, 0 where the store does not say."""
    counts = {name: np.zeros(len(layout.images), int) for name, layout in layouts.items()}
    for one in held:
        for found in read_parts(one, decode, only="n_segments"):
            if isinstance(found, Part):
                counts[found.node.partition("/")[0]][found.where["image"]] = found.values
    return counts


def find_missing_items(held: Held, decode: Decode, checked: Checked) -> Iterator[Finding]:
    """Items of a shard that are no results: not run, or of images that could not be read."""
    for found in read_parts(held, decode, only="status"):
        if isinstance(found, Finding):
            yield found
            continue
        counts = count_missing(found.values)
        checked.missing_items += sum(counts.values())
        if counts:
            path = held.place.path(found.node)
            causes = ", ".join(f"{count} {STATUS[code]}" for code, count in counts.items())
            yield Finding(
                "missing items",
                path,
                held.shard,
                f"expected results of {found.values.size} items, found {causes}: see the log of "
                "this shard; averages leave them out. Once their input is back, --requeue "
                "--missing makes room for the shard to be computed again",
            )
