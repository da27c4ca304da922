from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from mtljobs.ledger import versions
from mtljobs.ledger.versions import software_versions

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LABELS = {
    "mtljobs.lock.name": "compute.lock",
    "mtljobs.lock.sha256": "ab" * 32,
    "mtljobs.stack": "full",
    "org.label-schema.build-date": "Friday_1_January_2027_12:00:00_UTC",
    "org.opencontainers.image.revision": COMMIT,
}


@pytest.fixture
def labels_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for an image's `/.singularity.d/labels.json`; not there yet."""
    path = tmp_path / "labels.json"
    monkeypatch.setattr(versions, "LABELS_FILE", path)
    return path


def labels_of(found: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if name in versions.IMAGE_LABELS}


def test_python_and_installed_packages_are_named_and_others_are_not(
    labels_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "COMPUTING_PACKAGES", ("pytest", "no-such-package"))
    assert software_versions() == {
        "python": platform.python_version(),
        "pytest": pytest.__version__,
    }


def test_inside_an_image_its_commit_lock_and_stack_are_named_and_no_time(
    labels_file: Path,
) -> None:
    labels_file.write_text(json.dumps(LABELS))
    assert labels_of(software_versions()) == {
        "mtljobs.lock.sha256": "ab" * 32,
        "mtljobs.stack": "full",
        "org.opencontainers.image.revision": COMMIT,
    }
    assert "Friday" not in str(software_versions())


def test_an_image_of_the_stack_host_says_so(labels_file: Path) -> None:
    labels_file.write_text(json.dumps(LABELS | {"mtljobs.stack": "host"}))
    assert software_versions()["mtljobs.stack"] == "host"


def test_the_commit_of_an_image_that_is_not_ours_is_none_of_ours(labels_file: Path) -> None:
    labels_file.write_text(json.dumps({"org.opencontainers.image.revision": COMMIT}))
    assert labels_of(software_versions()) == {}


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '"mtljobs.stack"', "\xff"])
def test_a_broken_file_of_labels_is_none(labels_file: Path, text: str) -> None:
    labels_file.write_bytes(text.encode("latin-1"))
    assert labels_of(software_versions()) == {}


def test_a_label_without_a_text_is_left_out(labels_file: Path) -> None:
    labels_file.write_text(json.dumps({"mtljobs.stack": "full", "mtljobs.lock.sha256": None}))
    assert labels_of(software_versions()) == {"mtljobs.stack": "full"}


def test_a_folder_in_the_place_of_the_labels_is_no_failure(labels_file: Path) -> None:
    labels_file.mkdir()
    assert labels_of(software_versions()) == {}
