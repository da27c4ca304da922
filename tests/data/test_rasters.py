from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtljobs.data.description import DepthFiles, ImageFiles, Normals, SegmentationFiles
from mtljobs.data.rasters import read_depth, read_image, read_labels, read_normals
from mtljobs.errors import DataError

NPY, PNG, JPG = Path("desk/1.npy"), Path("desk/1.png"), Path("desk/1.jpg")
IMAGE = ImageFiles(files="{id}.npy")
LABELS = SegmentationFiles(files="{id}.npy", classes=("table", "mug", "book"), ignore=(255,))
DEPTH = DepthFiles(files="{id}.npy", scale=0.001, max=4.0)
NORMALS = Normals(files="{id}.npy")


def npy(values: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(values))
    return content.getvalue()


def picture(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def test_8_and_16_bit_images_span_the_same_range() -> None:
    for kind, largest in ((np.uint8, 255), (np.uint16, 65535)):
        values = np.array([[[0, largest, largest // 5]]], kind)
        assert read_image(NPY, npy(values), IMAGE).ravel().tolist() == [0, 1, np.float32(0.2)]


def test_alpha_is_ignored_and_grey_stands_in_all_channels() -> None:
    alpha = Image.fromarray(np.full((2, 3, 4), [51, 102, 0, 7], np.uint8))
    np.testing.assert_allclose(read_image(PNG, picture(alpha), IMAGE)[:, 1, 2], [0.2, 0.4, 0.0])
    grey = Image.fromarray(np.full((2, 3), 51, np.uint8))
    np.testing.assert_allclose(read_image(PNG, picture(grey), IMAGE)[:, 1, 2], [0.2, 0.2, 0.2])


def test_jpeg_is_read_as_colours() -> None:
    content = picture(Image.new("RGB", (16, 8), (255, 0, 0)), "JPEG")
    image = read_image(JPG, content, IMAGE)
    assert image.shape == (3, 8, 16)
    np.testing.assert_allclose(image[:, 4, 8], [1, 0, 0], atol=0.02)


def test_palette_is_colours_in_an_image_and_positions_in_labels() -> None:
    image = Image.new("P", (2, 2), 2)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    assert read_image(PNG, picture(image), IMAGE)[:, 0, 0].tolist() == [0, 1, 0]
    assert read_labels(PNG, picture(image), LABELS).tolist() == [[2, 2], [2, 2]]


def test_float_image_is_scaled_as_described() -> None:
    scaled = ImageFiles(files="{id}.npy", scale=0.01)
    image = read_image(NPY, npy(np.full((1, 1, 3), 30.0)), scaled)
    assert image.ravel().tolist() == [np.float32(0.3)] * 3


def test_labels_are_shifted_and_ignored_values_are_void() -> None:
    files = SegmentationFiles(files="{id}.npy", classes=("a", "b", "c"), ignore=(0, 9), offset=-1)
    labels = read_labels(NPY, npy([[0, 1, 2, 3, 9]]), files)
    assert labels.tolist() == [[-1, 0, 1, 2, -1]]
    assert labels.dtype == np.int64


def test_whole_numbers_stored_as_floats_are_labels() -> None:
    assert read_labels(NPY, npy([[[0.0], [2.0]]]), LABELS).tolist() == [[0, 2]]


def test_depth_is_scaled_and_zero_stays_missing() -> None:
    depth = read_depth(NPY, npy(np.array([[0, 1500]], np.uint16)), DEPTH)
    assert depth.tolist() == [[[0.0, 1.5]]]
    assert depth.dtype == np.float32


def test_normals_are_turned_to_our_axes_and_to_unit_length() -> None:
    files = Normals(files="{id}.npy", axes=("right", "away", "up"))
    vectors = [[[1.2, -1.6, 0.0], [0.0, -0.6, 0.8], [0.0, 0.0, 0.0]]]
    normals = read_normals(NPY, npy(vectors), files)
    expected = [[0.6, 0.0, -0.8], [0.0, -0.8, -0.6], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(normals[:, 0].T, expected, atol=1e-6)


def test_8_bit_normals_are_decoded_and_null_vectors_are_missing() -> None:
    files = Normals(files="{id}.png", zero=127.0, scale=1 / 127.5)
    values = np.array([[[127, 127, 0], [127, 126, 127]]], np.uint8)
    normals = read_normals(PNG, picture(Image.fromarray(values)), files)
    assert normals[:, 0].T.tolist() == [[0, 0, -1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("read", "files", "values", "message"),
    [
        (read_image, IMAGE, np.full((1, 2, 3), 30.0), r"from 30 to 30 .* in \[0, 1\]: set `scale`"),
        (read_image, IMAGE, np.full((1, 2, 3), 30), "type int64, .* set `scale`"),
        (read_image, IMAGE, np.full((1, 2, 2), 0.5), r"shape \(1, 2, 2\); .* 3 or 4 channels"),
        (read_image, IMAGE, [[[0.0, np.inf, 0.0]]], "1 values that are NaN or infinite"),
        (read_labels, LABELS, [[0, 7]], "label 7; the 3 classes .* file values 0 to 2"),
        (read_labels, LABELS, [[-1, 0]], "label -1; .*`ignore`"),
        (read_labels, LABELS, [[0.5]], "holds fractions; labels are whole numbers"),
        (read_labels, LABELS, np.zeros((2, 2, 3), np.uint8), "one value per pixel"),
        (read_depth, DEPTH, [[1.0, np.nan]], "NaN or infinite, the first at row 0, column 1"),
        (read_depth, DEPTH, [[-1.0]], "a depth of -1; depth is positive"),
        (read_depth, DEPTH, [["far"]], "values of type <U3; expected numbers"),
        (read_depth, DEPTH, np.zeros((0, 8)), "holds 0 values .* at least one pixel"),
        (read_normals, NORMALS, [[[0.0, 0.0, 1.0]]], "point away from the camera .* set `axes`"),
        (read_normals, NORMALS, [[0.0]], "normals are `row column channel`"),
    ],
)
def test_values_that_were_not_described_are_refused_by_name(
    read: object, files: object, values: object, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(NPY, npy(values), files)
    assert "desk/1.npy" in str(caught.value)


@pytest.mark.parametrize("path", [NPY, PNG, JPG])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"])
def test_damaged_file_is_refused_by_name(path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=rf"{path} \({len(content)} bytes\) cannot be read"):
        read_depth(path, content, DEPTH)


def test_every_cut_of_a_file_is_refused() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (5, 4, 3)).astype(np.uint8)
    for path, content in ((NPY, npy(rgb)), (PNG, picture(Image.fromarray(rgb)))):
        for length in range(len(content) - 20):  # a PNG ends in 20 bytes of checksums
            with pytest.raises(DataError, match="cannot be read"):
                read_image(path, content[:length], IMAGE)


def test_pickled_array_is_never_loaded() -> None:
    content = io.BytesIO()
    np.save(content, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read: Object arrays"):
        read_depth(NPY, content.getvalue(), DEPTH)
