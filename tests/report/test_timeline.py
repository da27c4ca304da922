from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mtljobs.ledger.attempts import AttemptState, begin
from mtljobs.ledger.paths import RunFolder
from mtljobs.report import gantt
from mtljobs.report.timeline import timeline

FIRST = AttemptState(
    shard="explain-study-0.5-1-0-aaaaaaaaaaaa", number=1, state="done", detail="", started=0.0,
    last_sign=100.0, process=None, device="cpu", image="", exit_code=0, signal=None, outcome="done",
)  # fmt: skip


def bars(drawing: str) -> list[tuple[float, float, str]]:
    """(Left edge, width, title) of every bar."""
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)".*?<title>(.*?)<', drawing)
    return [(float(left), float(width), title) for left, width, title in found]


def test_a_bar_is_as_long_as_its_attempt() -> None:
    later = replace(FIRST, shard="train-bbbbbbbbbbbb", started=100.0, last_sign=400.0)
    whole = gantt.WIDTH - gantt.LEFT - gantt.RIGHT
    (_, longer, train), (left, shorter, explain) = bars(gantt.draw_attempts([FIRST, later]))
    assert (longer, shorter, left) == (
        pytest.approx(0.75 * whole),
        pytest.approx(0.25 * whole),
        gantt.LEFT,
    )
    assert train == "train-bbbbbbbbbbbb, attempt 1: done after 5.0 min"
    assert explain == "explain-study-0.5-1-0-aaaaaaaaaaaa, attempt 1: done after 1.7 min"


def test_few_shards_have_a_row_each_and_many_share_those_of_their_stages() -> None:
    few = [replace(FIRST, shard=f"train-{index:012x}") for index in range(gantt.SHARD_ROWS)]
    assert ">train-000000000007<" in gantt.draw_attempts(few)
    many = gantt.draw_attempts([*few, FIRST])
    assert ">train-000000000007<" not in many
    assert re.findall(r"<text[^>]*>([a-z]+)</text>", many) == ["train", "explain"]


def test_attempts_at_one_time_lie_in_lanes_of_their_own() -> None:
    times = [(0, 10), (5, 20), (12, 30)]  # the third takes the lane that the first left
    attempts = [replace(FIRST, started=float(a), last_sign=float(b)) for a, b in times]
    tops = re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', gantt.draw_attempts(attempts))
    assert tops == ["7.0", "13.0", "7.0"]


def test_of_many_attempts_those_on_one_spot_are_drawn_once_and_the_gravest_last() -> None:
    thin = [
        replace(FIRST, shard=f"explain-a-0-0-{at}-{at:012x}", started=at / 10, last_sign=at / 10)
        for at in range(1000)
    ]
    failed = replace(FIRST, state="failed", started=50.0, last_sign=50.01)
    later = replace(FIRST, started=9_999.0, last_sign=10_000.0)
    drawing = gantt.draw_attempts([failed, *thin, later])
    looks = re.findall(r'<path d="([^"]+)" fill="url\(#look-(\w+)\)"', drawing)
    assert [look for _, look in looks] == ["done", "failed"]
    # 100 s of 10,000 s are 8 pixels, at two lanes where the failed one stood in the way.
    assert 9 <= looks[0][0].count("M") <= 20
    assert "<rect x" not in drawing.split("</defs>")[1]


def test_every_end_has_a_look_and_every_look_a_pattern(tmp_path: Path) -> None:
    drawing = gantt.draw_attempts([FIRST])
    shown = {state for states in gantt.LOOKS.values() for state in states}
    assert shown == {"running", "vanished"} | set(gantt.LOOKS["done"]) | {
        "duplicate", "waiting", "preempted", "timed out", "out of memory", "node lost",
        "cancelled", "failed",
    }  # fmt: skip
    assert all(f'id="look-{look}"' in drawing for look in gantt.LOOKS)
    lines = [lines for _, lines in gantt.HATCHES.values()]
    assert len(set(lines)) == len(lines) == len(gantt.LOOKS)


def test_the_section_counts_ends_by_stage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "study")
    for outcome in ("preempted", "preempted", "done"):
        begin(run.attempts, "train-aaaaaaaaaaaa", device="NVIDIA H200").end(outcome, "")
    begin(run.attempts, "evaluate-a-0-0-bbbbbbbbbbbb", device="cpu").end("done", "")
    section = timeline(run)
    assert "4 attempts at 2 shards" in section
    assert "on NVIDIA H200, cpu:" in section
    assert "Preempted: 2 attempts;" in section
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(\d|-)</td><td>(\d|-)</td>", section)
    assert rows == [("train", "1", "2"), ("evaluate", "1", "-"), ("all", "2", "2")]
    shutil.rmtree(run.attempts)
    assert timeline(run) == "<p>This run has no attempts on record.</p>"
