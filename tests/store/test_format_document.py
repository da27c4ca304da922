"""docs/format.md against the schema: every array is described, and nothing else is."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtljobs.contracts import STATUS, ExperimentLayout
from mtljobs.store.schema import SCHEMA_VERSION, Array, Node, build_schema
from mtljobs.store.variables import MAPS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/format.md"


def tables(title: str) -> Iterator[list[str]]:
    """Cells of every table row below a heading that begins so, without the header."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = re.split(rf"^#+ {re.escape(title)}.*$", text, flags=re.MULTILINE)[1]
    rows = re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0].split("\n|")[1:]
    cells = [[cell.strip() for cell in row.split("\n")[0].strip("|").split("|")] for row in rows]
    return iter(cells[2:])


def described(node: str) -> dict[str, tuple[tuple[str, ...], str, str]]:
    """Array -> its dimensions, type and fill, as the document says."""
    return {
        name.strip("`"): (tuple(axes.split(", ")), kind, fill)
        for name, axes, kind, fill, _ in tables(f"Arrays of `/<experiment>{node}`")
    }


def maps(kind: str) -> Iterator[tuple[str, tuple[tuple[str, ...], str, str]]]:
    """The array of maps that the document says a value of `maps` stands for, if any."""
    for said, name, axes, dtype, fill, _ in tables("Maps of `/<experiment>/<task>`"):
        if said == kind and name:
            yield name.strip("`"), (tuple(axes.split(", ")), dtype, fill)


def built(node: Node) -> dict[str, tuple[tuple[str, ...], str, str]]:
    """The same as the schema says."""
    return {
        array.name: (array.axes, array.dtype, "NaN" if is_nan(array) else str(array.fill))
        for array in node.arrays.values()
        if array.labels is None
    }


def is_nan(array: Array) -> bool:
    return isinstance(array.fill, float) and math.isnan(array.fill)


def test_arrays_are_those_of_the_schema(layout: ExperimentLayout) -> None:
    schema = build_schema({"study": layout})
    assert described("") == built(schema["study"])
    described_arrays = described("/<task>") | dict(maps("native"))
    assert described_arrays == built(schema["study/segmentation"])
    of_all_tasks = {name: found for name, found in described_arrays.items()
                    if name != "confusion"}  # fmt: skip
    assert of_all_tasks == built(schema["study/depth"])
    assert described("/inputs") == built(schema["study/inputs"])


def test_dimensions_are_those_of_the_schema(layout: ExperimentLayout) -> None:
    subset = dataclasses.replace(layout, maps="subset", map_images=2)
    nodes = [node for kept in (layout, subset) for node in build_schema({"study": kept}).values()]
    arrays = [array for node in nodes for array in node.arrays.values()]
    rows = {axis.strip("`"): labels for axes, labels, _ in tables("Dimensions")
            for axis in axes.split(", ")}  # fmt: skip
    assert set(rows) == {axis for array in arrays for axis in array.axes}
    unlabelled = {axis for axis, labels in rows.items() if labels.startswith("none:")}
    assert set(rows) - unlabelled == {array.name for array in arrays if array.labels is not None
                                      and not array.name.endswith("_id")}  # fmt: skip


def test_nodes_have_the_coordinates_of_their_arrays_and_an_experiment_that_of_its_images(
    layout: ExperimentLayout,
) -> None:
    besides = re.search(
        r"and `/<experiment>` that of\s`(\w+)` besides", DOCUMENT.read_text("utf-8")
    )
    for path, node in build_schema({"study": layout}).items():
        results = [array for array in node.arrays.values() if array.labels is None]
        labels = {name for name, array in node.arrays.items() if array.labels is not None}
        axes = {axis for array in results for axis in array.axes if axis in labels}
        more = {besides[1]} if path == "study" else set()
        assert {name.removesuffix("_id") for name in labels} == axes | more


def test_status_codes_are_those_of_the_contract() -> None:
    rows = {int(code): meaning for code, meaning, _ in tables("What is missing")}
    assert rows == STATUS


def test_version_is_the_one_that_is_written() -> None:
    assert f"this page is version **{SCHEMA_VERSION}**" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", MAPS)
def test_maps_are_those_of_the_schema(layout: ExperimentLayout, kind: str) -> None:
    kept = dataclasses.replace(layout, maps=kind, map_images=2)
    arrays = built(build_schema({"study": kept})["study/depth"])
    assert {name: arrays[name] for name in arrays if name.startswith("cam_") or name == "cam"} == {
        "cam_max": described("/<task>")["cam_max"],
        **dict(maps(kind)),
    }


def test_previews_that_may_be_absent_are_said_to_be(layout: ExperimentLayout) -> None:
    without = build_schema({"study": dataclasses.replace(layout, previews=0)})
    assert "preview" not in built(without["study/inputs"])
    (row,) = [row for row in tables("Arrays of `/<experiment>/inputs`") if row[0] == "`preview`"]
    assert "absent where" in row[-1]
