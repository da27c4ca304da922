"""Report of a run: figures as files, and the page that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from mtljobs.ledger.files import replace_file
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.report.drawing import jpeg, png, svg
from mtljobs.report.figures import faithfulness, mean_curves, performance
from mtljobs.report.overlays import overlays
from mtljobs.report.page import Drawing, Drawings, render_page
from mtljobs.results import Tables, mean_curve, open_run, read_tables
from mtljobs.results.areas import removes_superpixels
from mtljobs.results.run import task_nodes
from mtljobs.store.damage import naming_damage


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
        tables = read_tables(run, allow_partial=True)
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
    return Drawings(
        faithfulness=_drawing(
            "faithfulness",
            faithfulness(tables.averages),
            alt="Averaged AOC against sparsity, a panel per task; the numbers are in the table.",
            caption="Averaged AOC against the sparsity aimed at. Bars: 95 % bootstrap interval "
            "over images. Scales differ between tasks, whose scores do not compare.",
        ),
        performance=_drawing(
            "performance",
            performance(tables.performance),
            alt="Task metrics against sparsity, a panel per metric; the numbers are in the table.",
            caption="Performance against the sparsity aimed at. Line: mean over seeds; dots: "
            "every seed; dashed: the constant predictor. Arrows point to better.",
        ),
        curves=_drawing(
            "curves",
            mean_curves(curves),
            alt="Mean curves, a panel per experiment and task, a line per sparsity.",
            caption="Mean score, divided by the clean score, while parts of the image go, the most "
            "salient first; over all items with status ok, read at equal shares of each image's "
            "steps, which are as many as it has superpixels.",
        ),
        saliency=list(_draw_saliency(tree)),
    )


def _draw_saliency(tree: xr.DataTree) -> Iterator[Drawing]:
    for (experiment, task), node in task_nodes(tree):
        inputs = tree[f"{experiment}/inputs"].to_dataset()
        has_maps = "cam" in node.data_vars or removes_superpixels(node.to_dataset())
        if "preview" in inputs and has_maps:
            yield _drawing(
                f"saliency-{experiment}-{task}",
                overlays(node.to_dataset(), inputs, title=f"{experiment}: {task}"),
                alt=f"Saliency maps of {task} over preview images, by group and sparsity.",
                caption=_describe_maps(node),
                kind="jpeg",
            )


def _describe_maps(node: xr.DataTree) -> str:
    if "cam" not in node.data_vars:
        return "Mean saliency of each superpixel, since the run keeps no maps."
    size = f"{node.sizes['cam_row']} x {node.sizes['cam_column']}"
    return f"Maps of {size} positions, as their method gives them, resized bilinearly."


def _drawing(
    name: str, figure: Figure, *, alt: str, caption: str, kind: str = "svg+xml"
) -> Drawing:
    vector = svg(figure)
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
