"""What one box is: its options, ports and names, and the `slurm.conf` that they make."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from testbed.keeper import JOBS_PER_BOX

NODES = ("n1", "n2")
# Below the ports that the kernel gives to whoever asks for any.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """What differs between clusters.

    Attributes:
        grace_s: Least time between the notice of a preemption and the kill, in partition `low`.
            slurmctld looks every 30 s; 0 is at once, and without a notice.
        kill_wait_s: Time between SIGTERM and SIGKILL at the end.
        notice: A job that is preempted gets the signal of its `--signal` first; else its steps
            get SIGCONT and SIGTERM.
        history: Finished jobs are kept in a file, which `sacct -c` reads; `sacct` alone never
            works here, as there is no database.
        enforce_memory: A job that takes more than it asked for is killed by the kernel and ends
            as OUT_OF_MEMORY. Needs the memory controller of cgroup v1.
        max_array_size: One more than the highest index of an array.
        requeue_delay_s: Slurm's `cred_expire`, which a requeued job waits for at the least; 120 s
            where nobody sets it.
        cpus: Of each node; need not be real.
        memory_mb: Of each node; need not be real.
        gpus: Of each node; there are none, but jobs may ask for them and get as many.
        lines: More lines of `slurm.conf`.
    """

    grace_s: int = 15
    kill_wait_s: int = 5
    notice: bool = True
    history: bool = True
    enforce_memory: bool = False
    max_array_size: int = 1001
    requeue_delay_s: int = 10
    cpus: int = 2
    memory_mb: int = 8000
    gpus: int = 0
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a box lives; written to its folder, from which another process reads it.

    Attributes:
        user: Its unprivileged user.
        ports: Of slurmctld and of each node's slurmd.
        first_job: The id of its first job: boxes on one machine number their jobs apart, as
            cgroups go by job id, and so nobody takes an old job for a new one.
        detached: It outlives the process that has started it.
    """

    options: SlurmOptions
    user: str
    ports: tuple[int, ...]
    first_job: int
    detached: bool
    nodes: tuple[str, ...] = NODES

    @classmethod
    def pick(cls, options: SlurmOptions, *, detached: bool) -> Self:
        """Free ports, and names that follow from them."""
        ports = tuple(sorted(_free_ports(1 + len(NODES))))
        number = ports[0] - PORTS.start
        return cls(
            options=options,
            user=f"testbed{ports[0]}",
            ports=ports,
            first_job=1 + number * JOBS_PER_BOX,
            detached=detached,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The layout of a box that is up."""
        values = _with_tuples(json.loads((folder / "box.json").read_text()))
        return cls(**values | {"options": SlurmOptions(**_with_tuples(values["options"]))})

    def write(self, folder: Path) -> None:
        """All that is needed to start the daemons in `folder`, and to clear it."""
        (folder / "box.json").write_text(json.dumps(asdict(self)))
        (folder / "slurm.conf").write_text(_slurm_conf(self, folder))
        gpus = [folder / f"gpu{number}" for number in range(self.options.gpus)]
        for gpu in gpus:
            gpu.symlink_to("/dev/null")
        (folder / "gres.conf").write_text("".join(f"Name=gpu File={gpu}\n" for gpu in gpus))
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n")
        (folder / "daemons.json").write_text(json.dumps(_daemons(self, folder)))


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def _slurm_conf(layout: Layout, folder: Path) -> str:
    options, host = layout.options, socket.gethostname().partition(".")[0]
    controller, *ports = layout.ports
    gpus = f" Gres=gpu:{options.gpus}" if options.gpus else ""
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
        f" CPUs={options.cpus} RealMemory={options.memory_mb}{gpus} State=UNKNOWN"
        for name, port in zip(layout.nodes, ports, strict=True)
    )
    lines = "\n".join(options.lines)
    signalled = "SlurmctldParameters=preempt_send_user_signal" if options.notice else ""
    history = (
        f"JobCompType=jobcomp/filetxt\nJobCompLoc={folder}/jobs.txt" if options.history else ""
    )
    # jobacct_gather/linux: slurmstepd dies of it on new kernels, and then every job hangs.
    return f"""
ClusterName=testbed
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire={options.requeue_delay_s}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin={"task/cgroup" if options.enforce_memory else "task/none"}
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=1
FirstJobId={layout.first_job}
MaxArraySize={options.max_array_size}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
KillWait={options.kill_wait_s}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
GresTypes=gpu
{signalled}
{history}
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime={options.grace_s} DefMemPerCPU=100
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF DefMemPerCPU=100
{lines}
""".lstrip()


def _daemons(layout: Layout, folder: Path) -> dict[str, dict[str, str | list[str]]]:
    munge = folder / "munge"
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
    munged = ["munged", "--foreground"]
    munged += [f"--{option}={munge / name}" for option, name in files.items()]
    configured = ["-D", "-f", str(folder / "slurm.conf")]
    return {
        "munged": {"command": munged, "user": "munge"},
        "slurmctld": {"command": ["slurmctld", *configured], "user": "root"},
        **{
            node: {"command": ["slurmd", *configured, "-N", node], "user": "root"}
            for node in layout.nodes
        },
    }


def _free_ports(number: int) -> set[int]:
    found: set[int] = set()
    while len(found) < number:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.add(port)
    return found
