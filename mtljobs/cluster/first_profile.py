"""A first profile of a cluster and a first grid, from what its Slurm says and what is shipped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtljobs.cluster.profiles import OWN
from mtljobs.cluster.site import Partition, Site
from mtljobs.errors import UserError
from mtljobs.ledger.files import create_file
from mtljobs.plan.shipped import shipped

WITHOUT_SLURM = "cluster"
SPARE = 0.95
"""Of a node's memory: the rest is the system's, and Slurm's own count is rounded."""


@dataclass(frozen=True)
class FirstFiles:
    """What `mtljobs init` writes, by place below the folder.

    Attributes:
        name: Of the profile.
        found: What the profile takes from the cluster.
        files: Text by relative path.
    """

    name: str
    found: Mapping[str, Any]
    files: Mapping[Path, str]

    def write(self, folder: Path) -> list[Path]:
        """Create the files.

        Raises:
            UserError: One of them is there already; then none is written.
        """
        paths = [folder / path for path in self.files]
        for path in paths:
            if path.exists():
                raise UserError(
                    f"{path} is there already, and init overwrites nothing: edit it, or name "
                    "another FOLDER."
                )
        for path, text in zip(paths, self.files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not create_file(path, text.encode()):
                raise UserError(f"{path} was written by somebody else just now.")
        return paths


def make_first_files(site: Site | None) -> FirstFiles:
    """A profile and a grid to edit.

    Args:
        site: None: no Slurm answers here.
    """
    name = WITHOUT_SLURM if site is None else re.sub(r"[^A-Za-z0-9._-]", "-", site.name)
    main = None if site is None else _main_partition(site)
    found = {} if site is None or main is None else propose_values(site, main)
    files = {
        OWN / f"{name}.toml": fill_template(found),
        Path("jobs/first.toml"): _first_grid(name, gpus=int(bool(main and main.gpu_models))),
    }
    return FirstFiles(name, found, files)


def propose_values(site: Site, main: Partition) -> dict[str, Any]:
    """What of a profile a cluster tells of itself; keys that it says nothing of are left out.

    Args:
        main: Partition that shards shall run in.
    """
    models = sorted(main.gpu_models, key=lambda model: main.gpu_models[model])
    values: dict[str, Any] = {
        "partition": main.name,
        "host_partition": _light_partition(site, main).name,
        "account": _own_account(site),
        "gpu_type": models[-1] if models else None,
        "walltime_max_min": main.walltime_max_min,
        "memory_max_gb": _memory_per_gpu(main),
    }
    return {key: value for key, value in values.items() if value}


def fill_template(values: Mapping[str, Any]) -> str:
    """The shipped template, with these keys in the place of their examples.

    Example:
        >>> 'partition = "gpu2"' in fill_template({"partition": "gpu2"}).splitlines()
        True
    """
    text = shipped("jobs/profiles/template.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        # JSON's strings, numbers and arrays are TOML's too.
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
        text = re.sub(rf"(?m)^# {key} = .*$", lambda _, line=line: line, text)
    return text


def _main_partition(site: Site) -> Partition | None:
    """The one with most GPUs that is up; where there are none, the default one."""
    up = [part for part in site.partitions.values() if part.is_up]
    return max(up, key=lambda part: (sum(part.gpu_models.values()), part.is_default), default=None)


def _light_partition(site: Site, main: Partition) -> Partition:
    """Where a minute on one core waits for the least: without GPUs, the default one first."""
    light = [part for part in site.partitions.values() if part.is_up and not part.gpu_models]
    return max(light, key=lambda part: part.is_default, default=main)


def _own_account(site: Site) -> str | None:
    """The account that jobs are charged to anyway, or else the first."""
    own = sorted(site.associations or (), key=lambda entry: not entry.is_default)
    return own[0].account if own else None


def _memory_per_gpu(partition: Partition) -> float:
    """Most that a shard may take without keeping another GPU of its node from everybody."""
    shares = [
        nodes.memory_gb / max(1, sum(nodes.gpus.values()))
        for nodes in partition.nodes
        if nodes.gpus or not partition.gpu_models
    ]
    return float(math.floor(SPARE * min(shares, default=0.0)))


def _first_grid(profile: str, *, gpus: int) -> str:
    """The smallest grid, which goes through every stage, with resources to ask Slurm for."""
    text = shipped("jobs/smoke.toml").read_text(encoding="utf-8")
    experiment = text[text.index("[[experiment]]") :].partition("[resources]")[0].rstrip()
    return f"""\
# A first grid: small networks on synthetic rooms, through every stage in minutes. Try it, then edit
# it; jobs/paper.toml of mtljobs is a whole study.
#     mtljobs plan --grid jobs/first.toml
#     mtljobs submit --grid jobs/first.toml --profile {profile}
{experiment.replace('name = "smoke"', 'name = "first"')}

# Of one Slurm job, which is one shard: part of the cluster's time, not of any result.
[resources]
walltime_min = 20
memory_gb = 4.0
gpus = {gpus}
checkpoint_every_s = 60.0
"""
