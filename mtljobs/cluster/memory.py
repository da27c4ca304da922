"""Whether the memory of this job was too small, as far as its host can tell."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from pathlib import Path

NEARLY = 0.9
"""The part of its limit at which a killed process is taken to have died of it."""

CGROUPS = Path("/sys/fs/cgroup")


def memory_limit_gb(environment: Mapping[str, str]) -> float | None:
    """What a job was given on its node, by its own environment; None where that does not say."""
    megabytes = environment.get("SLURM_MEM_PER_NODE", "")
    return int(megabytes) / 1024 if megabytes.isdecimal() and int(megabytes) else None


def was_near(limit_gb: float) -> bool:
    """Whether a process that this one has waited for, or one of its own, had nearly that much."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    return largest >= NEARLY * limit_gb


def count_oom_kills(membership: str | None = None, root: Path = CGROUPS) -> int:
    """How many processes of this cgroup the kernel has killed for their memory; 0 if unknown.

    Args:
        membership: The text of `/proc/self/cgroup`.
        root: Where cgroups are mounted.
    """
    if membership is None:
        membership = _read(Path("/proc/self/cgroup"))
    kills = 0
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            kills += _count(root, path, "memory.events")
        elif "memory" in controllers.split(","):
            kills += _count(root / "memory", path, "memory.oom_control")
    return kills


def _count(mounted: Path, path: str, name: str) -> int:
    """As the nearest group says that counts memory at all."""
    folder = mounted / path.strip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(mounted):
            break
        text = _read(group / name)
        if text:
            found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
            return int(found[1]) if found else 0
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
