from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import open_run, saliency
from mtljobs.results.maps import upsample

ITEM = {"sparsity": 0.5, "seed": 0, "group": "0.20-0.40"}


def write(synthetic: Any, folder: Path, maps: str, **change: Any) -> xr.Dataset:
    """The depth node of a run that keeps its maps in some way."""
    layouts = {
        name: dataclasses.replace(layout, maps=maps, **change)
        for name, layout in synthetic.make_layouts().items()
    }
    run = synthetic.write_run(RunFolder(folder / maps), layouts=layouts)
    return open_run(run.root)["segnet-netslim/depth"].to_dataset()


def test_a_map_is_resized_between_the_centres_of_its_positions() -> None:
    # 2 positions on 4 pixels: centres at .5 and 2.5 of 0 .. 3, flat outside of them.
    assert upsample(np.array([[0.0, 4.0], [8.0, 12.0]]), (2, 4)).tolist() == [
        [0.0, 1.0, 3.0, 4.0],
        [8.0, 9.0, 11.0, 12.0],
    ]


def test_a_map_of_the_images_size_stays_as_it_is() -> None:
    maps = np.random.default_rng(0).random((2, 5, 7), dtype=np.float32)
    np.testing.assert_array_equal(upsample(maps, (5, 7)), maps)


def test_saliency_has_the_images_size_and_a_maximum_of_one(stored_run: RunFolder) -> None:
    depth = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset()
    item = depth.sel(ITEM | {"image": "test-00001"})
    found = saliency(item)
    assert found.dims == ("row", "column")
    assert found.shape == (64, 64)
    np.testing.assert_array_equal(
        found.values, upsample(item["cam"].values, (64, 64)) / item["cam_max"].values
    )


def test_an_all_zero_map_stays_zero(stored_run: RunFolder) -> None:
    depth = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset()
    item = depth.sel(ITEM | {"image": "test-00001"}) * 0
    assert not saliency(item.assign_attrs(depth.attrs)).any()


def test_a_subset_of_maps_is_found_by_its_images(synthetic, tmp_path: Path, stored_run) -> None:
    whole = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset().sel(ITEM)
    some = write(synthetic, tmp_path, "subset", map_images=2).sel(ITEM)
    assert some["map_image"].values.tolist() == ["test-00000", "test-00001"]
    image = {"image": "test-00001"}
    np.testing.assert_array_equal(saliency(some.sel(image)), saliency(whole.sel(image)))
    two = saliency(some.sel(image=["test-00001", "test-00003"]))
    assert two.dims == ("image", "row", "column")
    np.testing.assert_array_equal(two.isel(image=0), saliency(whole.sel(image)))
    assert two.isel(image=1).isnull().all()


def test_a_subset_of_maps_needs_the_names_of_its_images(synthetic, tmp_path: Path) -> None:
    some = write(synthetic, tmp_path, "subset", map_images=2)
    with pytest.raises(UserError, match=r"which image was selected.*without drop=True"):
        saliency(some.isel(image=0, drop=True))


def test_half_precision_maps_differ_by_their_rounding_alone(
    synthetic, tmp_path: Path, stored_run
) -> None:
    whole = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset().sel(ITEM)
    half = write(synthetic, tmp_path, "half").sel(ITEM)
    assert half["cam_half"].dtype == np.float16
    np.testing.assert_allclose(saliency(half), saliency(whole), atol=2**-10)


def test_a_run_without_maps_says_what_it_has(synthetic, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="segment_score"):
        saliency(write(synthetic, tmp_path, "scores", map_images=0))
