"""`mtljobs image`, with what it found given to it."""

from __future__ import annotations

import pytest

from mtljobs.cluster import building
from mtljobs.cluster import image as checking
from mtljobs.cluster.image import Checked, Comparison


@pytest.fixture
def sif(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "i.sif"
    path.write_bytes(b"")
    return path


@pytest.fixture
def find(monkeypatch):
    """Lets the check find this of any image."""

    def find(*compared, stack="full", passed=True):
        checked = Checked(stack=stack, compared=compared, passed=passed, test="ok")
        monkeypatch.setattr(checking, "check_image", lambda image, environment: checked)

    return find


SAME = Comparison("python", "3.11", "3.11", matters=True)
COMMIT = Comparison("commit", "01", "23", matters=False)
OTHER = Comparison("mtljobs", "0.2.0", "0.1.0", matters=True)


def test_image_that_fits_ends_with_zero_and_names_its_digest(mtljobs, find, sif):
    find(SAME, COMMIT)
    answer = mtljobs(f"image check {sif}")
    assert answer.code == 0
    assert "the image fits" in answer.out
    assert "e3b0c44298fc1c149afbf4c8996fb924" in answer.out  # of no bytes at all


def test_image_that_does_not_fit_ends_with_one_and_says_what_differs(mtljobs, find, sif):
    find(SAME, COMMIT, OTHER)
    answer = mtljobs(f"image check {sif}")
    assert answer.code == 1
    (line,) = [line for line in answer.out.splitlines() if line.startswith("mtljobs")]
    assert line.split()[:3] == ["mtljobs", "0.2.0", "0.1.0"]
    assert "must be equal" in line
    assert "build it again" in answer.out


def test_image_without_packages_asks_for_an_environment(mtljobs, find, sif):
    find(Comparison("mtljobs", "0.1.0", "", matters=True), stack="host")
    assert "--environment" in mtljobs(f"image check {sif}").out


def test_check_is_told_as_json(mtljobs, find, sif):
    find(SAME, OTHER, passed=False)
    answer = mtljobs(f"image check {sif} --json")
    values = answer.json
    assert (answer.code, values["fits"], values["passed"]) == (1, False, False)
    assert [row["differs"] for row in values["compared"]] == [False, True]


def test_build_hands_on_what_it_was_told(mtljobs, sif, monkeypatch):
    told = {}
    monkeypatch.setattr(building, "build_image", lambda output, **words: told.update(words))
    line = (
        f"image build --stack host --build-arg BASE=a=b --build-arg PYTHON=3.12 {sif} -- --fakeroot"
    )
    answer = mtljobs(line)
    assert answer.code == 0, answer.err
    assert told == {
        "checkout": None,
        "stack": "host",
        "arguments": {"BASE": "a=b", "PYTHON": "3.12"},
        "options": ["--fakeroot"],
    }


def test_argument_without_a_value_is_refused(mtljobs, sif):
    answer = mtljobs(f"image build --build-arg PYTHON {sif}")
    assert answer.code == 2
    assert "--build-arg takes NAME=VALUE" in answer.err
