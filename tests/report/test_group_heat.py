from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mtljobs.report.drawing import png
from mtljobs.report.group_heat import FEWEST, group_heat
from mtljobs.results import Average, Tables


@pytest.fixture
def rows(found: Tables) -> list[Average]:
    place = ("segnet-netslim", "segmentation")
    return [row for row in found.groups if (row.experiment, row.task) == place]


def test_cells_hold_averages_and_items_by_group_and_sparsity(rows: list[Average]) -> None:
    axes = group_heat(rows, title="segnet-netslim: segmentation").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bed", "floor", "wall"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0 %", "50 %", "90 %"]
    groups, sparsities = ["bed", "floor", "wall"], [0.0, 0.5, 0.9]
    shown = axes.get_images()[0].get_array()
    printed = {text.get_position(): text.get_text() for text in axes.texts}
    for row in rows:
        place = sparsities.index(row.sparsity), groups.index(row.group)
        assert shown[place[1], place[0]] == row.mean
        assert printed[place] == f"{row.mean:.3f} ({row.items})"


def test_a_cell_without_items_is_hatched_and_has_no_number(rows: list[Average]) -> None:
    holed = [rows[0], dataclasses.replace(rows[1], items=0, mean=np.nan), *rows[2:]]
    axes = group_heat(holed, title="").axes[0]
    (patch,) = axes.patches
    assert patch.get_hatch() == "////"
    assert (patch.get_x(), patch.get_y()) == (-0.5, 0.5)
    assert len(axes.texts) == 8


def test_the_mean_of_few_items_is_white_and_does_not_stretch_the_scale(rows) -> None:
    few = dataclasses.replace(rows[1], items=FEWEST - 1, mean=-7.0)
    axes = group_heat([rows[0], few, *rows[2:]], title="").axes[0]
    (image,) = axes.get_images()
    others = [row.mean for row in rows if row is not rows[1]]
    assert image.get_clim() == (min(others), max(others))
    assert image.get_array().mask.nonzero() == (1, 0)
    assert (axes.texts[1].get_text(), axes.texts[1].get_color()) == ("-7.000 (2)", "black")


def test_without_any_item_all_is_hatched_and_there_is_no_scale(rows: list[Average]) -> None:
    figure = group_heat([dataclasses.replace(row, items=0) for row in rows], title="")
    (axes,) = figure.axes
    assert len(axes.patches) == 9
    assert png(figure).startswith(b"\x89PNG")


def test_where_all_have_few_items_there_are_numbers_and_no_scale(rows: list[Average]) -> None:
    figure = group_heat([dataclasses.replace(row, items=1) for row in rows], title="")
    (axes,) = figure.axes
    assert len(axes.texts) == 9
    assert png(figure).startswith(b"\x89PNG")


def test_one_cell_is_a_figure(rows: list[Average]) -> None:
    figure = group_heat(rows[:1], title="")
    (text,) = figure.axes[0].texts
    assert text.get_text() == f"{rows[0].mean:.3f} ({rows[0].items})"
    assert png(figure).startswith(b"\x89PNG")


def test_numbers_stand_out_from_their_cells(rows: list[Average]) -> None:
    axes = group_heat(rows, title="").axes[0]
    image = axes.get_images()[0]
    for text in axes.texts:
        column, row = text.get_position()
        cell = luminance(image.cmap(image.norm(image.get_array()[row, column])))
        letters = 1.0 if text.get_color() == "white" else 0.0
        dark, light = sorted([cell, letters])
        assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2.1, level AA


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
