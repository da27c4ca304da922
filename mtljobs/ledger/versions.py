"""The software of this process, as every record names it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import read_json

COMPUTING_PACKAGES = (
    "mtljobs", "numcodecs", "numpy", "pillow", "scikit-image", "scipy", "torch", "torch-pruning",
    "torchvision", "zarr",
)  # fmt: skip
"""Whose versions a record names; what is not installed is left out."""

COMMIT_LABEL = "org.opencontainers.image.revision"
LOCK_LABEL = "mtljobs.lock.sha256"
STACK_LABEL = "mtljobs.stack"
IMAGE_LABELS = (COMMIT_LABEL, LOCK_LABEL, STACK_LABEL)
"""What `Apptainer.def` writes on an image: the commit that it was built from, the SHA-256 of the
lock in it, and whether that lock is installed ("full") or packages are bound in ("host")."""

LABELS_FILE = Path("/.singularity.d/labels.json")
"""Where a process inside an image finds the image's labels."""


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on, and the image's labels."""
    versions = {"python": platform.python_version()}
    for package in COMPUTING_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions | _image_labels()


def _image_labels() -> dict[str, str]:
    """Labels of the image around this process; none outside one, or in one that is not ours."""
    try:
        labels = read_json(LABELS_FILE)
    except (OSError, CorruptionError):
        return {}
    if not isinstance(labels, Mapping) or STACK_LABEL not in labels:
        return {}
    found = {label: labels.get(label) for label in IMAGE_LABELS}
    return {label: value for label, value in found.items() if isinstance(value, str)}
