"""Every figure can be printed: it fits a page, its letters can be read, and none hides another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import xarray as xr
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mtljobs.report.curves import mean_curves
from mtljobs.report.drawing import style
from mtljobs.report.group_heat import group_heat
from mtljobs.report.layers import layer_profiles
from mtljobs.report.overlays import overlays
from mtljobs.report.steps import removal_steps
from mtljobs.report.trends import faithfulness, performance
from mtljobs.results import Tables, mean_curve, open_run

LONGEST = "an-experiment_whose-name-is-as-long-as-a-grid-allows_64-letters0"
CLASSES = [f"{kind} wardrobe_{number}" for number in range(20) for kind in ("other", "built-in")]
SPARSITIES = [0.0, 0.5, 0.75, 0.8, 0.875, 0.9375]


@dataclasses.dataclass(frozen=True)
class Crowded:
    """Values of a run with long names and much of everything."""

    tables: Tables
    task: xr.Dataset
    inputs: xr.Dataset
    experiment: xr.Dataset


@pytest.fixture(scope="module")
def crowded(stored_run, found: Tables) -> Crowded:
    node = open_run(stored_run.root)["segnet-netslim"]
    one = node["segmentation"].to_dataset().load().isel(group=[1], sparsity=[0])
    many = one.isel(group=[0] * len(CLASSES), sparsity=[0] * len(SPARSITIES))
    names = {row.experiment: f"{LONGEST[:-1]}{n}" for n, row in enumerate(found.averages[::9])}
    group, *_ = found.groups
    return Crowded(
        tables=Tables(
            averages=tuple(renamed(found.averages, names)),
            groups=tuple(
                dataclasses.replace(
                    group, group=name, sparsity=sparsity, mean=index / 40 - 1, items=1962
                )
                for index, name in enumerate(CLASSES)
                for sparsity in SPARSITIES
            ),
            performance=tuple(renamed(found.performance, names)),
            comparisons=(),
            declines=(),
            correlations=(),
            missing={},
            unevaluated=(),
        ),
        task=many.assign_coords(group=CLASSES, sparsity=SPARSITIES),
        inputs=node["inputs"].to_dataset(),
        experiment=crowded_layers(node.to_dataset()),
    )


def renamed(rows, names: dict[str, str]) -> list:
    return [dataclasses.replace(row, experiment=names[row.experiment]) for row in rows]


def crowded_layers(experiment: xr.Dataset) -> xr.Dataset:
    shared = [f"encoder.{number}" for number in range(90)]
    owned = [f"branches.{task}.head" for task in ("segmentation", "depth", "normals")]
    layers = [*shared, *(name for name in owned for _ in range(2))]
    chosen = experiment.isel(layer=[0] * len(layers), sparsity=[1] * len(SPARSITIES))
    return chosen.assign_coords(layer=layers, sparsity=SPARSITIES)


def measured_apart(run: Crowded) -> dict[tuple[str, str], str]:
    """A data set for each experiment, all with long names."""
    places = {(row.experiment, row.task) for row in run.tables.performance}
    return {place: f"data-of-{place[0][:-1]}, 40 classes"[-75:] for place in places}


TITLE = f"{LONGEST}: segmentation"
DRAW: dict[str, Callable[[Crowded], Figure | None]] = {
    "faithfulness": lambda run: faithfulness(
        run.tables.averages, run.tables.performance, measured_apart(run)
    ),
    "faithfulness of one task": lambda run: faithfulness(
        [row for row in run.tables.averages if row.task == "depth"],
        run.tables.performance,
        measured_apart(run),
    ),
    "performance": lambda run: performance(run.tables.performance, measured_apart(run)),
    "curves": lambda run: mean_curves(
        {
            (f"{LONGEST[:-1]}{number}", task): mean_curve(run.task)
            for number in range(2)
            for task in ("segmentation", "depth", "normals")
        }
    ),
    "groups": lambda run: group_heat(run.tables.groups, title=TITLE),
    "groups at one sparsity": lambda run: group_heat(run.tables.groups[::6], title=TITLE),
    "layers": lambda run: layer_profiles(run.experiment, title=LONGEST),
    "overlays": lambda run: overlays(run.task, run.inputs, title=TITLE),
    "overlay of one group": lambda run: overlays(
        run.task.isel(group=[0], sparsity=[0]), run.inputs, title=TITLE
    ),
    "steps": lambda run: removal_steps(run.task, run.inputs, fill="clean", title=TITLE),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_crowded_figure_can_be_read_in_print(name: str, crowded: Crowded) -> None:
    figure = DRAW[name](crowded)
    assert figure is not None
    assert figure.get_figwidth() <= 7
    assert figure.get_figheight() <= 9.5
    with style():
        figure.draw_without_rendering()
    texts = list(drawn_texts(figure))
    for text in texts:
        assert text.get_fontsize() >= 7, text
        box = text.get_window_extent()
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
    lines = [(text, line.padded(-1)) for text in texts for line in lines_of(text)]
    for (one, its_line), (other, other_line) in itertools.combinations(lines, 2):
        assert one is other or not its_line.overlaps(other_line), (one, other)


def drawn_texts(figure: Figure) -> Iterator[Text]:
    """All texts but labels of ticks that lie outside of the axis."""
    hidden = set()
    for axes in figure.axes:
        hidden |= hidden_labels(axes.xaxis, axes.axison) | hidden_labels(axes.yaxis, axes.axison)
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text() and text not in hidden:
            yield text


def hidden_labels(axis: Axis, is_shown: bool) -> set[Text]:
    low, high = sorted(axis.get_view_interval())
    along = 0 if axis.axis_name == "x" else 1
    labels = axis.get_majorticklabels()
    return {t for t in labels if not (is_shown and low <= t.get_position()[along] <= high)}


def lines_of(text: Text) -> Iterator[Bbox]:
    """The room that each line of a text takes, as far as its number of letters tells."""
    box = text.get_window_extent()
    parts = text.get_text().split("\n")
    height = box.height / len(parts)
    for number, part in enumerate(parts):
        width = box.width * len(part) / max(map(len, parts))
        yield Bbox.from_bounds(box.x0, box.y1 - (number + 1) * height, width, height)


def test_lines_that_are_grey_in_print_are_told_apart_by_marker(crowded: Crowded) -> None:
    for figure in (DRAW["curves"](crowded), DRAW["layers"](crowded)):
        lines = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
        assert len({line.get_marker() for line in lines}) == len(lines) == len(SPARSITIES)
        assert len({line.get_color() for line in lines}) == len(SPARSITIES)


def test_shades_of_sparsity_grow_lighter_in_grey(crowded: Crowded) -> None:
    figure = DRAW["layers"](crowded)
    greys = [grey(line.get_color()) for line in figure.axes[0].lines]
    assert greys == sorted(greys)
    assert np.diff(greys).min() > 0.04


def grey(colour: str) -> float:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
