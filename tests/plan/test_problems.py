"""What a mistake in a grid is answered with: which key, what stands there, what may."""

from __future__ import annotations

import random
import re

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.errors import GridError


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ("[resources]", "[resource]", "unknown key resource (did you mean 'resources'?)"),
        (
            "sparsities", "sparsity",
            "unknown key experiment[0].sparsity (did you mean 'sparsities'?)",
        ),
        ("train =", "trian =", "unknown key experiment[0].data.trian (did you mean 'train'?)"),
        ("bins", "bin", "unknown key experiment[0].tasks[1].bin (did you mean 'bins'?)"),
        (
            "n_segments", "segments",
            "unknown key experiment[0].explain.superpixels.segments (did you mean 'n_segments'?)",
        ),
        (
            "iterations", "zzz",
            "unknown key experiment[0].training.zzz (valid: accumulate, autocast, batch, "
            "channels_last, decay_every, decay_factor, epochs, flip, iterations, keep, "
            "learning_rate, optimiser and 4 more)",
        ),
    ],
)  # fmt: skip
def test_misspelt_key_at_any_depth_is_answered_with_the_nearest(
    refusal, grid_file, old, new, clause
):
    assert clause in refusal(grid_file((old, new))).rstrip(".").split("; ")


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        (
            '"rooms"', '"room"',
            "experiment[0].data.name = 'room' is unknown (did you mean 'rooms'?)",
        ),
        (
            '"netslim"', '"netslimm"',
            "experiment[0].pruning.name = 'netslimm' is unknown (did you mean 'netslim'?)",
        ),
        (
            '"depth"', '"dept"',
            "experiment[0].tasks[1].name = 'dept' is unknown (did you mean 'depth'?)",
        ),
        (
            'name = "rooms", ', "",
            "the key experiment[0].data.name is missing "
            "(valid: cityscapes, folder, nyuv2, rooms, streets)",
        ),
        (
            "batch = 4", 'optimiser = "adm"',
            "experiment[0].training.optimiser = 'adm' is unknown (did you mean 'adam'?)",
        ),
        (
            'irof_batch = "auto"', 'precision = "half"',
            "numerics.precision = 'half' is unknown (valid: float32)",
        ),
    ],
)  # fmt: skip
def test_misspelt_choice_is_answered_with_the_nearest(refusal, grid_file, old, new, clause):
    assert refusal(grid_file((old, new))) == clause + "."


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ("name = \"study\"", "", "the key experiment[0].name is missing"),
        ("seeds = [0]", "", "the key experiment[0].seeds is missing"),
        ("[32, 32]", "[32]", "the key experiment[0].data.size[1] is missing"),
        (
            "[32, 32]", "[32, 32, 3]",
            "experiment[0].data.size takes 2 entries, received [32, 32, 3]",
        ),
        ("seeds = [0]", "seeds = []", "experiment[0].seeds needs 1 entry at least"),
        (
            "iterations = 12, ", "",
            "experiment[0].training: give iterations or epochs, received neither",
        ),
    ],
)  # fmt: skip
def test_missing_and_superfluous_values_are_named(refusal, grid_file, old, new, clause):
    assert refusal(grid_file((old, new))) == clause + "."


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        (
            "iterations = 12", 'iterations = "12"',
            "experiment[0].training.iterations = '12' should be a valid integer",
        ),
        (
            "iterations = 12", "iterations = 12.0",
            "experiment[0].training.iterations = 12.0 should be a valid integer",
        ),
        (
            "seeds = [0]", "seeds = [true]",
            "experiment[0].seeds[0] = True should be a valid integer",
        ),
        ("seeds = [0]", "seeds = 0", "experiment[0].seeds should be an array, [...], received 0"),
        (
            "width = 0.0625", "width = 1979-05-27",
            "experiment[0].model.width = '1979-05-27' should be a valid number",
        ),
        (
            "batch = 4", 'flip = "yes"',
            "experiment[0].training.flip = 'yes' should be a valid boolean",
        ),
        (
            '{ name = "segnet_mtan", width = 0.0625 }', '"segnet_mtan"',
            'experiment[0].model should be a table like { name = "segnet_mtan" }, '
            "received 'segnet_mtan'",
        ),
        (
            '{ name = "segmentation" }', '"depth"',
            "experiment[0].tasks[0] should be a table like { name = \"depth\" }, received 'depth'",
        ),
        (
            "[[experiment]]", "[experiment]",
            "experiment should be an array of tables, [[experiment]], received a single table",
        ),
        (
            'irof_batch = "auto"', 'irof_batch = "aut"',
            "numerics.irof_batch = 'aut' should be a valid integer or be 'auto'",
        ),
        ('"../desk"', "5", "resources.data.desk = 5 should be a valid string"),
    ],
)  # fmt: skip
def test_value_of_another_type_is_refused_whatever_it_could_be_read_as(
    refusal, grid_file, old, new, clause
):
    assert refusal(grid_file((old, new))) == clause + "."


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        (
            "seeds = [0]", "seeds = [-1]",
            "experiment[0].seeds[0] = -1 should be greater than or equal",
        ),
        (
            "width = 0.0625", "width = 2",
            "experiment[0].model.width = 2 should be less than or equal",
        ),
        ("batch = 4", "learning_rate = inf", "learning_rate = inf should be a finite number"),
        ("batch = 4", "learning_rate = nan", "learning_rate = nan should be a finite number"),
        ("[0, 0.5]", "[1.0]", "a sparsity is a fraction in [0, 1), received 1"),
        (
            "[0, 0.5]", "[50]",
            "a sparsity is a fraction in [0, 1), received 50 (for 50 % write 0.5)",
        ),
        ('"study"', '"My study"', "name = 'My study' should match pattern"),
    ],
)  # fmt: skip
def test_value_out_of_range_is_refused(refusal, grid_file, old, new, clause):
    assert clause in refusal(grid_file((old, new)))


def test_everything_that_is_wrong_is_said_at_once(refusal, grid_file):
    text = refusal(
        grid_file(("batch = 4", "batches = 4"), ("seeds", "seed"), ('"netslim"', '"netslimm"'))
    )
    assert text.split("; ") == [
        "unknown key experiment[0].training.batches (did you mean 'batch'?)",
        "experiment[0].pruning.name = 'netslimm' is unknown (did you mean 'netslim'?)",
        "the key experiment[0].seeds is missing",
        "unknown key experiment[0].seed (did you mean 'seeds'?).",
    ]


def test_experiment_is_named_by_its_place_in_the_file(refusal, grid_text, grid_file):
    second = grid_text.partition("[numerics]")[0].replace("study", "other").replace("seeds", "seed")
    text = refusal(grid_file(("[numerics]", second + "[numerics]")))
    assert "the key experiment[1].seeds is missing" in text
    assert "experiment[0]" not in text


JUNK = ("true", "nan", "1e400", "-1", "9" * 30, '""', '"rooms"', "[]", "{}", "[[", "=")


@pytest.mark.parametrize("seed", range(100))
def test_no_change_of_a_grid_ends_in_a_traceback(grid_text, grid_file, workspace, seed):
    chance = random.Random(seed)
    words = re.findall(r'"[^"]*"|[\w.]+|\s+|.', grid_text)
    for _ in range(chance.randint(1, 3)):
        words[chance.randrange(len(words))] = chance.choice(JUNK)
    path = grid_file()
    path.write_text("".join(words))
    try:
        answer = propose(str(path), workspace=workspace).plan.cells
    except GridError as error:
        answer = str(error)
    assert answer
    assert "\n" not in answer
