"""What a cluster's Slurm says of itself: versions, limits, partitions, nodes, accounts."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from mtljobs.cluster.asking import ask

NOTHING = frozenset({"", "(null)", "N/A", "NONE", "None"})
UNLIMITED = frozenset({"UNLIMITED", "INFINITE", "NONE", "Partition_Limit"})
_WORD = re.compile(r"(?:^|\s)(\w+)=(\S*)")


@dataclass(frozen=True)
class Nodes:
    """Nodes of a partition that are alike.

    Attributes:
        number: How many there are.
        gpus: Of each of them, by model; "" is a model that Slurm was not told.
        memory_gb: Of each of them.
        idle: Whether they have nothing to do.
    """

    number: int
    gpus: Mapping[str, int]
    memory_gb: float
    idle: bool


@dataclass(frozen=True)
class Partition:
    """A partition, and what its jobs may do.

    Attributes:
        name: As in `--partition`.
        is_default: Of jobs that name none.
        is_up: Whether it takes and starts jobs.
        walltime_max_min: None: unlimited.
        grace_s: Between the notice of a preemption and the kill.
        preempt_mode: "OFF", "REQUEUE", "CANCEL", "SUSPEND", ...
        accounts: That may use it; None: all.
        qos: That may be used in it; None: all.
        nodes: What it has.
    """

    name: str
    is_default: bool
    is_up: bool
    walltime_max_min: int | None
    grace_s: int
    preempt_mode: str
    accounts: frozenset[str] | None
    qos: frozenset[str] | None
    nodes: tuple[Nodes, ...]

    @property
    def gpu_models(self) -> dict[str, int]:
        """How many GPUs there are of each model."""
        models: dict[str, int] = {}
        for nodes in self.nodes:
            for model, number in nodes.gpus.items():
                models[model] = models.get(model, 0) + number * nodes.number
        return models

    @property
    def memory_max_gb(self) -> float:
        """Of its largest node; 0 where Slurm does not say."""
        return max((nodes.memory_gb for nodes in self.nodes), default=0.0)


@dataclass(frozen=True)
class Association:
    """What accounting lets a user do under one account.

    Attributes:
        account: Its name.
        qos: That may be asked for.
        is_default: Whether jobs that name no account are charged to it.
        submitted_max: Jobs that the user may have in the queue; None: no limit here.
    """

    account: str
    qos: frozenset[str]
    is_default: bool
    submitted_max: int | None


@dataclass(frozen=True)
class Site:
    """A cluster, as its controller and its accounting tell of it.

    Attributes:
        config: `scontrol show config`, by Slurm's own words.
        partitions: By name.
        associations: Of this user; None where there is no accounting, or it does not answer.
    """

    config: Mapping[str, str]
    partitions: Mapping[str, Partition]
    associations: tuple[Association, ...] | None

    @property
    def name(self) -> str:
        """Of the cluster."""
        return self.config.get("ClusterName", "cluster")

    @property
    def default_partition(self) -> Partition | None:
        """Of jobs that name none."""
        return next((part for part in self.partitions.values() if part.is_default), None)

    def partition(self, name: str | None) -> Partition | None:
        """The partition of a name, the default one for None; None where there is none such."""
        return self.default_partition if name is None else self.partitions.get(name)

    def number(self, word: str) -> int | None:
        """The number that an entry of the configuration begins with."""
        found = re.match(r"\d+", self.config.get(word, ""))
        return int(found[0]) if found else None

    @classmethod
    def read(cls) -> Self | None:
        """This cluster; None where no controller answers."""
        answer = ask("scontrol", "show", "config")
        if answer.problem is not None:
            return None
        entries = (line.partition("=") for line in answer.text.splitlines())
        config = {word.strip(): value.strip() for word, equals, value in entries if equals}
        return cls(config, _read_partitions(), _read_associations())


def _read_partitions() -> dict[str, Partition]:
    nodes: dict[str, list[Nodes]] = {}
    for name, of_kind in _read_nodes():
        nodes.setdefault(name, []).append(of_kind)
    partitions = {}
    for line in ask("scontrol", "show", "partition", "--oneliner").text.splitlines():
        words = dict(_WORD.findall(line))
        name = words.get("PartitionName", "")
        if name:
            partitions[name] = _parse_partition(words, tuple(nodes.get(name, ())))
    return partitions


def _parse_partition(words: Mapping[str, str], nodes: tuple[Nodes, ...]) -> Partition:
    return Partition(
        name=words["PartitionName"],
        is_default=words.get("Default") == "YES",
        is_up=words.get("State", "UP") == "UP",
        walltime_max_min=parse_minutes(words.get("MaxTime", "UNLIMITED")),
        grace_s=int(words.get("GraceTime", "0")),
        preempt_mode=words.get("PreemptMode", "OFF"),
        accounts=_parse_names(words.get("AllowAccounts", "ALL")),
        qos=_parse_names(words.get("AllowQos", "ALL")),
        nodes=nodes,
    )


def _read_nodes() -> Iterator[tuple[str, Nodes]]:
    """Each kind of node with the name of its partition."""
    for line in ask("sinfo", "--noheader", "--format=%R|%D|%G|%m|%T").text.splitlines():
        name, number, resources, memory, state = line.strip().split("|")
        yield (
            name,
            Nodes(
                number=int(number),
                gpus=parse_gpus(resources),
                memory_gb=int(memory.rstrip("+")) / 1024,
                idle=state == "idle",
            ),
        )


def _read_associations() -> tuple[Association, ...] | None:
    wanted = ("account", "qos", "maxsubmitjobs")
    user = getpass.getuser()
    answer = ask(
        "sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}",
        f"format={','.join(wanted)}",
    )  # fmt: skip
    if answer.problem is not None:
        return None
    default = ask(
        "sacctmgr", "--noheader", "--parsable2", "show", "user", user, "format=defaultaccount"
    ).text.strip()
    rows = (line.split("|") for line in answer.text.splitlines() if line)
    return tuple(
        Association(
            account=account,
            qos=frozenset(filter(None, qos.split(","))),
            is_default=account == default,
            submitted_max=int(submitted) if submitted.isdecimal() else None,
        )
        for account, qos, submitted in rows
    )


def parse_gpus(resources: str) -> dict[str, int]:
    """GPUs by model, from a node's generic resources.

    Example:
        >>> parse_gpus("gpu:a100:4(S:0-1),nvme:1,gpu:2")
        {'a100': 4, '': 2}
    """
    found = re.findall(r"\bgpu:(?:([^:(),]+):)?(\d+)", resources)
    return {model: int(number) for model, number in found}


def parse_minutes(limit: str) -> int | None:
    """Minutes of a time limit as Slurm writes it; None where it is unlimited.

    Example:
        >>> parse_minutes("3-00:00:00"), parse_minutes("00:30:00"), parse_minutes("UNLIMITED")
        (4320, 30, None)
    """
    if limit in UNLIMITED:
        return None
    days, dash, clock = limit.rpartition("-")
    hours, minutes, _ = (int(part) for part in clock.split(":"))
    return (int(days) if dash else 0) * 24 * 60 + hours * 60 + minutes


def _parse_names(words: str) -> frozenset[str] | None:
    return None if words == "ALL" else frozenset(words.split(","))
