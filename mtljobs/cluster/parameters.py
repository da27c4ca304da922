"""What `sbatch` is told of every job of ours, in submitit's words."""

from __future__ import annotations

import shlex
from typing import Any

from mtljobs.settings.profile import Profile


def job_parameters(
    profile: Profile, *, name: str, minutes: int, memory_gb: float, cpus: int, gpus: int
) -> dict[str, Any]:
    """A job that is told before its end, may be requeued, and goes on in its log when it was.

    Args:
        profile: The cluster's.
        name: As the queue shows it.
        minutes: Time limit.
        memory_gb: For the whole job.
        cpus: Cores.
        gpus: GPUs.
    """
    model = "" if profile.gpu_type is None else f"{profile.gpu_type}:"
    return {
        "job_name": name,
        "time": minutes,
        "mem": f"{round(memory_gb * 1024)}MB",
        "cpus_per_task": cpus,
        "gpus_per_node": f"{model}{gpus}" if gpus else None,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "stderr_to_stdout": True,
        "use_srun": False,
        "setup": [f"module load {shlex.quote(module)}" for module in profile.modules],
        "additional_parameters": {
            "requeue": True,
            "open-mode": "append",
            "signal": f"B:USR2@{profile.notice_s}",
        },
    }
