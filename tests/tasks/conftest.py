"""A data set of three classes with depth up to 10 m."""

from __future__ import annotations

import pytest
import torch

from mtljobs.contracts import DatasetInfo


@pytest.fixture
def info() -> DatasetInfo:
    return DatasetInfo(
        id="small",
        splits={"train": ("a",), "validation": (), "test": ("b",)},
        class_names=("wall", "floor", "chair"),
        tasks=("segmentation", "depth", "normals"),
        size=None,
        depth_unit="m",
        depth_scale=10.0,
        sha256=None,
    )


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
