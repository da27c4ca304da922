"""Report of a run: figures as files, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from mtljobs.ledger.files import replace_file
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.report.curves import mean_curves
from mtljobs.report.drawing import foot, jpeg, png, svg
from mtljobs.report.figures import Drawing, Drawings
from mtljobs.report.group_heat import FEWEST, group_heat
from mtljobs.report.layers import layer_profiles
from mtljobs.report.overlays import overlays
from mtljobs.report.page import render_page
from mtljobs.report.steps import removal_steps
from mtljobs.report.trends import DODGE, faithfulness, performance
from mtljobs.results import Tables, compute_tables, mean_curve, open_run
from mtljobs.results.areas import removes_superpixels
from mtljobs.results.maps import keeps_maps
from mtljobs.results.run import task_nodes
from mtljobs.results.sheets import gaps, per_cent
from mtljobs.store.damage import naming_damage

_LINES = (
    "Lines of a metric: mean over seeds; dots: every seed; faint: the dense network; dashed: the "
    "constant predictor, in its experiment's colour. Arrows point to better. Lines stand up to "
    f"{per_cent(DODGE)} of sparsity apart, so that they do not hide each other. A metric has a "
    "panel for each data set and number of classes, since its values compare there alone; "
    "abs_error is in the unit of depth that is named above it. Angles are in degrees."
)

_GROUPS = {
    "depth": " Groups: bins of the predicted depth (or disparity) as a share of the data set's "
    "scale; what is beyond the scale is in the last.",
    "normals": " Groups: octants, named by the signs of x (right), y (down) and z (away from the "
    "camera) of the predicted normal; --- points left, up and towards the camera.",
}
"""Task -> what its captions end with, where the names of its groups explain nothing."""


def write_report(run: RunFolder) -> Path:
    """Write `report/index.html` and its figures as SVG and PNG; same results, same bytes.

    A run that is not complete gets a report too, which says so at its head.

    Returns:
        The page.

    Raises:
        UserError: The run has no store yet.
        CorruptionError: Chunks of the store are not what was merged.
    """
    tree = open_run(run.root)
    with naming_damage(run):
        tables = compute_tables(run, allow_partial=True)
        drawings = draw(tree, tables)
    create_folder(run.report)
    for drawing in drawings.all():
        replace_file(run.report / f"{drawing.name}.svg", drawing.svg)
        replace_file(run.report / f"{drawing.name}.png", drawing.png)
    page = run.report / "index.html"
    replace_file(page, render_page(run, tree, tables, drawings).encode())
    return page


def draw(tree: xr.DataTree, tables: Tables) -> Drawings:
    """All figures of a run."""
    curves = {place: mean_curve(node.to_dataset()) for place, node in task_nodes(tree)}
    places = measured_on(tree)
    gap = gaps(tables)
    return Drawings(
        faithfulness=_drawing(
            "faithfulness",
            faithfulness(tables.averages, tables.performance, places),
            alt="Averaged AOC and task performance against sparsity, a column per task; the "
            "numbers are in the tables.",
            caption="Averaged AOC, and below it the first of the task's metrics, against the "
            "sparsity aimed at, as each pruning method counts it. Bars: 95 % bootstrap interval "
            f"over images. {_LINES} Scales differ between tasks, whose scores do not compare.",
            gap=gap,
        ),
        groups=list(_draw_groups(tables)),
        performance=_drawing(
            "performance",
            performance(tables.performance, places),
            alt="Task metrics against sparsity, a panel per metric; the numbers are in the table.",
            caption=f"Performance against the sparsity aimed at. {_LINES}",
            gap=gap,
        ),
        layers=list(_draw_layers(tree)),
        curves=_drawing(
            "curves",
            mean_curves(curves),
            alt="Mean curves, a panel per experiment and task, a line per sparsity.",
            caption="Mean score, divided by the clean score, while parts of the image go, the most "
            "salient first; over all items with status ok, read at equal shares of each image's "
            "steps, which are as many as it has superpixels. Scales differ between panels.",
            gap=gap,
        ),
        steps=list(_draw_steps(tree)),
        saliency=list(_draw_saliency(tree)),
    )


def measured_on(tree: xr.DataTree) -> dict[tuple[str, str], str]:
    """The data set of each experiment and task, with its number of classes or unit of depth."""
    places = {}
    for (experiment, task), node in task_nodes(tree):
        settings = json.loads(tree[experiment].attrs["settings"])
        data = settings["experiment"]["data"]
        more = {
            "segmentation": f", {node.sizes['group']} classes",
            "depth": ", in metres" if settings["depth_unit"] == "m" else ", disparity",
        }
        places[experiment, task] = data.get("id", data["name"]) + more.get(task, "")
    return places


def _draw_groups(tables: Tables) -> Iterator[Drawing]:
    places = groupby(tables.groups, lambda row: (row.experiment, row.task))
    for (experiment, task), rows in places:
        yield _drawing(
            f"groups-{experiment}-{task}",
            group_heat(list(rows), title=f"{experiment}: {task}"),
            alt=f"Averaged AOC of {task} by group and sparsity; the numbers are in the table.",
            caption="Averaged AOC by group; in brackets over how many items. Hatched: no item has "
            f"a curve. Cells of fewer than {FEWEST} items have no colour. Colours run from the "
            "lowest to the highest of the others, and do not compare between figures."
            + _GROUPS.get(task, ""),
            gap=gaps(tables),
        )


def _draw_layers(tree: xr.DataTree) -> Iterator[Drawing]:
    for name, experiment in tree.children.items():
        figure = layer_profiles(experiment.to_dataset(), title=name)
        if figure is not None:
            yield _drawing(
                f"layers-{name}",
                figure,
                alt=f"Share of the weights that are gone in each convolution of {name}.",
                caption="Each convolution's share of weights that are gone, mean over seeds; where "
                "tasks had masks of their own, also the agreement: of the weights that any task "
                "keeps, the share that all keep, no point where none keeps any. Names are in the "
                "store's coordinate `layer`.",
            )


def _draw_steps(tree: xr.DataTree) -> Iterator[Drawing]:
    for name, experiment in tree.children.items():
        task = experiment.attrs["tasks"].split()[0]
        items = experiment[task].to_dataset()
        inputs = experiment["inputs"].to_dataset()
        if "preview" not in inputs or not removes_superpixels(items):
            continue
        measure = json.loads(experiment.attrs["settings"])["experiment"]["explain"]["faithfulness"]
        # `irof_quantus` has no choice of fill: it is Quantus's own.
        fill = measure.get("fill", "drifting")
        figure = removal_steps(items, inputs, fill=fill, title=f"{name}: {task}")
        if figure is not None:
            yield _drawing(
                f"steps-{name}",
                figure,
                alt=f"An image while its superpixels go, and its curve of {task}.",
                caption="One item step by step: superpixels go, the most salient first; the curve "
                "is the score that is left. Where it has grown above 1, the hatched area counts "
                "against the AOC. Chosen by rule: the first task, the preview image with most "
                "maps, the lowest sparsity, the first seed, and the first group with a curve."
                + _GROUPS.get(task, ""),
                kind="jpeg",
            )


def _draw_saliency(tree: xr.DataTree) -> Iterator[Drawing]:
    for (experiment, task), node in task_nodes(tree):
        inputs = tree[f"{experiment}/inputs"].to_dataset()
        has_maps = keeps_maps(node.to_dataset()) or removes_superpixels(node.to_dataset())
        if "preview" in inputs and has_maps:
            yield _drawing(
                f"saliency-{experiment}-{task}",
                overlays(node.to_dataset(), inputs, title=f"{experiment}: {task}"),
                alt=f"Saliency maps of {task} over one image, by sparsity and group.",
                caption=_describe_maps(node) + _GROUPS.get(task, ""),
                kind="jpeg",
            )


def _describe_maps(node: xr.DataTree) -> str:
    if not keeps_maps(node.to_dataset()):
        return "Mean saliency of each superpixel, since the run keeps no maps."
    size = f"{node.sizes['cam_row']} x {node.sizes['cam_column']}"
    return f"Maps of {size} positions, as their method gives them, resized bilinearly."


def _drawing(
    name: str, figure: Figure, *, alt: str, caption: str, kind: str = "svg+xml", gap: str = ""
) -> Drawing:
    """A figure as files.

    Args:
        gap: What planned results it would show and does not, said below it.
    """
    if gap:
        foot(figure, f"partial, without {gap}")
    vector = svg(figure)
    figure.set_layout_engine("none")  # All files share one layout, which takes long to find.
    return Drawing(
        name=name,
        svg=vector,
        png=png(figure),
        shown=jpeg(figure) if kind == "jpeg" else vector,
        kind=kind,
        alt=alt,
        caption=caption,
        width=round(96 * figure.get_figwidth()),
    )
