from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder
from mtljobs.store.merge import MergeReport

Layouts = dict[str, ExperimentLayout]
Merge = Callable[[RunFolder, Layouts], MergeReport]
NAME = "inputs-segnet-f4c22ae26f0f"


def test_the_merge_copies_the_layouts_images_by_their_ids(
    run: RunFolder, layouts: Layouts, merge: Merge, superpixels: Path
) -> None:
    assert merge(run, layouts).merged == (NAME,)
    inputs = xarray.open_datatree(run.store, engine="zarr")["segnet/inputs"].load()
    # The shared folder has ten images from last to first: image 0 is its tenth, image 6 its fourth.
    np.testing.assert_array_equal(inputs["n_segments"].values, [10, 9, 8, 7, 6, 5, 4])
    segments = np.load(superpixels / "segments.npy")
    np.testing.assert_array_equal(inputs["segments"].sel(image="test-00006"), segments[3])
    previews = np.load(superpixels / "preview.npy")
    assert inputs["preview_image"].values.tolist() == ["test-00000", "test-00001"]
    np.testing.assert_array_equal(inputs["preview"].values, previews[[9, 8]])


def test_superpixels_are_copied_once(
    run: RunFolder, layouts: Layouts, merge: Merge, superpixels: Path
) -> None:
    merge(run, layouts)
    assert (run.ledger / f"{NAME}.json").exists()
    assert merge(run, layouts) == MergeReport((), (), {})


def test_superpixels_that_are_not_there_yet_are_copied_by_a_later_merge(
    run: RunFolder, layouts: Layouts, merge: Merge, request: pytest.FixtureRequest
) -> None:
    assert merge(run, layouts) == MergeReport((), (), {})
    request.getfixturevalue("superpixels")
    assert merge(run, layouts).merged == (NAME,)


def test_each_experiment_gets_its_own_copy(
    run: RunFolder, layout: ExperimentLayout, merge: Merge, superpixels: Path
) -> None:
    fewer = dataclasses.replace(layout, images=layout.images[:2], block=2, previews=0)
    assert len(merge(run, {"segnet": layout, "small": fewer}).merged) == 2
    inputs = xarray.open_datatree(run.store, engine="zarr")["small/inputs"].load()
    assert inputs["n_segments"].values.tolist() == [10, 9]
    assert "preview" not in inputs


@pytest.mark.parametrize("file", ["segments.npy", "images.json", "record.json"])
def test_superpixels_that_are_not_those_of_their_record_are_withdrawn(
    run: RunFolder, layouts: Layouts, merge: Merge, superpixels: Path, file: str
) -> None:
    path = superpixels / file
    path.write_bytes(path.read_bytes()[:-2] + b"!!")
    report = merge(run, layouts)
    assert report.merged == ()
    assert list(report.quarantined) == ["segment-f4c22ae26f0f"]
    assert file in report.quarantined["segment-f4c22ae26f0f"]
    assert not superpixels.exists()


def test_superpixels_without_one_of_the_images_are_refused_by_its_name(
    run: RunFolder, layout: ExperimentLayout, merge: Merge, superpixels: Path
) -> None:
    layout = dataclasses.replace(layout, images=(*layout.images[:-1], "test-99999"))
    report = merge(run, {"segnet": layout})
    assert "lacks the images test-99999" in report.quarantined["segment-f4c22ae26f0f"]
