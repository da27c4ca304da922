"""Sizes of images, as grids, command lines and folder names write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""(rows, columns) in pixels of the images that the network sees."""


def size_name(size: tuple[int, int]) -> str:
    """Rows and columns as the command line and prepared files write them.

    Example:
        >>> size_name((288, 384))
        '288x384'
    """
    return f"{size[0]}x{size[1]}"


def parse_size(name: str) -> tuple[int, int]:
    """What `size_name` wrote.

    Raises:
        ValueError: It is something else.
    """
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", name)
    if match is None:
        raise ValueError(f"{name!r} is not ROWSxCOLUMNS")
    return int(match[1]), int(match[2])
