"""A real Slurm of two nodes on this machine: up in seconds, gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testbed.config import Layout, SlurmOptions
from testbed.folder import new_folder, prepare, start_keeper
from testbed.keeper import CGROUPS
from testbed.machine import PATH, SYSTEM_PATH, BoxError, plain_environment, wait_until, why_not

FINAL_STATES = frozenset(
    {"CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}
)


@dataclass(frozen=True)
class SlurmBox:
    """Nodes `n1` and `n2`; partitions `low`, the default, whose jobs those of `high` preempt.

    Attributes:
        folder: All that the box writes; it is there while the box is up.
        layout: Its options, ports and user.

    Example:
        with SlurmBox.start(SlurmOptions(grace_s=2)) as box:
            job = box.submit("--wrap=hostname")
            box.wait_for(job, "COMPLETED")
    """

    folder: Path
    layout: Layout
    _keeper: subprocess.Popen[bytes] | None = None

    # -- up and down

    @classmethod
    def start(cls, options: SlurmOptions | None = None, *, detached: bool = False) -> Self:
        """A box that is up, both nodes idle; boxes whose keeper was killed are cleared first.

        Args:
            options: As a cluster with short delays where left out.
            detached: It outlives this process, until somebody stops it; else it is gone as soon
                as this process is, however that ends.

        Raises:
            BoxError: It cannot run on this machine, or did not come up.
        """
        options = options or SlurmOptions()
        if reason := why_not():
            raise BoxError(f"No Slurm on this machine: {reason}.")
        if options.enforce_memory and not (CGROUPS / "release_agent").exists():
            raise BoxError(f"Memory is not enforced here: {CGROUPS} is no cgroup v1 hierarchy.")
        layout = Layout.pick(options, detached=detached)
        with new_folder() as (folder, lock):
            prepare(folder, layout)
            box = cls(folder, layout, start_keeper(folder, lock, layout))
        try:
            box._bring_up()
        except BaseException:
            box.stop()
            raise
        return box

    @classmethod
    def find(cls, folder: Path) -> Self:
        """A box that another process has started."""
        if not (folder / "keeper.pid").exists():
            raise BoxError(f"No box is up in {folder}.")
        return cls(folder, Layout.read(folder))

    def stop(self) -> None:
        """Leave no process, mount, user or file; harmless where the box is gone already."""
        if self._keeper is not None:
            self._keeper.terminate()
            self._keeper.wait(60)
            return
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "keeper.pid").read_text()), signal.SIGTERM)
            wait_until(lambda: not self.folder.exists(), "the box to be gone", timeout_s=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- what a user does

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands need to find this box."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    @property
    def user(self) -> str:
        """An unprivileged user with a range of subordinate ids, gone with the box."""
        return self.layout.user

    @property
    def home(self) -> Path:
        """Of the unprivileged user; everybody may look into it."""
        return self.folder / "home"

    def run(
        self,
        *command: str | Path,
        as_user: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """What a command did, whose output is text, with Slurm's commands at hand.

        Args:
            as_user: As the box's unprivileged user, in its home, with a plain environment; else
                as root, with the environment of this process.
            env: Added to the environment.
            cwd: Where to run it.
            check: Stop if it fails.
            timeout_s: Stop if it takes longer.

        Raises:
            BoxError: It failed; holds what it wrote.
        """
        account = pwd.getpwnam(self.user if as_user else "root")
        if as_user:
            inherited = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(self.home)}
            inherited |= {"USER": self.user, "LOGNAME": self.user}
        else:
            inherited = {**plain_environment(), "PATH": PATH}
        done = subprocess.run(
            command,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=cwd or (self.home if as_user else None),
            env={**inherited, **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise BoxError(
                f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip()
            )
        return done

    def submit(self, *arguments: str | Path, as_user: bool = False) -> str:
        """The id of a new batch job; arguments as of `sbatch`."""
        output = () if as_user else ("--output=/dev/null",)
        command = ("sbatch", "--parsable", *output, *arguments)
        return self.run(*command, as_user=as_user).stdout.strip()

    def describe(self, job: str) -> dict[str, str]:
        """What slurmctld knows of a job, or of an element of an array such as "12_3".

        By its own words, such as `JobState` and `Restarts`.
        """
        text = self.run("scontrol", "show", "job", "--oneliner", job).stdout
        return dict(re.findall(r"(?:^|\s)([\w/:]+)=(\S*)", text))

    def wait_for(self, job: str, *states: str, timeout_s: float = 30) -> dict[str, str]:
        """What slurmctld knows of a job once it is in one of `states` (else any final one)."""
        wanted = states or FINAL_STATES
        known: dict[str, str] = {}

        def is_there() -> bool:
            known.update(self.describe(job))
            return known["JobState"] in wanted

        wait_until(
            is_there,
            f"job {job} to be {' or '.join(sorted(wanted))}",
            timeout_s=timeout_s,
            otherwise=lambda: f"It is {known}.",
        )
        return known

    # -- what happens to a cluster

    def set_node(self, node: str, state: str) -> None:
        """As an administrator: "down" ends its jobs with NODE_FAIL, or requeues them; "resume".

        Nothing of the jobs is left on a node that is down: Slurm holds a job that it tries to start
        where the same job still ends, and takes such a node out of service.
        """
        reason = () if state == "resume" else ("reason=testbed",)
        self.run("scontrol", "update", f"nodename={node}", f"state={state}", *reason)
        if state == "down":
            steps = self.folder / "spool" / node  # slurmd keeps a socket for each
            wait_until(
                lambda: not any(steps.glob(f"{node}_*")), f"the jobs of {node} to end", timeout_s=60
            )

    def kill(self, daemon: str, number: int = signal.SIGKILL) -> None:
        """End slurmctld, munged, or the slurmd of a node: `"n1"`, whose jobs go on."""
        pid = self._running()[daemon]
        os.kill(pid, number)
        wait_until(lambda: self._running().get(daemon) != pid, f"{daemon} to end", timeout_s=30)

    def revive(self, daemon: str) -> None:
        """Start a daemon that was ended."""
        with (self.folder / "requests").open("w") as requests:
            requests.write(f"{daemon}\n")
        wait_until(lambda: daemon in self._running(), f"{daemon} to start", timeout_s=10)
        if daemon == "slurmctld":
            self._wait_for_controller()

    def restart_slurmctld(self) -> None:
        """Stop it as an administrator would, who has just written its state, and start it."""
        self.kill("slurmctld", signal.SIGTERM)
        self.revive("slurmctld")

    def wait_until_idle(self, timeout_s: float = 30) -> None:
        """Until no job is in the queue and both nodes would take one."""
        states = ("sinfo", "--noheader", "--Node", "--partition=low", "--format=%T")
        idle = ["idle"] * len(self.layout.nodes)

        def is_idle() -> bool:
            if self.run(*states, check=False).stdout.split() != idle:
                return False
            return not self.run("squeue", "--noheader").stdout

        wait_until(is_idle, "two idle nodes", timeout_s=timeout_s, otherwise=self.logs)

    def clean(self) -> None:
        """As it came up: every daemon runs, both nodes are idle, no job is left, and no file."""
        for daemon in ("munged", "slurmctld", *self.layout.nodes):
            if daemon not in self._running():
                self.revive(daemon)
        jobs = self.run("squeue", "--noheader", "--format=%A").stdout.split()
        if jobs:
            self.run("scancel", "--signal=KILL", "--full", *set(jobs), check=False)
            self.run("scancel", *set(jobs), check=False)
        for node in self.layout.nodes:
            if "idle" not in self.run("sinfo", "-hN", f"--nodes={node}", "--format=%T").stdout:
                self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        self.wait_until_idle()
        self.run("find", self.home, "-mindepth", "1", "-delete")

    def logs(self, lines: int = 15) -> str:
        """The end of each daemon's log."""
        tails = {
            # What a daemon prints is only of interest while it has no log.
            path.stem: path.read_text(errors="replace").splitlines()[-lines:]
            for path in sorted((self.folder / "log").iterdir(), reverse=True)
            if path.stat().st_size
        }
        return "\n".join(line for name, tail in tails.items() for line in [f"== {name}", *tail])

    # -- within

    def _bring_up(self) -> None:
        is_kept = (self.folder / "keeper.pid").exists
        wait_until(is_kept, "the keeper", timeout_s=10, otherwise=self.logs)
        for daemon in ("munged", "slurmctld", *self.layout.nodes):
            self.revive(daemon)
        self.wait_until_idle()

    def _running(self) -> dict[str, int]:
        pids: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError):
            pids = json.loads((self.folder / "running.json").read_text())
        return pids

    def _wait_for_controller(self) -> None:
        def answers() -> bool:
            return self.run("scontrol", "ping", check=False).returncode == 0

        wait_until(answers, "slurmctld", timeout_s=20, otherwise=self.logs)
