from __future__ import annotations

import itertools

import pytest

from mtljobs.cli.only import parse_only
from mtljobs.errors import UserError

CELLS = list(itertools.product(["a", "b"], [0.0, 0.5], [0, 1]))


def chosen(*values):
    wanted = parse_only(list(values))
    return [cell for cell in CELLS if wanted(*cell)]


def test_all_cells_are_wanted_without_the_option():
    assert [cell for cell in CELLS if parse_only(None)(*cell)] == CELLS
    assert chosen() == chosen("") == CELLS


@pytest.mark.parametrize(
    "values",
    [
        ["experiment=a,sparsity=0.5"],
        ["experiment=a", "sparsity=0.5"],
        [" experiment = a , sparsity = 0.50 ,"],
    ],
)
def test_keys_are_and_however_they_are_given(values):
    assert chosen(*values) == [("a", 0.5, 0), ("a", 0.5, 1)]


def test_values_of_a_key_are_or():
    assert chosen("seed=0,seed=1,sparsity=0") == [
        ("a", 0.0, 0), ("a", 0.0, 1), ("b", 0.0, 0), ("b", 0.0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["seed=5", "sparsity=50", "experiment=A", "seed=0.5"])
def test_value_that_no_cell_has_chooses_none(value):
    assert chosen(value) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("seeds=1", r"received 'seeds=1' \(did you mean 'seed'\?\)"),
        ("0.5", "takes experiment=…, sparsity=…, seed=…, received '0.5'"),
        ("=0.5", "received '=0.5'"),
        ("seed=one", "'seed=one' needs a number, received 'one'"),
        ("sparsity=", "needs a number"),
    ],
)
def test_what_cannot_be_parsed_is_named(value, words):
    with pytest.raises(UserError, match=words):
        parse_only([value])
