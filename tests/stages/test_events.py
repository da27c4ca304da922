"""TensorBoard sees a training as it goes on; what goes wrong there stops nothing."""

from __future__ import annotations

import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtljobs.stages.events import EventFile


def entry(iteration, loss):
    return {"iteration": iteration, "train/depth/loss": loss}


def write(folder, *entries):
    file = EventFile(folder)
    for values in entries:
        file.write(values)


def scalars(folder, name="train/depth/loss"):
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(name)]


def test_every_value_of_an_entry_is_a_scalar_at_its_iteration(tmp_path):
    folder = tmp_path / "run" / "train-0"
    write(folder, entry(2, 0.5), {**entry(4, 0.25), "learning_rate": 0.125})
    assert scalars(folder) == [(2, 0.5), (4, 0.25)]
    assert scalars(folder, "learning_rate") == [(4, 0.125)]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_nothing_is_made_for_a_training_that_says_nothing(tmp_path):
    write(tmp_path / "train-0")
    assert not (tmp_path / "train-0").exists()


def test_next_attempt_withdraws_what_lies_beyond_its_checkpoint(tmp_path):
    write(tmp_path, entry(2, 0.5), entry(4, 0.5), entry(6, 0.5))
    write(tmp_path, entry(4, 0.25))
    assert scalars(tmp_path) == [(2, 0.5), (4, 0.25)]
    write(tmp_path, entry(6, 0.125))
    assert scalars(tmp_path) == [(2, 0.5), (4, 0.25), (6, 0.125)]


def test_folder_that_cannot_be_made_is_warned_of_once(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "file" / "train-0", entry(1, 0.5), entry(2, 0.5))
    [record] = caplog.records
    assert "no more TensorBoard events" in record.message


@pytest.mark.skipif("not __import__('pathlib').Path('/dev/full').exists()", reason="no /dev/full")
def test_disk_that_fills_up_is_warned_of_once(tmp_path, caplog):
    file = EventFile(tmp_path)
    file.write(entry(1, 0.5))
    [path] = tmp_path.iterdir()
    path.unlink()
    path.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        file.write(entry(2, 0.5))
        file.write(entry(3, 0.5))
    [record] = caplog.records
    assert "No space left on device" in record.message
