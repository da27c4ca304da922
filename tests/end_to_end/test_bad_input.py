"""Files that are not what they should be, from the door to the middle of an explanation.

Each mistake is answered in one paragraph that names the file, nothing that was finished is lost,
and the run goes on once the file is mended. What single readers refuse stands in `tests/data`.
"""

from __future__ import annotations

import multiprocessing
import shutil

import numpy as np
import pytest
import xarray as xr

from mtljobs.settings import derive_seed
from mtljobs.training.order import EpochBatches

FAULTS = {
    "unreadable image": ("color.png", b"\x89PNG, but not really", "cannot be read"),
    "misshapen image": ("color.png", np.zeros((32, 31, 3), np.uint8), "32 x 31"),
    "label out of range": ("label.png", np.full((32, 32), 9, np.uint8), "holds the label 9"),
    "depth of wrong size": ("depth.npy", np.ones((16, 32)), "16 x 32 pixels"),
    "NaN in the input": ("depth.npy", np.full((32, 32), np.nan), "NaN"),
}
CHANGED = {"changed file": ("depth.npy", np.ones((32, 32)), "not those that were prepared")}


def spoil(desk, name, fault):
    """Give an image's file a fault; the path, its old content, and what a message must say."""
    suffix, content, message = (FAULTS | CHANGED)[fault]
    path = desk.images / f"{name}-{suffix}"
    before = path.read_bytes()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        desk.write(path.name, content)
    return path, before, message


def last_trained():
    """The image of the last training step's batch; see the grid: 6 images, 3 steps of 2."""
    batches = EpochBatches(count=6, batch=2, seed=derive_seed(0, "train"), start=0, stop=3)
    return f"train-{list(batches)[-1][0][1]}"


def assert_paragraph(text, *parts):
    """One line, as it is printed where no terminal breaks it, with no trace of our code in it."""
    (line,) = text.strip().splitlines()
    for part in parts:
        assert str(part) in line
    assert "Traceback" not in line
    assert ".py" not in line


@pytest.mark.parametrize("fault", FAULTS)
def test_folder_with_a_bad_file_is_refused_at_the_door_and_what_was_prepared_stays(
    new_desk, mtljobs, fault
):
    prepared = new_desk.workspace.data / "desk" / "dataset.json"
    before = prepared.read_bytes()
    path, _, message = spoil(new_desk, "train-3", fault)
    arguments = (new_desk.description, "--root", new_desk.images, "-w", new_desk.workspace.root)
    answer = mtljobs("data", "prepare", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert_paragraph(answer.err, path, message)
    assert prepared.read_bytes() == before


def test_empty_folder_is_refused_at_the_door_and_nothing_is_written(new_desk, mtljobs, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = (new_desk.description, "--root", tmp_path / "empty", "-w", tmp_path / "nothing")
    answer = mtljobs("data", "prepare", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert_paragraph(answer.err, tmp_path / "empty", "{id}-color.png")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("fault", [*FAULTS, *CHANGED])
def test_training_that_meets_a_bad_file_names_it_and_goes_on_where_it_was(
    new_desk, finished_desk, mtljobs, tree, fault
):
    path, before, message = spoil(new_desk, last_trained(), fault)
    train = new_desk.shard("train")
    new_desk.work("train")
    answer = mtljobs("status", new_desk.run.root)
    assert answer.code == 1
    (line,) = [line for line in answer.out.splitlines() if line.startswith("failed")]
    assert_paragraph(line, train.name, path, message)
    log = mtljobs("logs", train.name, "--run", new_desk.run.root)
    assert "Traceback" not in log.out
    assert message in log.out

    path.write_bytes(before)
    assert new_desk.work("train") == {train.name: "done"}
    log = mtljobs("logs", train.name, "--run", new_desk.run.root).out
    assert "3 of 3 iterations" in log
    assert "1 of 3 iterations" not in log  # steps 1 and 2 were in the checkpoint
    assert tree(new_desk.workspace.networks) == tree(finished_desk.workspace.networks)


def test_loader_process_that_meets_a_bad_file_names_it_and_ends(new_desk):
    new_desk.grid.write_text(new_desk.grid.read_text() + "loader_workers = 1\n")
    new_desk.submit()
    path, _, message = spoil(new_desk, last_trained(), "unreadable image")
    train = new_desk.shard("train")
    end = new_desk.work("train")[train.name]
    assert_paragraph(end, path, message)
    # It hears no SIGTERM: one that was left behind would keep the worker from ending, for ever.
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("stage", ["segment", "evaluate"])
def test_bad_test_image_is_named_by_the_stages_that_need_every_image(desk, stage):
    shutil.rmtree(desk.workspace.inputs)
    path, before, message = spoil(desk, "test-2", "unreadable image")
    name = desk.shard(stage).name
    assert_paragraph(desk.work(stage)[name], path, message)
    path.write_bytes(before)
    assert desk.work(stage) == {name: "done"}


def test_image_lost_while_explaining_costs_its_own_items_alone(desk, finished_desk, mtljobs):
    path, before, _ = spoil(desk, "test-2", "unreadable image")
    explain = desk.shard("explain", 1)  # test-2 and test-3
    ends = desk.work("explain")
    assert set(ends.values()) == {"done"}
    log = mtljobs("logs", explain.name, "--run", desk.run.root).out
    assert f"'test-2' gets the status 'input unreadable': {path}" in log

    path.write_bytes(before)
    desk.work("evaluate")
    refusal = mtljobs("reduce", desk.run.root)
    assert refusal.code == 3
    assert_paragraph(
        refusal.err, "8 of 32 items are missing (8 input unreadable)", "--requeue --missing"
    )
    partial = mtljobs("reduce", desk.run.root, "--allow-partial")
    assert partial.code == 0
    assert "without 8 items of 1 cell" in partial.out

    found = xr.open_datatree(desk.run.store, engine="zarr")
    whole = xr.open_datatree(finished_desk.run.store, engine="zarr")
    for task in ("desk/segmentation", "desk/depth"):
        assert (found[task].status.sel(image="test-2") == 8).all()
        lost = found[task].to_dataset().sel(image="test-2")
        assert all(lost[name].isnull().all() for name in ("irof", "segment_score", "cam"))
        assert (lost["order"] == 65535).all()
        others = ["test-0", "test-1", "test-3"]
        xr.testing.assert_identical(
            found[task].to_dataset().sel(image=others), whole[task].to_dataset().sel(image=others)
        )


def test_items_whose_input_is_back_are_computed_again(desk, finished_desk, mtljobs, tree):
    path, before, _ = spoil(desk, "test-2", "unreadable image")
    explain = desk.shard("explain", 1)  # test-2 and test-3
    desk.work("explain")
    path.write_bytes(before)
    desk.work("evaluate")
    mtljobs("reduce", desk.run.root, "--allow-partial")

    answer = mtljobs("verify", desk.run.root, "--requeue")
    assert (answer.code, answer.out.count("moved")) == (0, 0)
    answer = mtljobs("verify", desk.run.root, "--requeue", "--missing")
    assert answer.code == 0
    assert f"moved {explain.name} to {desk.run.quarantine}" in answer.out
    assert desk.work("explain")[explain.name] == "done"
    assert mtljobs("reduce", desk.run.root).code == 0
    assert tree(desk.run.store) == tree(finished_desk.run.store)


def test_shard_fails_whole_where_none_of_its_images_can_be_read(desk, finished_desk, tree):
    # As on a node that lacks the disk with the images.
    shutil.copytree(desk.images, desk.folder / "elsewhere")
    for path in desk.images.iterdir():
        path.unlink()
    ends = desk.work("explain")
    for end in ends.values():
        assert_paragraph(end, "none of the 2 images", desk.images / "test-")
    assert not list(desk.run.committed.glob("explain*"))
    shutil.copytree(desk.folder / "elsewhere", desk.images, dirs_exist_ok=True)
    assert desk.work()["reduce"] == "done"
    assert tree(desk.run.store) == tree(finished_desk.run.store)


def test_data_set_that_was_prepared_anew_is_not_mixed_with_the_one_that_was_planned(desk):
    path, before, _ = spoil(desk, "test-1", "changed file")
    desk.prepare()
    (end,) = desk.work("evaluate").values()
    assert_paragraph(end, "'desk'", "prepared again")
    path.write_bytes(before)
    desk.prepare()
    assert set(desk.work("evaluate").values()) == {"done"}


@pytest.fixture
def complete_desk(desk, finished_desk):
    """A desk whose run is complete, for a test of its own."""
    shutil.copytree(finished_desk.run.root, desk.run.root, dirs_exist_ok=True)
    return desk


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("sparsities = [0.0]", "sparsities = [0.0, 50]"), ("received 50", "write 0.5")),
        (("sparsities = [0.0]", "sparsities = [1.0]"), ("fraction in [0, 1)", "received 1")),
        (("batch = 2", "bach = 2"), ("training.bach", "'batch'")),
    ],
)
def test_mistake_in_the_grid_leaves_the_finished_run_as_it_is(
    complete_desk, mtljobs, tree, change, parts
):
    desk = complete_desk
    before = tree(desk.run.root)
    desk.grid.write_text(desk.grid.read_text().replace(*change))
    answer = mtljobs("submit", "-g", desk.grid, "-w", desk.workspace.root, "--executor", "local")
    assert (answer.code, answer.out) == (2, "")
    assert_paragraph(answer.err, desk.grid, *parts)
    assert tree(desk.run.root) == before
    assert mtljobs("status", desk.run.root).code == 0
