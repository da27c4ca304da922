"""A sample as a picture: the image, and each target beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from pydantic import TypeAdapter

from mtljobs.contracts import Dataset, DatasetInfo, Sample
from mtljobs.errors import UserError, nearest
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.datasets import data_folder, dataset_info, info_path, prepared_as, read_info
from mtljobs.settings.base import build
from mtljobs.settings.data import DataChoice, Synthetic
from mtljobs.settings.sizes import parse_size

SYNTHETIC_SIZE = (192, 256)
ANY_SIZE = (480, 640)
"""What a folder of images of many sizes is shown at."""


def show(what: str, image: str, *, workspace: Workspace, root: Path | None, output: Path) -> None:
    """Draw an image of a data set with its targets.

    Args:
        what: Id of a prepared data set, or the name of a synthetic one.
        root: Folder of a described set's images.
        output: A PNG file.

    Raises:
        UserError: There is no such data set or image; names some that there are.
        DataError: The image cannot be read.
    """
    choice = _find_choice(what, workspace)
    info = dataset_info(choice, workspace)
    split = _split_of(image, info)
    folders = {} if root is None else {choice.id: str(root)}
    dataset: Dataset = build(
        choice, info=info, split=split, root=data_folder(choice, workspace, folders)
    )
    sample = dataset[info.splits[split].index(image)]
    figure = draw(sample, info, title=f"{info.id} {image} ({split})")
    try:
        figure.savefig(output, format="png")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}.") from error


def _split_of(image: str, info: DatasetInfo) -> str:
    for split, images in info.splits.items():
        if image in images:
            return split
    known = [name for images in info.splits.values() for name in images]
    raise UserError(f"{info.id} has no image {image!r}{nearest(image, known)}.")


def draw(sample: Sample, info: DatasetInfo, *, title: str) -> Figure:
    """The image and its targets side by side; what is void or missing is black."""
    rows, columns = sample["image"].shape[1:]
    height = 3.2 * rows / columns + 1.2
    figure = Figure(figsize=(3.2 * len(sample), height), dpi=120, layout="constrained")
    figure.suptitle(title)
    panels = np.atleast_1d(figure.subplots(1, len(sample)))
    for axes, (name, values) in zip(panels, sample.items(), strict=True):
        axes.set_axis_off()
        axes.set_title(name)
        if name == "image":
            axes.imshow(np.moveaxis(values, 0, -1))
        elif name == "segmentation":
            _draw_labels(axes, values, info.class_names)
        elif name == "depth":
            axes.set_title(f"depth ({info.depth_unit})")
            _draw_depth(figure, axes, values[0])
        else:
            _draw_normals(axes, values)
    return figure


def _draw_labels(axes: Axes, labels: np.ndarray, names: tuple[str, ...]) -> None:
    colours = _class_colours(len(names))
    axes.imshow(colours[labels])
    present = [label for label in np.unique(labels).tolist() if label >= 0]
    axes.legend(
        handles=[Patch(color=tuple(colours[label]), label=names[label]) for label in present],
        loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=6, frameon=False,
    )  # fmt: skip


def _class_colours(count: int) -> np.ndarray:
    """A colour per class, and black at the end, where label -1 finds it."""
    shades = [colormaps[name](range(20))[:, :3] for name in ("tab20", "tab20b")]
    return np.vstack([np.concatenate(shades)[:count], np.zeros((1, 3))])


def _draw_depth(figure: Figure, axes: Axes, depth: np.ndarray) -> None:
    colours = colormaps["viridis"].with_extremes(bad="black")
    shown = axes.imshow(np.where(depth == 0, np.nan, depth), cmap=colours)
    figure.colorbar(shown, cax=axes.inset_axes((0.1, -0.1, 0.8, 0.05)), orientation="horizontal")


def _draw_normals(axes: Axes, normals: np.ndarray) -> None:
    """Red to the right, green up, blue towards the camera."""
    turned = normals * np.array([1, -1, -1])[:, None, None]
    colours = np.where(normals.any(axis=0), (turned + 1) / 2, 0)
    axes.imshow(np.moveaxis(colours, 0, -1))


def _find_choice(what: str, workspace: Workspace) -> DataChoice:
    """What a grid would say to get the set at its largest, or native, size."""
    parse = TypeAdapter[DataChoice](DataChoice).validate_python
    path = info_path(workspace, what)
    if path.is_file():
        info = read_info(path)
        table = {"name": prepared_as(info), "id": what, "size": info.size or ANY_SIZE}
        if "sizes" in info.description:
            sizes = map(parse_size, info.description["sizes"])
            table |= {"size": max(sizes), "classes": info.description["classes"]}
        return parse(table)
    try:
        choice = parse({"name": what, "size": SYNTHETIC_SIZE})
    except ValueError as error:
        raise UserError(_unknown(what, workspace)) from error
    if not isinstance(choice, Synthetic):
        raise UserError(_unknown(what, workspace))
    return choice


def _unknown(what: str, workspace: Workspace) -> str:
    prepared = sorted(path.parent.name for path in workspace.data.glob("*/dataset.json"))
    there = ["rooms", "streets", *prepared]
    return (
        f"there is no data set {what!r} in {workspace.root}{nearest(what, there)}: "
        "`mtljobs data prepare` makes one of files."
    )
