"""What the drill has shown of the things that shards and their sweep need in a job."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.cluster.drill import MORE_GB, Scene
from mtljobs.cluster.finding import Finding, ok, problem, warning
from mtljobs.settings.profile import Profile


def tell_memory(scene: Scene) -> Finding:
    """Whether a user may raise the memory of a job that waits."""
    tried = scene.noted("memory")
    if tried is None or tried["problem"] is not None:
        why = "there was none" if tried is None else tried["problem"]
        return warning(
            "memory",
            f"the memory of a waiting job cannot be raised: {why}",
            "after an out-of-memory kill the next sweep, or `mtljobs resume`, asks for more",
        )
    return ok("memory", f"a job that waits may be given more ({MORE_GB:g} GB)")


def tell_sbatch(scene: Scene, profile: Profile) -> Finding:
    """Whether a job may submit jobs, as the sweep does."""
    tried = scene.find("host", "sbatch")
    if tried and tried[0]["problem"] is None:
        return ok("sbatch in a job", "works: the sweep goes on by itself")
    why = tried[0]["problem"] if tried else "was not tried"
    if not profile.jobs_may_submit:
        return ok("sbatch in a job", f"does not, as the profile says: {why}")
    return problem(
        "sbatch in a job",
        why,
        "set jobs_may_submit = false: after each window `mtljobs resume` submits the next",
    )


def tell_image(scene: Scene) -> Iterator[Finding]:
    """How the image is mounted, and whether it outlives a notice."""
    if scene.find("payload", "start")[0]["image"] is None:
        return
    told, read = scene.find("host", "told"), scene.find("payload", "image")
    mount = f"by {told[0]['fuse'] or 'the kernel'}" if told else "nobody knows how"
    if read and read[0]["problem"] is not None:
        yield problem(
            "image",
            f"mounted {mount}; gone after the notice: {read[0]['problem']}",
            "unpack it (`apptainer build --sandbox`) and name the folder as `image`",
        )
    else:
        yield ok("image", f"mounted {mount}; it can still be read after the notice")


def tell_gpus(scene: Scene) -> Iterator[Finding]:
    """Which GPUs a job and its worker have."""
    host, payload = (
        scene.find("host", "start")[0]["gpus"],
        scene.find("payload", "start")[0]["gpus"],
    )
    if host and not payload:
        yield problem(
            "GPU",
            f"the job has {', '.join(host)}, its worker in the image has none",
            "ask the site about `apptainer exec --nv`",
        )
    elif payload:
        yield ok("GPU", f"the worker has {', '.join(payload)}")
    else:
        yield ok("GPU", "the job had none")


def tell_scratch(scene: Scene) -> Iterator[Finding]:
    """What scratch is in a job."""
    for tried in scene.find("host", "scratch"):
        if tried["problem"] is not None:
            yield warning("scratch", tried["problem"], "mend `scratch`, or leave it out")
        elif tried["kind"] in {"tmpfs", "ramfs"}:
            yield warning(
                "scratch",
                f"{tried['place']} lies in memory, which counts as the job's",
                "leave `scratch` out, or ask for more memory_gb",
            )
        else:
            yield ok(
                "scratch", f"{tried['place']}: {tried['kind']}, {tried['free_gb']:,.0f} GB free"
            )
