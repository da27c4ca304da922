"""The figures of a report, drawn: what its files and its page need of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it.

    Attributes:
        name: Of its files, without suffix.
        svg: For its file, as vector graphics.
        png: For its file, as pixels.
        shown: What the page shows of it.
        kind: Of `shown`: "svg+xml" or "jpeg".
        alt: What a reader who cannot see it should know.
        caption: What it shows, and by which rule it was chosen.
        width: At which it is shown, in CSS pixels (96 per inch).
    """

    name: str
    svg: bytes
    png: bytes
    shown: bytes
    kind: str
    alt: str
    caption: str
    width: int


@dataclass(frozen=True)
class Drawings:
    """The figures of a page, by section.

    Attributes:
        groups: One per experiment and task.
        layers: One per experiment whose store has something to show of its layers.
        steps: One per experiment that took superpixels from an image whose preview is kept.
        saliency: One per experiment and task with maps of an image whose preview is kept.
    """

    faithfulness: Drawing
    groups: Sequence[Drawing]
    performance: Drawing
    layers: Sequence[Drawing]
    curves: Drawing
    steps: Sequence[Drawing]
    saliency: Sequence[Drawing]

    def all(self) -> list[Drawing]:
        """Every figure."""
        single = [self.faithfulness, self.performance, self.curves]
        return [*single, *self.groups, *self.layers, *self.steps, *self.saliency]
