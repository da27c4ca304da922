"""Whether the programs that jobs are made of are there: Slurm's, Python's, Apptainer's."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from importlib import metadata
from pathlib import Path

from mtljobs.cluster.asking import ask
from mtljobs.cluster.finding import Finding, ok, problem, warning
from mtljobs.cluster.image import image_digest
from mtljobs.settings.profile import Profile

SLURM = ("sbatch", "squeue", "scontrol", "scancel", "srun")
"""`srun` is never run, but submitit looks for it."""
FUSE = Path("/dev/fuse")
DRIVER = Path("/proc/driver/nvidia/version")


def check_commands() -> Finding:
    """Slurm's commands."""
    missing = [name for name in SLURM if shutil.which(name) is None]
    if missing:
        return problem(
            "commands",
            f"{', '.join(missing)} not on the PATH",
            "run this on a login node; some sites want `module load slurm`",
        )
    return ok("commands", ", ".join(SLURM))


def check_controller() -> Finding:
    """Whether slurmctld answers."""
    answer = ask("scontrol", "ping")
    if answer.problem is not None:
        return problem("controller", answer.problem, "wait until Slurm answers, or tell the site")
    return ok("controller", answer.text.splitlines()[0].strip() if answer.text else "answers")


def check_python() -> Finding:
    """What submits, and what reads the pickles of a job without an image."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("submitit", "cloudpickle"))
    return ok("Python", f"{platform.python_version()} ({sys.executable}), {versions}")


def check_apptainer(profile: Profile) -> Finding:
    """Apptainer, where the profile names an image."""
    if shutil.which("apptainer") is None:
        if profile.image is None:
            return ok("Apptainer", "not here, and this profile names no image")
        return problem(
            "Apptainer",
            "not on the PATH of this machine",
            "load its module, and name the module in `modules`; if only compute nodes have it, the "
            "drill tells",
        )
    return ok("Apptainer", ask("apptainer", "--version").text.strip())


def check_mount() -> Finding | None:
    """How Apptainer mounts an image here: by the kernel, or by a process that signals can end."""
    if shutil.which("apptainer") is None:
        return None
    lines = ask("apptainer", "buildcfg").text.splitlines()
    built = dict(line.partition("=")[::2] for line in lines)
    starter = Path(built.get("LIBEXECDIR", "/"), "apptainer/bin/starter-suid")
    if starter.is_file() and starter.stat().st_mode & stat.S_ISUID:
        allowed = _configured(Path(built.get("APPTAINER_CONF_FILE", "")), "allow setuid")
        if allowed != "no":
            return ok("mount", "by the kernel: Apptainer is installed setuid")
    if os.access(FUSE, os.R_OK | os.W_OK):
        return ok("mount", "by FUSE, without privileges; shards are told so that it survives")
    return warning(
        "mount",
        f"{FUSE} cannot be opened here, and Apptainer is not installed setuid",
        "the drill tells whether compute nodes can mount an image; an unpacked one works anywhere",
    )


def check_image(profile: Profile) -> Finding | None:
    """Whether the image can be read, and which one it is."""
    if profile.image is None:
        return None
    image = Path(profile.image)
    if not image.is_absolute():
        return problem("image", f"{image} is no absolute path", "jobs start in another folder")
    if not os.access(image, os.R_OK):
        return problem(
            "image", f"{image} cannot be read", "`mtljobs image build` makes one; or mend `image`"
        )
    digest = image_digest(image)
    what = f"sha256 {digest[:12]}" if digest else "unpacked"
    return ok("image", f"{image}, {what}; `mtljobs image check` compares it with this Python")


def check_binds(profile: Profile) -> Finding | None:
    """Whether the folders that shards shall see are there."""
    wanted = [*profile.binds, *([] if profile.environment is None else [profile.environment])]
    if not wanted:
        return None
    missing = [
        place for place in wanted if not Path(place).is_absolute() or not Path(place).exists()
    ]
    if missing:
        return problem("binds", f"not there: {', '.join(missing)}", "mend binds or environment")
    return ok("binds", ", ".join(wanted))


def check_driver() -> Finding:
    """The driver of GPUs on this machine, which a login node need not have."""
    if not DRIVER.exists():
        return ok("driver", "no NVIDIA driver on this machine; the drill looks in a job")
    if shutil.which("nvidia-smi") is None:
        return warning("driver", "a driver, but no nvidia-smi", "the drill looks in a job")
    names = ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if names.problem is not None:
        return warning("driver", names.problem, "the drill looks in a job")
    return ok("driver", "; ".join(names.text.split("\n")).strip("; "))


def _configured(file: Path, key: str) -> str | None:
    """The value of a line `key = value`."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next(
        (line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == key),
        None,
    )
