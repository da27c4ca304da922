from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import zarr

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import to_json
from mtljobs.store.schema import Array, build_schema
from mtljobs.store.zarr_format import (
    METADATA,
    array_document,
    decode,
    documents,
    encode,
    encode_labels,
    read_array,
)

CURVES = Array("irof", ("image", "step"), (7, 4), (3, 4), "float32", math.nan, {})


def write(folder: Path, array: Array, chunks: dict[str, bytes]) -> Path:
    folder.mkdir()
    (folder / METADATA).write_bytes(to_json(array_document(array)))
    for name, chunk in chunks.items():
        (folder / name).write_bytes(chunk)
    return folder


def test_a_block_is_one_chunk_and_reads_back(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    chunks = encode(CURVES, (slice(3, 6), slice(0, 4)), values)
    assert list(chunks) == ["c.1.0"]
    found = read_array(write(tmp_path / "irof", CURVES, chunks))
    np.testing.assert_array_equal(found[3:6], values)
    assert np.isnan(found[:3]).all()
    assert np.isnan(found[6:]).all()


def test_a_ragged_last_block_is_one_chunk_and_reads_back(tmp_path: Path) -> None:
    values = np.full((1, 4), 2.5, dtype=np.float32)
    chunks = encode(CURVES, (slice(6, 7), slice(0, 4)), values)
    assert list(chunks) == ["c.2.0"]
    found = read_array(write(tmp_path / "irof", CURVES, chunks))
    np.testing.assert_array_equal(found[6:], values)


def test_maps_of_a_chunk_are_read_one_by_one(tmp_path: Path) -> None:
    maps = Array(
        "cam", ("image", "group", "cam_row", "cam_column"), (5, 2, 3, 4), (3, 2, 3, 4),
        "float32", math.nan, {}, parts=(1, 1, 3, 4),
    )  # fmt: skip
    values = np.random.default_rng(0).random(maps.shape, dtype=np.float32)
    everywhere = tuple(slice(0, length) for length in maps.shape)
    folder = write(tmp_path / "cam", maps, encode(maps, everywhere, values))
    np.testing.assert_array_equal(read_array(folder), values)
    chunk = folder / "c.0.0.0.0"
    # Without the bytes of the first map the others are still there.
    content = bytearray(chunk.read_bytes())
    content[:8] = bytes(8)
    chunk.write_bytes(content)
    opened = zarr.open_array(folder, mode="r")
    broken = [place for place in np.ndindex(3, 2) if not reads(opened, place)]
    assert len(broken) == 1


def reads(opened: zarr.Array, place: tuple[int, int]) -> bool:
    try:
        opened[place]
    except ValueError:
        return False
    return True


def test_a_block_of_nothing_but_nan_is_stored_all_the_same() -> None:
    nothing = np.full((3, 4), np.nan, dtype=np.float32)
    assert list(encode(CURVES, (slice(0, 3), slice(0, 4)), nothing)) == ["c.0.0"]


def test_the_same_values_have_the_same_bytes() -> None:
    values = np.random.default_rng(0).random((7, 4), dtype=np.float32)
    region = (slice(0, 7), slice(0, 4))
    assert encode(CURVES, region, values) == encode(CURVES, region, values.copy())


def test_every_flipped_bit_is_an_error_and_never_another_number(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    chunk = encode(CURVES, (slice(0, 3), slice(0, 4)), values)["c.0.0"]
    folder = write(tmp_path / "irof", CURVES, {})
    for position in range(len(chunk)):
        broken = bytearray(chunk)
        broken[position] ^= 1 << position % 8
        (folder / "c.0.0").write_bytes(broken)
        with pytest.raises(ValueError, match="checksum"):
            read_array(folder)


DTYPES = ["float64", "float32", "float16", "int64", "int32", "uint16", "uint8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("parts", [None, (1, 4)])
def test_chunks_are_the_bytes_that_zarr_writes(
    tmp_path: Path, dtype: str, parts: tuple[int, ...] | None
) -> None:
    array = dataclasses.replace(CURVES, dtype=dtype, fill=0, parts=parts)
    values = np.arange(1, 29, dtype=dtype).reshape(7, 4)
    folder = write(tmp_path / "irof", array, {})
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(folder, mode="r+")[...] = values
    written = {path.name: path.read_bytes() for path in folder.glob("c.*")}
    assert encode(array, (slice(0, 7), slice(0, 4)), values) == written


def test_parts_are_decoded_one_by_one_and_those_beyond_the_array_take_no_room() -> None:
    maps = Array(
        "cam", ("image", "group", "cam_row", "cam_column"), (4, 2, 3, 4), (3, 2, 3, 4),
        "float32", math.nan, {}, parts=(1, 1, 3, 4),
    )  # fmt: skip
    values = np.random.default_rng(0).random(maps.shape, dtype=np.float32)
    chunks = encode(maps, tuple(slice(0, length) for length in maps.shape), values)
    np.testing.assert_array_equal(decode(maps, "c.0.0.0.0", chunks["c.0.0.0.0"]), values[:3])
    np.testing.assert_array_equal(decode(maps, "c.1.0.0.0", chunks["c.1.0.0.0"]), values[3:])
    assert len(chunks["c.1.0.0.0"]) < len(chunks["c.0.0.0.0"]) / 2
    for chunk in chunks.values():
        for position in range(0, len(chunk), 7):
            broken = bytearray(chunk)
            broken[position] ^= 1 << position % 8
            with pytest.raises(CorruptionError):
                decode(maps, "c.1.0.0.0", bytes(broken))


@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_are_decoded_to_what_zarr_reads(tmp_path: Path, dtype: str) -> None:
    array = dataclasses.replace(CURVES, dtype=dtype, fill=0)
    values = np.arange(28, dtype=dtype).reshape(7, 4)
    chunks = encode(array, (slice(0, 7), slice(0, 4)), values)
    decoded = np.concatenate([decode(array, name, chunks[name]) for name in sorted(chunks)])
    assert decoded.dtype == read_array(write(tmp_path / "irof", array, chunks)).dtype
    np.testing.assert_array_equal(decoded, values)


def test_text_is_decoded_to_what_was_encoded() -> None:
    labels = ("bed", "night stand", "Straße")
    array = Array("group", ("group",), (3,), (3,), "string", "", {}, labels)
    assert decode(array, "c.0", encode_labels(array)["c.0"]).tolist() == list(labels)


@pytest.mark.parametrize("length", [0, 3, 10, -1])
def test_what_is_no_chunk_is_corruption_when_decoded(length: int) -> None:
    chunk = encode(CURVES, (slice(0, 3), slice(0, 4)), np.ones((3, 4)))["c.0.0"]
    with pytest.raises(CorruptionError, match="cannot be decoded"):
        decode(CURVES, "c.0.0", chunk[:length])


def test_a_chunk_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    chunk = encode(CURVES, (slice(0, 3), slice(0, 4)), np.ones((3, 4)))["c.0.0"]
    folder = write(tmp_path / "irof", CURVES, {"c.0.0": chunk[: len(chunk) // 2]})
    with pytest.raises(ValueError, match="checksum"):
        read_array(folder)


@pytest.mark.parametrize(
    "labels", [("bed", "night stand", "Straße"), (0.0, 0.5, 0.9375), (0, 7, 1)]
)
def test_labels_read_back(tmp_path: Path, labels: tuple[object, ...]) -> None:
    dtype = {str: "string", float: "float64", int: "int64"}[type(labels[0])]
    fill = "" if dtype == "string" else 0
    array = Array("x", ("x",), (3,), (64,), dtype, fill, {}, labels)  # type: ignore[arg-type]
    folder = write(tmp_path / "x", array, encode_labels(array))
    assert tuple(read_array(folder).tolist()) == labels


def test_a_longer_coordinate_is_read_by_the_metadata_of_the_shorter_one(tmp_path: Path) -> None:
    short = Array("seed", ("seed",), (2,), (64,), "int64", -1, {}, (5, 6))
    longer = dataclasses.replace(short, shape=(3,), labels=(5, 6, 7))
    folder = write(tmp_path / "seed", short, encode_labels(longer))
    assert read_array(folder).tolist() == [5, 6]


def test_the_roots_document_repeats_all_others(layout: ExperimentLayout) -> None:
    found = documents(build_schema({"segnet": layout}))
    assert list(found)[-1] == METADATA
    listed = found[METADATA]["consolidated_metadata"]["metadata"]
    assert {f"{path}/{METADATA}" for path in listed} == set(found) - {METADATA}
    assert listed["segnet/depth/irof"] == found["segnet/depth/irof/zarr.json"]


def test_the_roots_document_has_the_checksum_that_the_format_gives_it(
    layout: ExperimentLayout,
) -> None:
    root = documents(build_schema({"segnet": layout}))[METADATA]
    said = root["attributes"].pop("metadata_sha256")
    text = json.dumps(root, sort_keys=True, indent=1) + "\n"
    assert said == hashlib.sha256(text.encode()).hexdigest()


def test_a_pipeline_that_does_not_replace_files_atomically_is_refused() -> None:
    with (
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}),
        pytest.raises(UserError, match="ZARR_CODEC_PIPELINE__PATH"),
    ):
        encode_labels(Array("image", ("image",), (2,), (2,), "string", "", {}, ("a", "b")))
