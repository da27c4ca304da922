from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from mtljobs.data import description
from mtljobs.data.description import SplitRule, find_ids, read_description
from mtljobs.errors import DataError

MINIMAL = '[image]\nfiles = "{id}.png"\n[depth]\nfiles = "{id}.npy"\nmax = 4.0\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "desk.toml"
    path.write_text(text)
    return path


def test_example_at_the_top_of_the_page_can_be_copied(tmp_path: Path) -> None:
    example = textwrap.dedent((description.__doc__ or "").partition("\n")[2])
    described = read_description(written(tmp_path, example))
    assert described.tasks() == ("segmentation", "depth", "normals")


def test_description_says_which_targets_there_are(tmp_path: Path) -> None:
    minimal = read_description(written(tmp_path, f'id = "desk"\n{MINIMAL}'))
    assert minimal.tasks() == ("depth",)
    camera = "[camera]\nfx = 9\nfy = 9\ncx = 4\ncy = 3\n"
    seen = read_description(written(tmp_path, f'id = "desk"\n{MINIMAL}{camera}'))
    assert seen.tasks() == ("depth", "normals")
    assert seen.computes_normals


def test_normals_are_not_computed_from_disparity(tmp_path: Path) -> None:
    camera = 'unit = "disparity"\n[camera]\nfx = 9\nfy = 9\ncx = 4\ncy = 3\n'
    seen = read_description(written(tmp_path, f'id = "desk"\n{MINIMAL}{camera}'))
    assert seen.tasks() == ("depth",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'id = "desk"\npreview = true\n{MINIMAL}', "unknown key preview .*'preview_allowed'"),
        (f'id = "desk"\n{MINIMAL}scail = 2.0', "unknown key depth.scail .*'scale'"),
        (MINIMAL, "the key id is missing"),
        (f'id = "my desk"\n{MINIMAL}', "id = 'my desk' should match pattern"),
        (f'id = "desk"\n{MINIMAL}scale = "1/1000"', "depth.scale = '1/1000' should be a valid"),
        (f'id = "desk"\n{MINIMAL}unit = "cm"', "depth.unit = 'cm' is unknown .*'m'"),
        (f'id = "desk"\n{MINIMAL}[camera]\nfx = 0\nfy = 1\ncx = 0\ncy = 0', "camera.fx = 0 should"),
        ('id = "desk"\n[image]\nfiles = "{id}.png"', "no target: add one of"),
        ('id = "desk"\n[image]\nfiles = "a.png"', "image.files: 'a.png' should .* {id}"),
        ('id = "desk"\n[image]\nfiles = "{name}/{id}.png"', "no other braces"),
        ('id = "desk"\n[image]\nfiles = "../{id}.png"', "stay inside it"),
        ('id = "desk"\n[image]\nfiles = "{id}.tiff"', r"should end in one of .*\.png"),
        (f'id = "desk"\n{MINIMAL}[segmentation]\nfiles = "{{id}}.jpg"\nclasses = ["a", "b"]',
         "segmentation.files: .* should end in one of .npy, .png"),
        (f'id = "desk"\n{MINIMAL}[segmentation]\nfiles = "{{id}}.png"\nclasses = ["a", "a"]',
         "received twice: 'a'"),
        (f'id = "desk"\n{MINIMAL}[normals]\naxes = ["right", "left", "up"]', "right angles"),
        ("id = ", "is not a TOML file"),
    ],
)  # fmt: skip
def test_mistake_is_answered_with_its_key_and_what_may_stand_there(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_description(path)
    assert str(path) in str(caught.value)


def test_missing_description_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml cannot be read: No such file"):
        read_description(tmp_path / "none.toml")


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_id_is_what_stands_in_place_of_the_braces(tmp_path: Path) -> None:
    root = touched(tmp_path, "2/20-color.png", "2/20-depth.png", "1/9-color.png", "other.png")
    assert find_ids("{id}-color.png", root) == ("1/9", "2/20")
    assert find_ids("2/{id}-color.png", root) == ("20",)
    assert find_ids("{id}.jpg", root) == ()


def test_id_that_stands_twice_in_a_pattern_is_the_same_twice(tmp_path: Path) -> None:
    root = touched(tmp_path, "7/7.png", "7/8.png")
    assert find_ids("{id}/{id}.png", root) == ("7",)


def test_linked_folder_is_searched(tmp_path: Path) -> None:
    touched(tmp_path / "disk", "1.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/scene").symlink_to(tmp_path / "disk")
    assert find_ids("{id}.png", tmp_path / "images") == ("scene/1",)


def test_without_a_rule_every_fifth_image_tests() -> None:
    ids = [f"{number:02d}" for number in range(11)]
    splits = SplitRule().assign(ids)
    assert splits["test"] == ("04", "09")
    assert splits["train"] == tuple(name for name in ids if name not in {"04", "09"})
    assert splits["validation"] == ()


def test_scenes_are_split_by_patterns() -> None:
    rule = SplitRule(test=("b/*",), validation=("a/2",))
    assert rule.assign(["a/1", "a/2", "b/1", "b/2"]) == {
        "train": ("a/1",), "validation": ("a/2",), "test": ("b/1", "b/2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (SplitRule(test=("a/3",)), "no image id matches 'a/3' .*'a/1'"),
        (SplitRule(test=("a/*",), validation=("a/1",)), "puts 'a/1' into test and into validation"),
        (SplitRule(test=("*",)), "none of the 2 images for train"),
        (SplitRule(), "none of the 2 images for test"),
    ],
)
def test_split_that_cannot_be_meant_is_refused(rule: SplitRule, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rule.assign(["a/1", "a/2"])
