"""What every synthetic data set promises: samples are a function of seed, split and index alone."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from mtljobs.settings import build

ROWS, COLUMNS = 32, 64
SHAPES = {
    "image": ((3, ROWS, COLUMNS), np.float32),
    "segmentation": ((ROWS, COLUMNS), np.int64),
    "depth": ((1, ROWS, COLUMNS), np.float32),
    "normals": ((3, ROWS, COLUMNS), np.float32),
}

ELSEWHERE = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1])))
from test_synthetic import digest, opened
from mtljobs.settings import data
choice = getattr(data, sys.argv[2])(name=sys.argv[3], size=(32, 64), train=8, test=8)
print(*[digest(opened(choice, "test")[index]) for index in (0, 7, 3)])
"""


@pytest.fixture
def synthetic(synthetic_choice, smallest):
    """A small set of the class, eight images a split."""
    return dataclasses.replace(smallest(synthetic_choice), size=(ROWS, COLUMNS), train=8, test=8)


def opened(choice, split="train"):
    return build(choice, info=choice.info(), split=split, root=None)


def digest(sample):
    joined = b"".join(sample[name].tobytes() for name in sorted(sample))
    return hashlib.sha256(joined).hexdigest()


def test_sample_has_the_shapes_types_and_ranges_of_the_contract(synthetic):
    info, dataset = synthetic.info(), opened(synthetic)
    expected = {name: SHAPES[name] for name in ("image", *info.tasks)}
    for index in range(len(dataset)):
        sample = dataset[index]
        assert {n: (a.shape, a.dtype.type) for n, a in sample.items()} == expected
        assert 0 <= sample["image"].min() < sample["image"].max() <= 1
        labels = set(np.unique(sample["segmentation"]))
        assert {-1} < labels <= set(range(-1, len(info.class_names)))


def test_sample_is_the_same_in_another_process_and_another_order(synthetic):
    folder, kind = __file__.rsplit("/", 1)[0], type(synthetic).__name__
    elsewhere = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, folder, kind, synthetic.name],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    dataset = opened(synthetic, "test")
    three, zero, seven = (digest(dataset[index]) for index in (3, 0, 7))
    assert elsewhere == [zero, seven, three]


def test_sample_does_not_depend_on_how_many_there_are(synthetic):
    many = dataclasses.replace(synthetic, train=300, test=50)
    assert digest(opened(synthetic)[2]) == digest(opened(many)[2])


def test_index_split_and_seed_each_make_another_sample(synthetic):
    other_seed = dataclasses.replace(synthetic, seed=1)
    digests = [
        digest(opened(synthetic)[0]),
        digest(opened(synthetic)[1]),
        digest(opened(synthetic, "test")[0]),
        digest(opened(other_seed)[0]),
    ]
    assert len(set(digests)) == 4


def test_index_beyond_the_split_is_refused(synthetic):
    assert len(opened(synthetic, "test")) == 8
    assert len(opened(synthetic, "validation")) == 0
    with pytest.raises(IndexError, match="8 images, asked for 8"):
        opened(synthetic, "test")[8]
