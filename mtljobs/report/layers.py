"""Where in a network pruning takes its weights, and how far tasks agree on it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtljobs.report.drawing import PAGE_WIDTH, head, in_per_cent, series_look, shades, style
from mtljobs.results.sheets import per_cent

ARRAYS = {
    "layer_sparsity": "weights removed",
    "mask_agreement": "mask agreement",
}
"""Array of the store -> what its axis is called."""


def layer_profiles(experiment: xr.Dataset, *, title: str) -> Figure | None:
    """Sparsity and mask agreement of each layer, a line per sparsity; means over seeds.

    Args:
        experiment: An experiment's arrays.

    Returns:
        None where the store has neither; a panel for each that it has.
    """
    known = [name for name in ARRAYS if name in experiment and experiment[name].notnull().any()]
    if not known:
        return None
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 1.8 * len(known) + 0.7))
        panels = figure.subplots(len(known), squeeze=False, sharex=True)[:, 0]
        head(figure, title)
        branches = _branches([str(layer) for layer in experiment["layer"].values])
        _name_branches(panels[0], branches)
        for axes, name in zip(panels, known, strict=True):
            _draw_profile(axes, experiment[name])
            _shade_branches(axes, branches)
            axes.set_ylabel(ARRAYS[name])
            in_per_cent(axes.yaxis)
        panels[-1].set_xlabel("convolution, in the network's order")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, title="sparsity", loc="outside right upper")
    return figure


def _draw_profile(axes: Axes, values: xr.DataArray) -> None:
    profiles = values.mean("seed").transpose("sparsity", "layer")
    looks = enumerate(shades(profiles.sizes["sparsity"]))
    for profile, (index, colour) in zip(profiles, looks, strict=True):
        if profile.isnull().all():
            continue
        _, marker, _ = series_look(index)
        axes.plot(
            range(1, profile.size + 1),
            profile.values,
            color=colour,
            marker=marker,
            markersize=3,
            linewidth=0.8,
            label=per_cent(float(profile["sparsity"])),
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlim=(0.5, values.sizes["layer"] + 0.5), ylim=(-0.04, 1.04))


def _shade_branches(axes: Axes, branches: Sequence[tuple[str, float, float]]) -> None:
    for _, start, end in branches[1::2]:
        axes.axvspan(start, end, color="#f0f0f0", zorder=0)


def _name_branches(axes: Axes, branches: Sequence[tuple[str, float, float]]) -> None:
    """Each branch's name above its layers; upright where one of them has no room for it."""
    inches = 0.85 * PAGE_WIDTH / max(end for _, _, end in branches)
    is_tight = any(0.065 * len(name) > inches * (end - start) for name, start, end in branches)
    for name, start, end in branches:
        axes.annotate(
            name,
            ((start + end) / 2, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
            rotation=90 if is_tight else 0,
        )


def _branches(layers: Sequence[str]) -> list[tuple[str, float, float]]:
    """Neighbouring layers of one owner: its name, and where they start and end on the axis."""
    owners = enumerate(map(_owner, layers), start=1)
    runs = [(name, [place for place, _ in run]) for name, run in groupby(owners, lambda o: o[1])]
    return [(name, places[0] - 0.5, places[-1] + 0.5) for name, places in runs]


def _owner(layer: str) -> str:
    """The task that a layer belongs to, by `mtljobs.contracts.Model`'s rule for names."""
    parts = layer.split(".")
    return parts[1] if parts[0] == "branches" else "shared"
