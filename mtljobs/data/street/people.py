"""People: on foot, and in a saddle; each with its middle at the origin, looking towards +y."""

from __future__ import annotations

from mtljobs.data.rendering.draws import Draw, between, paint, pick
from mtljobs.data.rendering.shapes import Ellipsoid, Solid, Surface, Triple, block

CLOTHES: tuple[Triple, ...] = (
    (0.03, 0.03, 0.04), (0.06, 0.09, 0.22), (0.45, 0.05, 0.06), (0.60, 0.58, 0.54),
    (0.20, 0.17, 0.13), (0.55, 0.40, 0.08), (0.08, 0.22, 0.16),
)  # fmt: skip
TROUSERS: tuple[Triple, ...] = ((0.03, 0.03, 0.04), (0.06, 0.09, 0.18), (0.22, 0.18, 0.13))
SKINS: tuple[Triple, ...] = ((0.55, 0.35, 0.25), (0.40, 0.24, 0.15), (0.18, 0.10, 0.06))
HELMETS: tuple[Triple, ...] = ((0.75, 0.75, 0.75), (0.05, 0.05, 0.05), (0.60, 0.06, 0.05))


def cloth(draw: Draw, colours: tuple[Triple, ...]) -> Surface:
    """A garment."""
    colour = pick(draw, colours, spread=0.3)
    return paint(draw, "plain", colour, accent=colour, period=1.0)


def pedestrian(draw: Draw) -> tuple[Solid, ...]:
    """Somebody who walks or waits; a child now and then."""
    tall = between(draw, 1.55, 1.9) if draw.random() < 0.9 else between(draw, 1.0, 1.4)
    stride, broad = between(draw, 0.1, 0.3), 0.13 * tall
    legs, coat, skin = cloth(draw, TROUSERS), cloth(draw, CLOTHES), cloth(draw, SKINS)
    hips = 0.48 * tall
    return (
        block("person", legs, (-0.55 * broad, 0.02, 0.0), (-0.02, stride, hips)),
        block("person", legs, (0.02, -stride, 0.0), (0.55 * broad, -0.02, hips)),
        Ellipsoid("person", coat, (0.0, 0.0, 0.66 * tall), (broad, 0.16, 0.23 * tall)),
        Ellipsoid("person", skin, (0.0, 0.0, 0.93 * tall), (0.1, 0.11, 0.075 * tall)),
    )


def rider(draw: Draw, *, saddle: float) -> tuple[Solid, ...]:
    """Somebody in a saddle of this height, with a helmet."""
    legs, coat, helmet = cloth(draw, TROUSERS), cloth(draw, CLOTHES), cloth(draw, HELMETS)
    return (
        block("rider", legs, (-0.2, -0.15, saddle - 0.6), (0.2, 0.2, saddle + 0.08)),
        Ellipsoid("rider", coat, (0.0, 0.02, saddle + 0.36), (0.26, 0.22, 0.36)),
        Ellipsoid("rider", helmet, (0.0, 0.12, saddle + 0.8), (0.13, 0.15, 0.15)),
    )
