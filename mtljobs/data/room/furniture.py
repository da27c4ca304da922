"""The pieces that a room is furnished with, each drawn at random within its kind."""

from __future__ import annotations

from mtljobs.data.rendering.draws import Draw, between, paint, pick, shade
from mtljobs.data.rendering.shapes import Piece, Solid, Surface, Triple, block, move

DARK_WOODS: tuple[Triple, ...] = ((0.24, 0.10, 0.05), (0.34, 0.16, 0.07), (0.42, 0.22, 0.10))
LIGHT_WOODS: tuple[Triple, ...] = ((0.66, 0.46, 0.22), (0.72, 0.55, 0.32), (0.58, 0.38, 0.16))
LINENS: tuple[Triple, ...] = (
    (0.84, 0.85, 0.90), (0.58, 0.68, 0.90), (0.76, 0.68, 0.88), (0.66, 0.80, 0.90),
)  # fmt: skip
FABRICS: tuple[Triple, ...] = (
    (0.38, 0.04, 0.05), (0.05, 0.11, 0.34), (0.07, 0.24, 0.11), (0.17, 0.17, 0.19),
)  # fmt: skip
BRIGHTS: tuple[Triple, ...] = (
    (0.85, 0.12, 0.06), (0.90, 0.60, 0.04), (0.05, 0.45, 0.62), (0.10, 0.55, 0.14),
    (0.70, 0.10, 0.45),
)  # fmt: skip
BLACK: Triple = (0.012, 0.012, 0.015)


def wooden(draw: Draw, colours: tuple[Triple, ...]) -> Surface:
    """A wooden surface with its grain."""
    base = pick(draw, colours)
    return paint(draw, "wood", base, accent=shade(base, 0.55), period=0.09)


def woven(draw: Draw, colours: tuple[Triple, ...]) -> Surface:
    """Cloth: plain, striped or checked."""
    base = pick(draw, colours)
    pattern = str(draw.choice(["fabric", "stripes", "checks"], p=[0.6, 0.2, 0.2]))
    accent = shade(base, between(draw, 0.45, 0.75))
    return paint(draw, pattern, base, accent=accent, period=between(draw, 0.08, 0.2))


def legs(
    label: str, surface: Surface, *, x: float, y: tuple[float, float], top: float
) -> list[Solid]:
    """Four legs, 5 cm thick, under a rectangle from -x to x and y[0] to y[1]."""
    thick = 0.05
    return [
        block(label, surface, (left, front, 0.0), (left + thick, front + thick, top))
        for left in (-x, x - thick)
        for front in (y[0], y[1] - thick)
    ]


def bed(draw: Draw) -> Piece:
    """A bed with its head at the wall: frame, mattress, blanket, pillows, headboard."""
    half, long, top = between(draw, 0.5, 0.9), between(draw, 1.9, 2.1), between(draw, 0.42, 0.6)
    frame, sheet = wooden(draw, LIGHT_WOODS), woven(draw, LINENS)
    blanket, pillow = woven(draw, LINENS), woven(draw, LINENS)
    boxes = [
        block("bed", frame, (-half, 0.0, 0.0), (half, long, top - 0.2)),
        block("bed", sheet, (-half, 0.05, top - 0.2), (half, long, top)),
        block(
            "bed", blanket, (-half - 0.02, 0.7, top - 0.22), (half + 0.02, long + 0.02, top + 0.04)
        ),
        block("bed", frame, (-half, 0.0, 0.0), (half, 0.06, between(draw, 0.85, 1.15))),
    ]
    for x in (-0.5 * half, 0.5 * half):
        low, high = (x - 0.4 * half, 0.1, top), (x + 0.4 * half, 0.5, top + 0.12)
        boxes.append(block("bed", pillow, low, high))
    return Piece(tuple(boxes), 2 * half, long, 1.0)


def sofa(draw: Draw) -> Piece:
    """A sofa: base, back, two arms, cushions."""
    half, deep, seat = between(draw, 0.7, 1.1), between(draw, 0.8, 0.95), between(draw, 0.38, 0.46)
    cloth, back = woven(draw, FABRICS), between(draw, 0.75, 0.95)
    boxes = [
        block("sofa", cloth, (-half, 0.0, 0.05), (half, deep, seat - 0.12)),
        block("sofa", cloth, (-half, 0.0, 0.05), (half, 0.22, back)),
    ]
    for low, high in ((-half, -half + 0.18), (half - 0.18, half)):
        boxes.append(block("sofa", cloth, (low, 0.0, 0.05), (high, deep, seat + 0.2)))
    for low, high in ((-half + 0.19, -0.01), (0.01, half - 0.19)):
        boxes.append(block("sofa", cloth, (low, 0.2, seat - 0.14), (high, deep + 0.02, seat)))
    return Piece(tuple(boxes), 2 * half, deep, back)


def table(draw: Draw, *, half: float, deep: float, top: float) -> Piece:
    """A table of a given size; most carry books or small objects."""
    wood = wooden(draw, LIGHT_WOODS)
    boxes: list[Solid] = [
        block("table", wood, (-half, 0.0, top - 0.05), (half, deep, top)),
        *legs("table", wood, x=half - 0.04, y=(0.04, deep - 0.04), top=top - 0.05),
    ]
    for _ in range(int(draw.integers(1, 4))):
        at = between(draw, -half + 0.15, half - 0.15), between(draw, 0.15, deep - 0.15), top
        item = book_pile(draw) if draw.random() < 0.4 else thing(draw)
        boxes += move(item.solids, to=at, turn=between(draw, 0.0, 3.1))
    return Piece(tuple(boxes), 2 * half, deep, top)


def dining_table(draw: Draw) -> Piece:
    """A table to sit at."""
    half, deep = between(draw, 0.5, 0.9), between(draw, 0.7, 1.0)
    return table(draw, half=half, deep=deep, top=between(draw, 0.7, 0.78))


def coffee_table(draw: Draw) -> Piece:
    """A low table."""
    half, deep = between(draw, 0.4, 0.65), between(draw, 0.5, 0.7)
    return table(draw, half=half, deep=deep, top=between(draw, 0.38, 0.5))


def chair(draw: Draw) -> Piece:
    """A chair with four legs; dark, often with a coloured seat."""
    half, seat, back = between(draw, 0.2, 0.25), between(draw, 0.43, 0.48), between(draw, 0.85, 1.0)
    dark = pick(draw, ((0.05, 0.045, 0.04), (0.16, 0.07, 0.03)))
    frame = paint(draw, "wood", dark, accent=shade(dark, 0.6), period=0.08)
    cloth = woven(draw, BRIGHTS) if draw.random() < 0.3 else frame
    boxes = [
        block("chair", cloth, (-half, 0.0, seat - 0.05), (half, 2 * half, seat)),
        block("chair", frame, (-half, 0.0, seat + 0.12), (half, 0.05, back)),
        *legs("chair", frame, x=half, y=(0.0, 2 * half), top=seat - 0.05),
    ]
    for x in (-half, half - 0.05):
        boxes.append(block("chair", frame, (x, 0.0, seat), (x + 0.05, 0.05, back)))
    return Piece(tuple(boxes), 2 * half, 2 * half, back)


def cupboard(draw: Draw) -> Piece:
    """A wardrobe or chest of drawers with panelled doors, sometimes with things on top."""
    half, deep = between(draw, 0.4, 0.85), between(draw, 0.42, 0.6)
    top = between(draw, 1.8, 2.15) if draw.random() < 0.5 else between(draw, 0.75, 1.1)
    base = pick(draw, (*DARK_WOODS, *DARK_WOODS, (0.70, 0.69, 0.64)))
    doors = paint(draw, "panels", base, accent=shade(base, 0.35), period=between(draw, 0.4, 0.55))
    boxes: list[Solid] = [block("furniture", doors, (-half, 0.0, 0.0), (half, deep, top))]
    if top < 1.5:
        for x in (-0.5 * half, 0.5 * half):
            item = book_pile(draw) if draw.random() < 0.3 else thing(draw)
            boxes += move(item.solids, to=(x, deep / 2, top), turn=between(draw, -0.5, 0.5))
    return Piece(tuple(boxes), 2 * half, deep, top)


def bookshelf(draw: Draw) -> Piece:
    """An open shelf; most boards are full of books."""
    half, deep, boards = (
        between(draw, 0.4, 0.7),
        between(draw, 0.28, 0.36),
        int(draw.integers(3, 6)),
    )
    gap, wood = between(draw, 0.32, 0.38), wooden(draw, DARK_WOODS)
    top = boards * gap + 0.04
    boxes = [block("furniture", wood, (-half, 0.0, 0.0), (half, 0.03, top))]
    for x in (-half, half - 0.04):
        boxes.append(block("furniture", wood, (x, 0.0, 0.0), (x + 0.04, deep, top)))
    for board in range(boards + 1):
        low = board * gap
        boxes.append(block("furniture", wood, (-half, 0.0, low), (half, deep, low + 0.04)))
    for board in range(boards):
        if draw.random() < 0.15:
            continue
        low, end = board * gap + 0.04, between(draw, 0.1, half - 0.05)
        spines = paint(
            draw, "books", pick(draw, BRIGHTS), accent=BLACK, period=between(draw, 0.03, 0.05)
        )
        row = (-half + 0.05, 0.03, low), (end, deep - 0.05, low + between(draw, 0.22, gap - 0.06))
        boxes.append(block("books", spines, *row))
    return Piece(tuple(boxes), 2 * half, deep, top)


def tv_stand(draw: Draw) -> Piece:
    """A low cabinet that carries a television."""
    half, deep, top = between(draw, 0.6, 0.9), between(draw, 0.4, 0.5), between(draw, 0.4, 0.6)
    base = pick(draw, DARK_WOODS)
    doors = paint(draw, "panels", base, accent=shade(base, 0.4), period=0.5)
    cabinet = block("furniture", doors, (-half, 0.0, 0.0), (half, deep, top))
    screen = television(draw)
    boxes = (cabinet, *move(screen.solids, to=(0.0, deep / 2, top + 0.03)))
    return Piece(boxes, 2 * half, deep, top + screen.height)


def television(draw: Draw) -> Piece:
    """A flat screen, black or showing something; its lower edge lies at z = 0."""
    half = between(draw, 0.4, 0.75)
    high = 1.13 * half
    lit = draw.random() < 0.25
    picture = (0.06, 0.12, 0.3) if lit else (0.02, 0.022, 0.028)
    screen = paint(draw, "screen", picture, accent=BLACK, period=0.4)
    body = block("tv", screen, (-half, 0.0, 0.0), (half, 0.06, high))
    return Piece((body,), 2 * half, 0.06, high)


def picture(draw: Draw) -> Piece:
    """A framed painting; its middle lies at z = 0."""
    half, high = between(draw, 0.2, 0.6), between(draw, 0.2, 0.45)
    frame = pick(draw, (*DARK_WOODS, (0.6, 0.45, 0.1), BLACK))
    canvas = paint(draw, "painting", pick(draw, BRIGHTS, spread=0.4), accent=frame, period=0.3)
    body = block("picture", canvas, (-half, 0.0, -high), (half, 0.03, high))
    return Piece((body,), 2 * half, 0.03, 2 * high)


def window(draw: Draw) -> Piece:
    """A window with daylight behind it; its middle lies at z = 0."""
    half, high = between(draw, 0.4, 0.9), between(draw, 0.4, 0.65)
    sky = pick(draw, ((0.75, 0.88, 1.0), (0.9, 0.93, 0.95), (0.55, 0.75, 1.0)), spread=0.2)
    glass = paint(draw, "window", sky, accent=(0.75, 0.74, 0.7), period=half / 1.5)
    body = block("window", glass, (-half, 0.0, -high), (half, 0.02, high))
    return Piece((body,), 2 * half, 0.02, 2 * high)


def book_pile(draw: Draw) -> Piece:
    """One to four books on top of each other."""
    boxes: list[Solid] = []
    low = 0.0
    for _ in range(int(draw.integers(1, 5))):
        thick, cover = between(draw, 0.025, 0.06), pick(draw, BRIGHTS)
        cloth = paint(draw, "plain", cover, accent=cover, period=0.1)
        volume = block("books", cloth, (-0.15, -0.11, low), (0.15, 0.11, low + thick))
        boxes += move([volume], to=(0.0, 0.0, 0.0), turn=between(draw, -0.3, 0.3))
        low += thick
    return Piece(tuple(boxes), 0.36, 0.3, low)


def thing(draw: Draw, *, largest: float = 0.16) -> Piece:
    """A small object: a vase, a carton, a lamp's foot with its shade."""
    half, high = between(draw, 0.05, largest), between(draw, 0.1, 2.2 * largest)
    colour = pick(draw, BRIGHTS, spread=0.3)
    coat = paint(
        draw, str(draw.choice(["plain", "stripes"])), colour, accent=shade(colour, 0.4), period=0.06
    )
    boxes = [block("objects", coat, (-half, -half, 0.0), (half, half, high))]
    if draw.random() < 0.3:
        lid = paint(draw, "plain", pick(draw, LINENS), accent=BLACK, period=0.1)
        low, top = (-1.3 * half, -1.3 * half, high), (1.3 * half, 1.3 * half, high + half)
        boxes.append(block("objects", lid, low, top))
    return Piece(tuple(boxes), 2 * half, 2 * half, high)


def carton(draw: Draw) -> Piece:
    """An object that stands on the floor."""
    return thing(draw, largest=0.28)
