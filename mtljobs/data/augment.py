"""What a training may do to a sample: images and targets together, so that they still agree."""

from __future__ import annotations

from mtljobs.contracts import Sample


def flip(sample: Sample) -> Sample:
    """The sample mirrored left to right; a mirror also turns the x of normals around."""
    mirrored = {name: values[..., ::-1].copy() for name, values in sample.items()}
    if "normals" in mirrored:
        mirrored["normals"][0] *= -1
    return mirrored
