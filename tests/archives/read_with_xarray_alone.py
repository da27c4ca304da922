"""A reader of the format who has xarray and zarr, and nothing of mtljobs: prints mean areas."""

from __future__ import annotations

import json
import sys

import xarray as xr

sys.modules["mtljobs"] = None  # to import it is an error

run = xr.open_datatree(sys.argv[1], engine="zarr", chunks=None)
areas = {}
for name, experiment in run.children.items():
    n_segments = experiment["inputs"].n_segments
    for task in experiment.attrs["tasks"].split():
        items = experiment[task].to_dataset()
        between_steps = (items.irof + items.irof.shift(step=-1)) / 2
        area = 1 - between_steps.sum("step") / n_segments
        mean = area.where(items.status == 1).mean(["seed", "image", "group"])
        areas[f"/{name}/{task}"] = mean.sortby("sparsity").values.tolist()
json.dump(areas, sys.stdout)
