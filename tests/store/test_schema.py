from __future__ import annotations

import dataclasses
import math

import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import GridError
from mtljobs.store.schema import Node, build_schema
from mtljobs.store.variables import flag_meaning


def results_of(node: Node) -> set[str]:
    return {array.name for array in node.arrays.values() if array.labels is None}


def test_a_store_has_a_node_per_experiment_task_and_inputs(layout: ExperimentLayout) -> None:
    schema = build_schema({"segnet": layout})
    assert list(schema) == [
        "", "segnet", "segnet/segmentation", "segnet/depth", "segnet/inputs",
    ]  # fmt: skip
    assert results_of(schema["segnet"]) == {
        "sparsity_parameters", "sparsity_filters", "sparsity_macs", "sparsity_weights",
        "sparsity_shared", "sparsity_branches", "layer_sparsity", "mask_agreement",
    }  # fmt: skip
    shared = {
        "irof", "segment_score", "order", "cam", "cam_max", "status",
        "performance", "performance_image", "performance_constant",
    }  # fmt: skip
    assert results_of(schema["segnet/depth"]) == shared
    assert results_of(schema["segnet/segmentation"]) == shared | {"confusion"}
    assert results_of(schema["segnet/inputs"]) == {"segments", "n_segments", "preview"}


ITEM = "sparsity seed image group"


@pytest.mark.parametrize(
    ("path", "axes", "shape", "chunks"),
    [
        ("depth/irof", f"{ITEM} step", (2, 2, 7, 2, 6), (1, 1, 3, 2, 6)),
        ("depth/order", f"{ITEM} segment", (2, 2, 7, 2, 5), (1, 1, 3, 2, 5)),
        ("depth/cam", f"{ITEM} cam_row cam_column", (2, 2, 7, 2, 2, 3), (1, 1, 3, 2, 2, 3)),
        ("depth/status", ITEM, (2, 2, 7, 2), (1, 1, 3, 2)),
        ("depth/performance_image", "sparsity seed image metric", (2, 2, 7, 1), (1, 1, 3, 1)),
        ("depth/performance_constant", "metric", (1,), (1,)),
        ("segmentation/confusion", "sparsity seed label prediction", (2, 2, 3, 3), (1, 1, 3, 3)),
        ("inputs/segments", "image row column", (7, 8, 6), (3, 8, 6)),
        ("inputs/preview", "preview_image row column rgb", (2, 8, 6, 3), (2, 8, 6, 3)),
    ],
)
def test_a_chunk_is_one_shards_part_of_an_array(
    layout: ExperimentLayout, path: str, axes: str, shape: object, chunks: object
) -> None:
    node, array = path.split("/")
    found = build_schema({"segnet": layout})[f"segnet/{node}"].arrays[array]
    assert found.axes == tuple(axes.split())
    assert found.shape == shape
    assert found.chunks == chunks


def test_the_last_chunk_may_be_ragged(layout: ExperimentLayout) -> None:
    status = build_schema({"segnet": layout})["segnet/depth"].arrays["status"]
    assert status.chunk_counts() == (2, 2, 3, 1)  # Blocks of 3, 3 and 1 images.


def test_every_result_but_counts_and_codes_is_nan_until_written(layout: ExperimentLayout) -> None:
    schema = build_schema({"segnet": layout})
    arrays = [array for node in schema.values() for array in node.arrays.values()]
    for array in arrays:
        if array.dtype.startswith("float"):
            assert isinstance(array.fill, float)
            assert math.isnan(array.fill)
    depth = schema["segnet/depth"].arrays
    assert (depth["status"].dtype, depth["status"].fill) == ("uint8", 0)
    assert (depth["order"].dtype, depth["order"].fill) == ("uint16", 65535)


def test_every_text_label_has_a_numeric_twin(layout: ExperimentLayout) -> None:
    for node in build_schema({"segnet": layout}).values():
        texts = [array for array in node.arrays.values() if array.dtype == "string"]
        for array in texts:
            assert array.labels is not None
            twin = node.arrays[f"{array.name}_id"]
            assert (twin.dtype, twin.labels) == ("int32", tuple(range(len(array.labels))))
            assert twin.name in node.attributes["coordinates"].split()


def test_sparsities_are_rounded_so_that_a_reader_finds_them(layout: ExperimentLayout) -> None:
    layout = dataclasses.replace(layout, sparsities=(0.1 * 3,))
    sparsity = build_schema({"segnet": layout})["segnet"].arrays["sparsity"]
    assert sparsity.labels == (0.3,)
    assert sparsity.dtype == "float64"


def test_the_root_has_no_arrays_that_its_children_would_have_to_align_with(
    layout: ExperimentLayout,
) -> None:
    root = build_schema({"segnet": layout})[""]
    assert root.arrays == {}
    assert root.attributes["Conventions"] == "CF-1.11"


def test_every_node_says_its_schema_version(layout: ExperimentLayout) -> None:
    versions = {
        node.attributes["schema_version"] for node in build_schema({"segnet": layout}).values()
    }
    assert versions == {1}


def test_maps_and_previews_are_kept_only_where_asked_for(layout: ExperimentLayout) -> None:
    layout = dataclasses.replace(layout, maps="scores", previews=0)
    schema = build_schema({"segnet": layout})
    assert "cam" not in schema["segnet/depth"].arrays
    assert "cam_max" in schema["segnet/depth"].arrays
    assert set(schema["segnet/inputs"].arrays) == {"image", "image_id", "segments", "n_segments"}


def test_status_codes_carry_their_meanings(layout: ExperimentLayout) -> None:
    status = build_schema({"segnet": layout})["segnet/depth"].arrays["status"].attributes
    meanings = dict(zip(status["flag_values"], status["flag_meanings"].split(), strict=True))
    assert meanings[0] == "not_run"
    assert meanings[1] == "ok"
    assert meanings[8] == "input_unreadable"
    assert flag_meaning("clean score <= eps") == "clean_score_at_most_eps"


def test_a_chunk_beyond_the_compressors_limit_is_refused_when_planned(
    layout: ExperimentLayout,
) -> None:
    layout = dataclasses.replace(layout, block=200, cam_size=(1024, 2048))
    with pytest.raises(GridError, match=r"cam would have 4.7 GiB.*explain\.block"):
        build_schema({"segnet": layout})


@pytest.mark.parametrize(
    ("cam_size", "parts"),
    [
        ((2, 3), None),  # 3 images x 2 groups x 2 x 3 positions: 144 bytes in all
        ((288, 384), (1, 1, 1, 2, 288, 384)),  # 442 kB a map, and 885 kB the two of an image
        ((512, 512), (1, 1, 1, 1, 512, 512)),
    ],
)
def test_maps_are_compressed_in_parts_of_a_mebibyte(
    layout: ExperimentLayout, cam_size: tuple[int, int], parts: tuple[int, ...] | None
) -> None:
    found = build_schema({"segnet": dataclasses.replace(layout, cam_size=cam_size)})
    assert found["segnet/depth"].arrays["cam"].parts == parts
    assert found["segnet/depth"].arrays["irof"].parts is None
