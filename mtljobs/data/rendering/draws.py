"""Things drawn at random: numbers, colours, painted surfaces."""

from __future__ import annotations

import numpy as np

from mtljobs.data.rendering.shapes import Surface, Triple

Draw = np.random.Generator


def between(draw: Draw, low: float, high: float) -> float:
    """A number drawn evenly from a range."""
    return low + (high - low) * draw.random()


def pick(draw: Draw, colours: tuple[Triple, ...], *, spread: float = 0.12) -> Triple:
    """One of a kind's colours, brighter or darker by up to `spread`, and slightly off in hue."""
    colour = colours[int(draw.integers(len(colours)))]
    bright, hue = between(draw, 1 - spread, 1 + spread), draw.uniform(0.94, 1.06, 3).tolist()
    varied = [part * bright * off for part, off in zip(colour, hue, strict=True)]
    red, green, blue = (min(max(part, 0.005), 0.95) for part in varied)
    return red, green, blue


def paint(draw: Draw, pattern: str, base: Triple, *, accent: Triple, period: float) -> Surface:
    """A surface that begins at a random place of its pattern."""
    return Surface(pattern, base, accent, period, between(draw, 0.0, 64.0))


def shade(colour: Triple, factor: float) -> Triple:
    """A colour made darker (below 1) or brighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
