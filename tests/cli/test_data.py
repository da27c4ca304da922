from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def streets(tmp_path):
    """Cityscapes as MTAN's authors share it: two images train, one tests."""
    root = tmp_path / "streets"
    draw = np.random.default_rng(0)
    for folder, count in (("train", 2), ("val", 1)):
        for name in ("image", "label_7", "depth"):
            (root / folder / name).mkdir(parents=True)
        for number in range(count):
            np.save(root / folder / f"image/{number}.npy", draw.random((32, 64, 3)))
            np.save(root / folder / f"label_7/{number}.npy", draw.integers(-1, 7, (32, 64)))
            np.save(root / folder / f"depth/{number}.npy", draw.random((32, 64, 1)) / 2)
    return root


GRID_CHANGES = (
    (
        '{ name = "rooms", size = [32, 32], train = 16, test = 8 }',
        '{ name = "cityscapes", size = [32, 64] }',
    ),
    ("batch = 4", "batch = 2"),
    ("images = 4, block = 2", "images = 1"),
)


def test_prepared_set_is_planned_with_its_own_images(mtljobs, streets, grid_file, workspace):
    grid = grid_file(*GRID_CHANGES)
    before = mtljobs(f"plan --grid {grid} --json").json
    answer = mtljobs(f"data prepare cityscapes --root {streets} --validation 0 --jobs 1 --json")
    assert answer.code == 0
    values = answer.json
    assert values["images"] == {"train": 2, "validation": 0, "test": 1}
    assert (values["tasks"], values["sizes"]) == (["segmentation", "depth"], ["32x64"])
    after = mtljobs(f"plan --grid {grid} --json").json
    assert (before["provisional"], after["provisional"]) == (True, False)
    assert before["cells"][0]["identity"] != after["cells"][0]["identity"]


def test_published_set_is_planned_before_it_is_there_and_not_submitted(mtljobs, grid_file):
    pytest.importorskip("torch", reason="submit asks for it first")
    grid = grid_file(*GRID_CHANGES)
    assert "provisional" in mtljobs(f"plan --grid {grid}").out
    answer = mtljobs(f"submit --grid {grid}")
    assert answer.code == 2
    assert "`mtljobs data prepare`" in answer.err


def test_normals_that_a_set_lacks_are_refused_when_it_is_planned(mtljobs, grid_file):
    grid = grid_file(*GRID_CHANGES, ('{ name = "depth" }', '{ name = "normals" }'))
    answer = mtljobs(f"plan --grid {grid}")
    assert answer.code == 2
    assert "the data set 'cityscapes' has no normals" in answer.err


def test_size_that_is_not_prepared_is_refused_with_the_command(mtljobs, grid_file, streets):
    mtljobs(f"data prepare cityscapes --root {streets} --validation 0 --jobs 1")
    grid = grid_file(*GRID_CHANGES[1:], (GRID_CHANGES[0][0], '{ name = "cityscapes" }'))
    answer = mtljobs(f"plan --grid {grid}")
    assert answer.code == 2
    assert "is prepared at 32x64" in answer.err
    assert "`mtljobs data prepare cityscapes --root FOLDER --size 128x256`" in answer.err


def test_what_is_printed_can_be_put_into_a_grid(mtljobs, streets):
    answer = mtljobs(
        f"data prepare cityscapes --root {streets} --validation 0 --size 32x64 --jobs 1 --id mine"
    )
    assert "mine: 2 train, 0 validation, 1 test; segmentation, depth; at 32x64" in answer.out
    assert 'data = { name = "cityscapes", id = "mine", size = [32, 64] }' in answer.out


@pytest.mark.parametrize("size", ["32", "32x", "0x64", "32*64"])
def test_size_is_rows_x_columns(mtljobs, streets, size):
    answer = mtljobs(f"data prepare cityscapes --root {streets} --size {size}")
    assert answer.code == 2
    assert f"as in 288x384, received '{size}'" in answer.err


def test_options_of_published_sets_are_refused_for_a_description(mtljobs, tmp_path):
    (tmp_path / "desk.toml").write_text("")
    answer = mtljobs(f"data prepare {tmp_path}/desk.toml --root {tmp_path} --validation 0.1")
    assert answer.code == 2
    assert "--validation belongs to nyuv2 and cityscapes" in answer.err
    answer = mtljobs(f"data prepare nyu --root {tmp_path}")
    assert "'nyu' is neither nyuv2 nor cityscapes, nor a TOML file" in answer.err


def test_check_lists_everything_and_writes_nothing(mtljobs, streets, workspace):
    np.save(streets / "train/label_7/1.npy", np.full((32, 64), 7))
    (streets / "val/depth/0.npy").write_bytes(b"")
    answer = mtljobs(f"data check cityscapes --root {streets}")
    assert answer.code == 2
    lines = answer.out.splitlines()
    assert lines[-1] == f"4 problems in {streets}"
    assert "label_7/1.npy holds the label 7" in lines[2]
    assert "depth/0.npy (0 bytes) cannot be read" in lines[3]
    found = mtljobs(f"data check cityscapes --root {streets} --json").json["problems"]
    assert found == lines[:-1]
    assert not workspace.root.exists()


def test_show_draws_an_image(mtljobs, streets, tmp_path):
    mtljobs(f"data prepare cityscapes --root {streets} --validation 0 --jobs 1")
    output = tmp_path / "street.png"
    answer = mtljobs(f"data show cityscapes --image val-0000 -o {output}")
    assert (answer.code, answer.out) == (0, f"wrote {output}\n")
    assert output.read_bytes().startswith(b"\x89PNG")
