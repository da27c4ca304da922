from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.settings.grid import Experiment, Grid

EXPERIMENT = {
    "name": "study",
    "data": {"name": "rooms"},
    "model": {"name": "segnet_mtan"},
    "tasks": [{"name": "depth"}],
    "training": {"iterations": 1},
    "pruning": {"name": "netslim"},
    "sparsities": [0.0],
    "seeds": [0],
    "explain": {"images": 1},
}


def experiment(**changes):
    return TypeAdapter(Experiment).validate_python(EXPERIMENT | changes)


def refusal(**changes):
    with pytest.raises(ValidationError) as caught:
        experiment(**changes)
    return "; ".join(problem["msg"] for problem in caught.value.errors())


class TestSparsities:
    def test_fraction_with_four_digits_is_kept_as_it_is(self):
        values = (0.0, 0.5, 0.9375, 0.0001, 0.9999)
        assert experiment(sparsities=values).sparsities == values

    @pytest.mark.parametrize("value", [1.0, 1, -0.5, 1e9, 100])
    def test_value_outside_of_0_to_1_is_refused(self, value):
        assert f"a sparsity is a fraction in [0, 1), received {value:g}" in refusal(
            sparsities=[value]
        )

    @pytest.mark.parametrize(("value", "fraction"), [(50, "0.5"), (93.75, "0.9375")])
    def test_per_cent_are_answered_with_the_fraction(self, value, fraction):
        assert f"(for {value:g} % write {fraction})" in refusal(sparsities=[value])

    def test_one_gets_no_hint_of_per_cent(self):
        assert "%" not in refusal(sparsities=[1.0])

    @pytest.mark.parametrize("value", [0.99999, 0.00001, 1 / 3])
    def test_value_of_more_digits_than_its_name_is_refused(self, value):
        assert f"four digits at most, received {value!r}" in refusal(sparsities=[value])

    def test_negative_zero_is_zero(self):
        (value,) = experiment(sparsities=[-0.0]).sparsities
        assert str(value) == "0.0"

    def test_whole_number_is_a_fraction_too(self):
        (value,) = experiment(sparsities=[0]).sparsities
        assert isinstance(value, float)


class TestTwice:
    @pytest.mark.parametrize(
        ("key", "values", "twice"),
        [
            ("seeds", [0, 1, 0], "0"),
            ("sparsities", [0.5, 0.0, 0.5], "0.5"),
            ("sparsities", [0.0, -0.0], "0.0"),
            ("tasks", [{"name": "depth"}, {"name": "depth", "bins": 3}], "depth"),
            ("tasks", [{"name": name} for name in ("depth", "normals") * 2], "depth, normals"),
        ],
    )
    def test_value_may_stand_in_a_list_once(self, key, values, twice):
        assert refusal(**{key: values}).endswith(f"received twice: {twice}")

    def test_experiments_of_one_name_are_refused(self):
        with pytest.raises(ValidationError, match="received twice: study"):
            TypeAdapter(Grid).validate_python({"experiment": [EXPERIMENT, EXPERIMENT]})


class TestNames:
    @pytest.mark.parametrize("name", ["a", "0", "segnet-netslim_2", "a" * 64])
    def test_name_that_fits_a_folder_is_taken(self, name):
        assert experiment(name=name).name == name

    @pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a/b", "a.b", "ä", "a\n", "a" * 65])
    def test_name_that_does_not_is_refused(self, name):
        assert "should match pattern" in refusal(name=name)


@pytest.mark.parametrize("key", ["tasks", "sparsities", "seeds"])
def test_empty_list_is_refused(key):
    assert "at least 1 item" in refusal(**{key: []})


@pytest.mark.parametrize(("seed", "is_taken"), [(0, True), (2**63 - 1, True), (2**63, False)])
def test_seed_fits_the_store(seed, is_taken):
    if is_taken:
        assert experiment(seeds=[seed]).seeds == (seed,)
    else:
        assert "should be less than" in refusal(seeds=[seed])


def test_order_of_keys_changes_nothing():
    backwards = dict(reversed(EXPERIMENT.items()))
    assert TypeAdapter(Experiment).validate_python(backwards) == experiment()


def test_grid_needs_an_experiment():
    with pytest.raises(ValidationError, match="at least 1 item"):
        TypeAdapter(Grid).validate_python({"experiment": []})


class TestWeights:
    TASKS = ({"name": "segmentation"}, {"name": "depth"})

    def test_weights_of_all_tasks_are_taken_in_any_order(self):
        weights = {"depth": 20.0, "segmentation": 1.0}
        settings = experiment(tasks=self.TASKS, weighting={"name": "fixed", "weights": weights})
        assert settings.weighting.weights == weights

    @pytest.mark.parametrize(
        ("weights", "received"),
        [
            ({"depth": 1.0}, "depth"),
            ({"depth": 1.0, "segmentation": 1.0, "normals": 1.0}, "depth, normals, segmentation"),
            ({"depth": 1.0, "segmentatoin": 1.0}, "depth, segmentatoin"),
            ({}, "none"),
        ],
    )
    def test_weights_of_other_tasks_are_refused_by_name(self, weights, received):
        assert refusal(tasks=self.TASKS, weighting={"name": "fixed", "weights": weights}).endswith(
            f"weights should name each task once (depth, segmentation), received {received}"
        )

    def test_weight_of_nothing_is_refused(self):
        assert "greater than 0" in refusal(weighting={"name": "fixed", "weights": {"depth": 0.0}})


def test_network_does_not_begin_twice():
    file = {"file": "mine.safetensors", "sha256": "0" * 64}
    model = {"name": "deeplab_resnet"}
    assert experiment(model=model, init=file).init is not None
    assert "received both" in refusal(model={**model, "backbone": file}, init=file)
