from __future__ import annotations

import dataclasses

import pytest

from mtljobs.contracts import TaskLayout
from mtljobs.errors import GridError
from mtljobs.plan import planning
from mtljobs.settings.classes import NYU13_CLASSES
from mtljobs.settings.data import Rooms


@pytest.fixture
def layout(planned, table):
    """The layout of the experiment as the table says it now."""
    return lambda: planned(table).layouts["study"]


@pytest.fixture
def refusal(planned, table):
    """What planning says of the table as it is now."""

    def plan():
        with pytest.raises(GridError) as caught:
            planned(table)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return plan


@pytest.fixture
def data_set(monkeypatch):
    """Makes every data set one with these properties."""

    def use(**properties):
        info = dataclasses.replace(Rooms(name="rooms", train=16, test=8).info(), **properties)
        monkeypatch.setattr(planning, "dataset_info", lambda *_: info)

    return use


class TestShapes:
    @pytest.mark.parametrize(
        ("layer", "cam_size"),
        [
            ("last_shared", (32, 64)),
            ("bottleneck", (2, 4)),
            ("conv_block_enc.2", (8, 16)),
            ("decoder_block.3", (4, 8)),
        ],
    )
    def test_maps_are_as_large_as_the_explained_layer(self, layout, experiment, layer, cam_size):
        experiment["explain"]["saliency"] = {"name": "grad_cam", "layer": layer}
        assert layout().size == (32, 64)
        assert layout().cam_size == cam_size

    @pytest.mark.parametrize(
        ("saliency", "cam_size"),
        [
            ({"name": "input_gradient"}, (32, 64)),
            ({"name": "random"}, (32, 64)),
            ({"name": "random", "layer": "bottleneck"}, (2, 4)),
        ],
    )
    def test_maps_are_as_large_as_their_method_says(self, layout, experiment, saliency, cam_size):
        experiment["explain"]["saliency"] = saliency
        assert layout().cam_size == cam_size

    def test_axes_of_the_plan_are_those_of_the_grid(self, layout):
        assert (layout().sparsities, layout().seeds, layout().block) == ((0.0, 0.5), (0,), 3)
        assert layout().segments_max == 152  # 1.5 * 100, rounded up to a multiple of 8

    def test_tasks_bring_their_groups_and_metrics(self, layout):
        assert layout().tasks == {
            "segmentation": TaskLayout(
                groups=NYU13_CLASSES,
                metrics=("miou", "pixel_accuracy"),
                lower_is_better=(),
                arrays={"confusion": ("label", "prediction")},
            ),
            "depth": TaskLayout(
                groups=("0.00-0.20", "0.20-0.40", "0.40-0.60", "0.60-0.80", "0.80-1.00"),
                metrics=("abs_error", "rel_error"),
                lower_is_better=("abs_error", "rel_error"),
                arrays={},
            ),
        }

    def test_data_set_that_forbids_copies_gets_no_previews(self, layout, data_set):
        assert layout().previews == 4
        data_set(preview_allowed=False)
        assert layout().previews == 0

    def test_settings_are_those_behind_the_results_without_the_growing_axes(self, layout):
        settings = layout().settings
        assert set(settings) == {
            "experiment", "numerics", "data_sha256", "depth_unit", "depth_scale",
        }  # fmt: skip
        assert (settings["depth_unit"], settings["depth_scale"]) == ("m", 8.0)
        assert set(settings["experiment"]) == {
            "name", "data", "model", "tasks", "weighting", "training", "pruning", "explain", "init",
        }  # fmt: skip

    def test_settings_are_resolved(self, layout, experiment):
        del experiment["explain"]["block"]
        explain = layout().settings["experiment"]["explain"]
        assert (explain["block"], explain["segments_max"]) == (7, 152)
        assert explain["saliency"]["layer"] == "conv_block_dec.0"
        assert layout().settings["numerics"]["irof_batch"] == 64

    @pytest.mark.parametrize("name", ["grad_cam", "random"])
    def test_alias_of_a_layer_is_the_layer(self, layout, experiment, name):
        experiment["explain"]["saliency"] = {"name": name, "layer": "bottleneck"}
        by_alias = layout()
        experiment["explain"]["saliency"]["layer"] = "conv_block_enc.4"
        assert layout() == by_alias


class TestRefusals:
    def test_task_that_the_data_set_lacks(self, refusal, experiment, data_set):
        data_set(tasks=("segmentation",))
        assert refusal() == (
            "experiment 'study': the data set 'rooms' has no depth (valid: segmentation)."
        )

    @pytest.mark.parametrize("size", [[33, 32], [32, 48], [16, 16]])
    def test_size_that_the_model_cannot_halve_five_times(self, refusal, experiment, size):
        experiment["data"]["size"] = size
        assert refusal() == (
            "experiment 'study': segnet_mtan takes images whose rows and columns are multiples of "
            f"32, received {size[0]} x {size[1]}."
        )

    @pytest.mark.parametrize(("edge", "squares"), [(8, 32), (9, 4 * 8), (11, 3 * 6)])
    def test_room_for_more_superpixels_than_squares(
        self, refusal, layout, experiment, edge, squares
    ):
        faithfulness = {"name": "region_perturbation", "edge": edge}
        experiment["explain"] |= {"faithfulness": faithfulness, "segments_max": squares}
        assert layout().segments_max == squares
        experiment["explain"]["segments_max"] = squares + 1
        assert f"may have {squares + 1}, and 32 x 64 pixels hold {squares} squares" in refusal()

    def test_more_images_than_the_test_split_has(self, refusal, experiment):
        experiment["explain"]["images"] = 9
        assert refusal() == (
            "experiment 'study' explains 9 images, but the test split of 'rooms' has 8; lower "
            "explain.images."
        )

    def test_all_images_of_the_test_split_may_be_explained(self, layout, experiment):
        experiment["explain"]["images"] = 8
        assert len(layout().images) == 8

    def test_batch_larger_than_the_training_split(self, refusal, layout, experiment):
        experiment["training"]["batch"] = 16
        assert layout()
        experiment["training"]["batch"] = 17
        assert refusal() == (
            "experiment 'study': training.batch = 17 exceeds the 16 training images of 'rooms'."
        )

    def test_validation_of_a_data_set_without_validation_images(self, refusal, experiment):
        experiment["training"]["validate_every"] = 4
        assert "'rooms' has none: prepare the data set with a validation part" in refusal()

    def test_best_weights_of_a_training_that_prunes_as_it_goes(
        self, data_set, refusal, layout, experiment
    ):
        data_set(splits={"train": tuple("abcd"), "validation": ("v",), "test": tuple("wxyz")})
        experiment["training"] |= {"validate_every": 4, "keep": "best"}
        experiment["explain"]["images"] = 4
        experiment["pruning"] = {"name": "disparse", "variant": "static"}
        assert layout()
        experiment["pruning"]["variant"] = "dynamic"
        assert refusal().endswith('reached the sparsity: use training.keep = "last".')

    @pytest.mark.parametrize("name", ["grad_cam", "random"])
    def test_layer_that_the_model_lacks(self, refusal, experiment, name):
        experiment["explain"]["saliency"] = {"name": name, "layer": "botleneck"}
        assert "no layer 'botleneck' to explain; nearest: bottleneck" in refusal()

    def test_data_set_that_nobody_prepared(self, refusal, experiment, workspace):
        experiment["data"] = {"name": "folder", "id": "desk", "size": [32, 32]}
        path = workspace.root / "shared/data/desk/dataset.json"
        assert "'desk' is not prepared" in refusal()
        assert "`mtljobs data prepare DESCRIPTION.toml --root FOLDER` reads" in refusal()
        assert refusal().endswith(f"writes {path}.")


class TestReach:
    def test_sparsity_out_of_reach_names_what_is_within(self, refusal, experiment):
        experiment["sparsities"] = [0.99]
        assert "netslim cannot reach a sparsity of 0.99 on segnet_mtan at this width" in refusal()
        assert "reachable: 0 to 0.9" in refusal()

    def test_highest_reachable_sparsity_may_be_asked_for_as_it_is_printed(
        self, refusal, layout, experiment
    ):
        experiment["sparsities"] = [0.99]
        highest = float(refusal().rpartition(" to ")[2].removesuffix("."))
        experiment["sparsities"] = [highest]
        assert layout().sparsities == (highest,)
        experiment["sparsities"] = [round(highest + 0.0001, 4)]
        assert "cannot reach" in refusal()

    def test_floor_that_keeps_everything_leaves_the_dense_network(
        self, refusal, layout, experiment
    ):
        experiment["pruning"]["floor"] = 1000
        assert refusal().endswith("reachable: 0 to 0.")
        experiment["sparsities"] = [0.0]
        assert layout().sparsities == (0.0,)

    @pytest.mark.parametrize("sparsity", [0.6, 0.875])
    def test_method_that_halves_names_its_steps(self, sparsity, refusal, layout, experiment):
        experiment["pruning"] = {"name": "hrank"}
        experiment["sparsities"] = [sparsity]
        assert refusal().endswith("at this width; reachable: 0.5, 0.75.")
        experiment["sparsities"] = [0.0, 0.5, 0.75]
        assert layout().sparsities == (0.0, 0.5, 0.75)
