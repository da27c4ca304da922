"""Does this environment compute? The image's own test: `python -I smoke.py [compute.lock]`.

Without a lock: does this Python have what packages that are bound in will need of the system?
"""

from __future__ import annotations

import ctypes
import importlib
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

LOCKED = ("numpy", "quantus", "torch", "torch-pruning", "torchvision")
# Modules of the standard library, and a library, that a base without their packages lacks.
SYSTEM = ("bz2", "ctypes", "lzma", "sqlite3", "ssl", "zlib")
LIBRARIES = ("libstdc++.so.6", "libgcc_s.so.1")


def check_system() -> None:
    """Stop unless Python is whole, and the libraries are there that no wheel brings."""
    try:
        for name in SYSTEM:
            importlib.import_module(name)
        for name in LIBRARIES:
            ctypes.CDLL(name)
    except (ImportError, OSError) as error:
        sys.exit(f"the base image is not complete: {error}")


def check_versions(lock: str) -> None:
    """Stop unless the packages that results depend on most are the locked ones."""
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", Path(lock).read_text(), flags=re.MULTILINE))
    for name in LOCKED:
        # What follows a "+" names a build, not a release.
        if version(name).split("+")[0] != pins[name].split("+")[0]:
            sys.exit(f"{name} is {version(name)}, {lock} says {pins[name]}: build the image again.")


def check_operators() -> str:
    """Stop unless torchvision was built for this torch, and a gradient comes out right."""
    import quantus  # noqa: F401, PLC0415 (fails where OpenCV misses a library of the system)
    import torch  # noqa: PLC0415
    import torchvision  # noqa: PLC0415

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        sys.exit(f"torchvision.ops.nms kept the boxes {kept}, expected [0, 2].")

    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.ones(1, 1, 3, 3, device=device, requires_grad=True)
    output = torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4, device=device), weight)
    (gradient,) = torch.autograd.grad(output.sum(), weight)
    if gradient.unique().tolist() != [4.0]:  # 2 x 2 positions of the kernel, all inputs 1
        sys.exit(f"a convolution's gradient on {device} is {gradient.tolist()}, expected 4 each.")
    return f"mtljobs {version('mtljobs')}, torch {torch.__version__} on {device}"


if __name__ == "__main__":
    check_system()
    if sys.argv[1:]:
        check_versions(sys.argv[1])
        found = check_operators()
    else:
        found = f"Python {platform.python_version()} for an environment that is bound in"
    print(f"{found}: ok")
