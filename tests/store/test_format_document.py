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
    assert described("/<task>") == built(schema["study/segmentation"])
    of_all_tasks = {name: found for name, found in described("/<task>").items()
                    if name != "confusion"}  # fmt: skip
    assert of_all_tasks == built(schema["study/depth"])
    assert described("/inputs") == built(schema["study/inputs"])


def test_dimensions_are_those_of_the_schema(layout: ExperimentLayout) -> None:
    nodes = build_schema({"study": layout}).values()
    arrays = [array for node in nodes for array in node.arrays.values()]
    rows = {axis.strip("`"): labels for axes, labels, _ in tables("Dimensions")
            for axis in axes.split(", ")}  # fmt: skip
    assert set(rows) == {axis for array in arrays for axis in array.axes}
    unlabelled = {axis for axis, labels in rows.items() if labels.startswith("none:")}
    assert set(rows) - unlabelled == {array.name for array in arrays if array.labels is not None
                                      and not array.name.endswith("_id")}  # fmt: skip


def test_status_codes_are_those_of_the_contract() -> None:
    rows = {int(code): meaning for code, meaning, _ in tables("What is missing")}
    assert rows == STATUS


def test_version_is_the_one_that_is_written() -> None:
    assert f"this page is version **{SCHEMA_VERSION}**" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("change", [{"maps": "scores"}, {"previews": 0}])
def test_arrays_that_may_be_absent_are_said_to_be(layout: ExperimentLayout, change: dict) -> None:
    whole = build_schema({"study": layout})
    less = build_schema({"study": dataclasses.replace(layout, **change)})
    absent = {
        name
        for path, node in whole.items()
        for name in built(node).keys() - built(less[path]).keys()
    }
    (name,) = absent
    rows = [
        *tables("Arrays of `/<experiment>/<task>`"),
        *tables("Arrays of `/<experiment>/inputs`"),
    ]
    (row,) = [row for row in rows if row[0] == f"`{name}`"]
    assert "only where" in row[-1] or "absent where" in row[-1]
