"""Does this environment compute? The image's own test: `python -I smoke.py compute.lock`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import quantus  # noqa: F401 (fails where OpenCV misses a library of the system)
import torch
import torchvision

LOCKED = ("numpy", "quantus", "torch", "torch-pruning", "torchvision")


def check_versions(lock: str) -> None:
    """Stop unless the packages that results depend on most are the locked ones."""
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", Path(lock).read_text(), flags=re.MULTILINE))
    for name in LOCKED:
        # What follows a "+" names a build, not a release.
        if version(name).split("+")[0] != pins[name]:
            sys.exit(f"{name} is {version(name)}, {lock} says {pins[name]}: build the image again.")


def check_operators(device: str) -> None:
    """Stop unless torchvision was built for this torch, and a gradient comes out right."""
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        sys.exit(f"torchvision.ops.nms kept the boxes {kept}, expected [0, 2].")

    weight = torch.ones(1, 1, 3, 3, device=device, requires_grad=True)
    output = torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4, device=device), weight)
    (gradient,) = torch.autograd.grad(output.sum(), weight)
    if gradient.unique().tolist() != [4.0]:  # 2 x 2 positions of the kernel, all inputs 1
        sys.exit(f"a convolution's gradient on {device} is {gradient.tolist()}, expected 4 each.")


if __name__ == "__main__":
    device = "cuda" if torch.cuda.is_available() else "cpu"
    check_versions(sys.argv[1])
    check_operators(device)
    print(f"mtljobs {version('mtljobs')}, torch {torch.__version__} on {device}: ok")
