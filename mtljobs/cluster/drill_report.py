"""What the drill has shown of a cluster, in sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mtljobs.cluster.drill import NOTICE_S, Case, Scene, clear, rehearse
from mtljobs.cluster.drill_needs import (
    tell_gpus,
    tell_image,
    tell_memory,
    tell_sbatch,
    tell_scratch,
)
from mtljobs.cluster.finding import Finding, ok, problem, warning
from mtljobs.ledger.paths import Workspace
from mtljobs.settings.profile import Profile

TAIL = 5
"""Last lines of what a job printed."""


def hold_drill(
    profile: Profile, workspace: Workspace, *, tell: Callable[[str], None]
) -> list[Finding]:
    """What three real jobs show; what they wrote stays where something is amiss.

    Raises:
        UserError: No Slurm answers here, or it refused a job.
    """
    scenes = rehearse(profile, workspace, tell=tell)
    findings = tell_drill(scenes, profile)
    if any(finding.verdict == "problem" for finding in findings):
        tell(f"what the jobs wrote stays in {scenes[0].folder.parent}")
    else:
        clear(scenes)
    return findings


def tell_drill(scenes: Sequence[Scene], profile: Profile) -> list[Finding]:
    """Everything that was seen, whether it suits shards, and what to do where it does not."""
    found = _tell(scenes, profile)
    return [replace(finding, subject=f"drill: {finding.subject}") for finding in found]


def _tell(scenes: Sequence[Scene], profile: Profile) -> list[Finding]:
    by_case: Mapping[Case, Scene] = {scene.case: scene for scene in scenes}
    found = [tell_start(scene) for scene in scenes]
    if any(finding.verdict == "problem" for finding in found):
        return found
    notice, limit, kill = by_case["notice"], by_case["limit"], by_case["kill"]
    return [
        *found,
        tell_notice(notice),
        tell_requeue(notice),
        tell_delay(notice),
        tell_resumption(notice),
        tell_limit(limit),
        tell_kill(kill),
        tell_cancel(kill),
        tell_memory(kill),
        tell_sbatch(notice, profile),
        *tell_image(notice),
        *tell_gpus(notice),
        *tell_scratch(notice),
    ]


def tell_start(scene: Scene) -> Finding:
    """Whether the job began, and its payload in it."""
    subject = f"job {scene.case!r}"
    host, payload = scene.find("host", "start"), scene.find("payload", "start")
    if not host:
        if scene.noted("over") is None:
            states = [note["reason"] for note in scene.notes if note["what"] == "state"]
            return problem(
                subject,
                f"did not begin in time: {states[-1] if states else 'squeue does not answer'}",
                "try an idle partition, or later",
            )
        return problem(
            subject,
            f"ended before its Python began: {_tail(scene)}",
            "see that compute nodes have this Python (`modules`), and see the workspace",
        )
    if not payload:
        return problem(
            subject,
            f"its worker did not begin on {host[0]['node']}: {_tail(scene)}",
            "mend the image, or its binds; `mtljobs image check` looks at it here",
        )
    seen = (n["time"] for n in scene.notes if n["what"] == "state" and n["state"] != "PENDING")
    waited = next(seen, scene.notes[-1]["time"])
    return ok(
        subject,
        f"began on {host[0]['node']} after {waited - scene.notes[0]['time']:.0f} s; its worker "
        f"took {payload[0]['time'] - host[0]['time']:.0f} s more",
    )


def tell_notice(scene: Scene) -> Finding:
    """Who heard a notice, and how often."""
    host, payload = scene.signals("host"), scene.signals("payload")
    if "SIGUSR2" not in host:
        return problem(
            "notice",
            f"the batch process heard nothing (SIGUSR2 was sent; it heard {_named(host)})",
            "shards lose the work since their last checkpoint: keep checkpoint_every_s small",
        )
    times = payload.count("SIGUSR2")
    if times == 0:
        return problem(
            "notice",
            "the batch process heard it, the worker did not",
            "shards lose the work since their last checkpoint: keep checkpoint_every_s small",
        )
    if times > 1:
        return warning(
            "notice", f"the worker heard it {times} times", "nothing: shards obey the first"
        )
    return ok("notice", "the batch process heard it, and the worker once, by us")


def tell_requeue(scene: Scene) -> Finding:
    """Whether a job may put itself back into the queue."""
    tried = scene.find("host", "requeue")
    lives = scene.find("host", "start", life=1)
    if lives:
        return ok("requeue", "a job requeues itself from the host, and has a second life")
    why = tried[0]["problem"] if tried and tried[0]["problem"] else f"the job is {_end(scene)}"
    return warning(
        "requeue",
        f"a job cannot requeue itself: {why}",
        "the next sweep, or `mtljobs resume`, goes on from the checkpoints",
    )


def tell_delay(scene: Scene) -> Finding:
    """How long a requeued job waits, and whether that can be skipped."""
    waits = [
        note for note in scene.notes if note["what"] == "state" and note["reason"] == "BeginTime"
    ]
    hurry = scene.noted("hurry")
    if not waits or hurry is None:
        return ok("delay", "a requeued job did not wait for a time to begin")
    due = _seconds(waits[0]["start"])
    delay = "" if due is None else f" {max(0.0, due - waits[0]['time']):.0f} s"
    if hurry["problem"] is not None:
        return ok("delay", f"a requeued job waits{delay}, and that cannot be skipped")
    return ok("delay", f"a requeued job waits{delay}; `scontrol update StartTime=now` skips it")


def tell_resumption(scene: Scene) -> Finding:
    """Whether the second life saw what the first had written."""
    again = scene.find("payload", "start", life=1)
    if not again:
        return warning("checkpoint", "there was no second life to read it", "see requeue")
    if not again[0]["resumed"]:
        return problem(
            "checkpoint",
            "the second life did not see what the first had written",
            "choose another --workspace: nodes do not see each other's files in time",
        )
    return ok("checkpoint", "the second life found what the first had written")


def tell_limit(scene: Scene) -> Finding:
    """What comes before and at a time limit."""
    start = scene.find("host", "start")[0]["time"]
    notices = [when - start for when in _heard(scene, "SIGUSR2")]
    ends = [when - start for when in _heard(scene, "SIGTERM")]
    last = max(e["time"] for e in scene.events("host")) - start
    at_end = f"SIGTERM after {ends[0]:.0f} s" if ends else "no SIGTERM"
    ending = f"{at_end}, killed after {last:.0f} s of a limit of 60 s"
    if not notices:
        return problem(
            "time limit",
            f"no notice came; {ending}",
            "shards lose the work since their last checkpoint: keep checkpoint_every_s small",
        )
    found = f"a notice for {NOTICE_S} s before came after {notices[0]:.0f} s; {ending}"
    if last - notices[0] < NOTICE_S / 2:
        return warning("time limit", found, "raise notice_s")
    return ok("time limit", found)


def tell_kill(scene: Scene) -> Finding:
    """What a requeue, or a preemption without a notice, does to processes."""
    host = _named(scene.signals("host"))
    # What it heard besides, the batch process passed on.
    payload = _named([name for name in scene.signals("payload") if name != "SIGUSR2"])
    first = _heard(scene, "SIGTERM")
    beats = scene.find("host", "beat")
    grace = f"{beats[-1]['time'] - first[0]:.0f} s later SIGKILL" if first else "SIGKILL at once"
    found = f"the batch process hears {host}, the worker {payload}; {grace}"
    if not scene.find("host", "start", life=1):
        return warning(
            "kill",
            f"{found}; it was not requeued: {(scene.noted('requeue') or {}).get('problem')}",
            "`mtljobs resume` submits such shards again",
        )
    return ok("kill", found)


def tell_cancel(scene: Scene) -> Finding:
    """What `scancel` does."""
    life = 1 if scene.find("host", "start", life=1) else 0
    if scene.noted("cancel") is None:
        return warning("scancel", "was not tried, as there was no second life", "see kill")
    return ok("scancel", f"the batch process hears {_named(scene.signals('host', life=life))}")


def _heard(scene: Scene, name: str) -> list[float]:
    """When the batch process heard a signal in its first life."""
    return [event["time"] for event in scene.find("host", "signal") if event["name"] == name]


def _named(signals: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(sorted(signals))) or "nothing"


def _end(scene: Scene) -> str:
    return str((scene.noted("over") or {}).get("state") or "not over")


def _tail(scene: Scene) -> str:
    """The last lines of what the job printed."""
    lines = [
        line
        for log in sorted(scene.folder.glob("*.out"))
        for line in log.read_text(errors="replace").splitlines()
        if line.strip()
    ]
    return " / ".join(lines[-TAIL:]) or f"it printed nothing; Slurm says {_end(scene)}"


def _seconds(moment: str) -> float | None:
    """Seconds since 1970 of a time as `squeue` writes it."""
    try:
        return time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
