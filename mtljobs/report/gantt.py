"""Attempts as bars over an axis of time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mtljobs.ledger.attempts import AttemptState, State
from mtljobs.report.effort import STAGES, duration_s, format_hours, has_gpu, stage_of
from mtljobs.report.markup import Markup, element

LOOKS: dict[str, tuple[State, ...]] = {
    "done": ("done",),
    "running": ("running",),
    "aside": ("waiting", "duplicate", "cancelled"),
    "preempted": ("preempted",),
    "failed": ("failed", "timed out", "out of memory", "node lost", "vanished"),
}
"""How a bar looks -> what its attempt is now; the gravest last."""

HATCHES = {
    "done": ("#0072b2", ""),
    "running": ("#ffffff", "M0 3H6"),
    "preempted": ("#e69f00", "M0 6L6 0"),
    "failed": ("#c0392b", "M0 0L6 6M0 6L6 0"),
    "aside": ("#c9cdd4", "M3 0V6"),
}
"""How a look looks: a colour, and lines of another, so that it can be told without colours."""

SHARD_ROWS = 40
"""Shards that get a row each; of more, each stage gets one."""

LANES = 24
"""Attempts side by side in a row; of more, some are drawn over others."""

THIN = 1.5
"""Pixels that a bar is wide at least; of several on one spot the last of `LOOKS` is drawn."""

WIDTH, LEFT, RIGHT = 1040, 230, 16
ROW, LANE = 18, 6
"""Pixels: the drawing, its margins; height of a row of one lane, and of each lane of several."""

UNITS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200,
           86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000)  # fmt: skip


@dataclass(frozen=True)
class _Bar:
    """A piece of time in a lane of a row."""

    lane: int
    look: str
    start: float
    end: float
    label: str


def draw_attempts(attempts: Sequence[AttemptState]) -> Markup:
    """All attempts as bars over one axis of time."""
    begin = min(attempt.started for attempt in attempts)
    span = max(1.0, max(attempt.last_sign for attempt in attempts) - begin)
    scale = (WIDTH - LEFT - RIGHT) / span
    is_few = len({attempt.shard for attempt in attempts}) <= SHARD_ROWS
    parts, top = [], 4
    for name, chosen in _rows(attempts, lambda one: _short(one.shard) if is_few else stage_of(one)):
        bars = [_place(bar, begin, scale) for bar in _in_lanes(chosen)]
        lanes = 1 + max(bar.lane for bar in bars)
        height = ROW if lanes == 1 else 6 + LANE * lanes
        parts.append(_text(name, x=LEFT - 10, y=top + height / 2 + 4, anchor="end"))
        thickness = ROW - 6 if lanes == 1 else LANE - 1
        draw = _rectangles if is_few else _paths
        parts += draw(bars, top + 3, thickness)
        top += height
    axis = list(_axis(span, scale, top))
    return element(
        "svg",
        _patterns(),
        *axis,
        *parts,
        attributes={
            "class": "timeline",
            "viewBox": f"0 0 {WIDTH} {top + 34}",
            "role": "img",
            "aria-label": "Attempts over time; the table below has their numbers.",
        },
    )


def _rows(
    attempts: Sequence[AttemptState], label: Callable[[AttemptState], str]
) -> list[tuple[str, list[AttemptState]]]:
    """Attempts by label, in the order of a run's stages, and then of their beginnings."""
    rows: dict[str, list[AttemptState]] = {}
    for attempt in sorted(attempts, key=lambda one: (_stage_number(one), one.started)):
        rows.setdefault(label(attempt), []).append(attempt)
    return list(rows.items())


def _stage_number(attempt: AttemptState) -> int:
    stage = stage_of(attempt)
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _short(shard: str) -> str:
    """A shard's name without its hash, unless the hash is all that it has."""
    name, _, _ = shard.rpartition("-")
    text = name if "-" in name else shard
    return text if len(text) <= 34 else f"{text[:16]}...{text[-15:]}"


def _in_lanes(attempts: Sequence[AttemptState]) -> Iterator[_Bar]:
    """A bar for each attempt, in the lane that has been free for longest, or in a new one."""
    free: list[tuple[float, int]] = []
    for attempt in sorted(attempts, key=lambda one: one.started):
        lane = len(free)
        if free and free[0][0] <= attempt.started:
            lane = heapq.heappop(free)[1]
        heapq.heappush(free, (attempt.last_sign, lane))
        look = next(name for name, states in LOOKS.items() if attempt.state in states)
        kind = " on a GPU" if has_gpu(attempt) else ""
        label = (
            f"{attempt.shard}, attempt {attempt.number}: {attempt.state} after "
            f"{format_hours(duration_s(attempt) / 3600)}{kind}"
        )
        yield _Bar(lane % LANES, look, attempt.started, attempt.last_sign, label)


def _place(bar: _Bar, begin: float, scale: float) -> _Bar:
    """A bar in pixels."""
    start = LEFT + (bar.start - begin) * scale
    return replace(bar, start=start, end=max(start + THIN, LEFT + (bar.end - begin) * scale))


def _axis(span: float, scale: float, bottom: float) -> Iterator[Markup]:
    unit = next((unit for unit in UNITS_S if span / unit <= 8), UNITS_S[-1])
    for number in range(math.floor(span / unit) + 1):
        x = LEFT + number * unit * scale
        yield element("line", attributes=_numbers(x1=x, x2=x, y1=0, y2=bottom + 4))
        yield _text(_elapsed(number * unit, span), x=x, y=bottom + 20, anchor="middle")


def _elapsed(seconds: float, span: float) -> str:
    """Time since the beginning, in the unit of an axis that is so many seconds long.

    Example:
        >>> _elapsed(0, 50), _elapsed(90, 200), _elapsed(7200, 9000), _elapsed(43200, 1e6)
        ('0 s', '1.5 min', '2 h', '0.5 d')
    """
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((pair for pair in units if pair[0] <= span), units[-1])
    return f"{seconds / size:g} {unit}"


def _patterns() -> Markup:
    patterns = []
    for look, (colour, lines) in HATCHES.items():
        stroke = "#0072b2" if look == "running" else "#ffffff"
        ground = element("rect", attributes={"width": "6", "height": "6", "fill": colour})
        hatch = element("path", attributes={"d": lines, "stroke": stroke, "fill": "none"})
        patterns.append(
            element(
                "pattern",
                *((ground, hatch) if lines else (ground,)),
                attributes={
                    "id": f"look-{look}",
                    "width": "6",
                    "height": "6",
                    "patternUnits": "userSpaceOnUse",
                },
            )
        )
    return element("defs", *patterns)


def _rectangles(bars: Sequence[_Bar], top: float, height: float) -> Iterator[Markup]:
    """Each bar by itself, with a title that the mouse finds."""
    for bar in bars:
        y = top + bar.lane * LANE
        sizes = _numbers(x=bar.start, y=y, width=bar.end - bar.start, height=height)
        look = {"fill": f"url(#look-{bar.look})", "class": bar.look}
        yield element("rect", element("title", bar.label), attributes={**sizes, **look})


def _paths(bars: Sequence[_Bar], top: float, height: float) -> Iterator[Markup]:
    """All bars of a look together: there may be tens of thousands."""
    for look in LOOKS:
        # Thin ones on one spot are the same to the eye, and once in the file.
        corners = {
            f"M{bar.start:.0f} {top + bar.lane * LANE:.0f}h{bar.end - bar.start:.1f}v{height:.0f}"
            f"h{bar.start - bar.end:.1f}z": None
            for bar in bars
            if bar.look == look
        }
        if corners:
            filled = {"d": "".join(corners), "fill": f"url(#look-{look})", "class": look}
            yield element("path", attributes=filled)


def draw_legend() -> Markup:
    """A swatch for each look, with the ends that it stands for."""
    entries = []
    for look, states in LOOKS.items():
        box = {**_numbers(x=0.5, y=0.5, width=23, height=11), "class": look}
        swatch = element("rect", attributes={**box, "fill": f"url(#look-{look})"})
        drawing = element("svg", swatch, attributes={"width": "24", "height": "12"})
        entries.append(element("span", drawing, f" {', '.join(states)}"))
    note = element(
        "span",
        "The axis is time since the first attempt began. Where attempts are too short to be told "
        "apart, the gravest end covers the others.",
    )
    return element("p", *entries, note, attributes={"class": "note looks"})


def _text(text: str, *, x: float, y: float, anchor: str) -> Markup:
    return element("text", text, attributes={**_numbers(x=x, y=y), "text-anchor": anchor})


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
