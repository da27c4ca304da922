"""The image itself: built by the same `%post`, run as root and, FUSE-mounted, as a user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mtljobs.cluster.container import Bind, Container, interpreter, worker_container
from mtljobs.cluster.image import check_image, image_digest
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.attempts import read_attempts
from mtljobs.ledger.paths import Workspace, result_folder
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.profile import Profile
from testbed.user import make_python

pytestmark = pytest.mark.testbed

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDERS = [
    "two words", "a,b", "a:b", 'a"b', "a'b", "$(touch pwned)", "`touch pwned`", "a\\b", "a\nb",
    "a=b", "*", "ü",
]  # fmt: skip


def container(image, folder, **changes):
    choices = {
        "python": "/opt/mtljobs/venv/bin/python",
        "binds": (Bind(folder, writable=True),),
        "gpu": False,
        "options": (),
        "variables": {},
    }
    return Container(image=image, folder=folder, **choices | changes)


def execute(started, program, *arguments, **environment):
    """What a program prints inside, as JSON."""
    command = started.argv("-c", program, *arguments)
    whole = started.environment({**os.environ, **environment})
    done = subprocess.run(command, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_image_of_the_stack_host_passes_its_test_alone_and_fits_with_an_environment(image):
    alone = check_image(image, environment=None)
    assert alone.passed
    assert not alone.fits
    bound = check_image(image, environment=sys.prefix)
    assert bound.fits, bound
    assert "torch" in bound.test
    assert (bound.stack, alone.stack) == ("host", "host")


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_of_any_name_is_bound_at_its_own_path(image, tmp_path, name):
    folder, data = tmp_path / name, tmp_path / f"data {name}"
    for path in (folder, data):
        path.mkdir()
    (data / "given").write_text("data")
    # Contained, so that nothing but the binds makes these folders visible.
    started = container(
        image,
        folder,
        binds=(Bind(folder, writable=True), Bind(data)),
        options=("--contain",),
        variables={"NOTE": name},
    )
    program = """
import json, os, pathlib, sys
folder, data = map(pathlib.Path, sys.argv[1:])
(folder / "made").write_text("inside")
try:
    (data / "made").touch()
    refused = False
except OSError:
    refused = True
print(json.dumps([os.getcwd(), (data / "given").read_text(), os.environ["NOTE"], refused]))
"""
    seen = execute(started, program, str(folder), str(data))
    assert seen == [str(folder), "data", name, True]
    assert (folder / "made").read_text() == "inside"
    assert not list(tmp_path.rglob("pwned"))


def test_image_file_may_have_any_name(image, tmp_path):
    named = tmp_path / "docker:a, \"b\" 'c' $(touch pwned).sif"
    shutil.copy(image, named)
    assert execute(container(named, tmp_path), "print('[1]')") == [1]
    assert not list(tmp_path.rglob("pwned"))


def test_clean_environment_does_not_lose_the_job(image, tmp_path):
    python, binds = interpreter(sys.prefix)
    started = container(
        image, tmp_path, python=python, binds=(*binds, Bind(tmp_path, writable=True))
    )
    program = """
import json, submitit
job = submitit.JobEnvironment()
print(json.dumps([job.job_id, job.global_rank, job.num_nodes, job.hostnames, job.raw_job_id]))
"""
    job = {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_ID": "8",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "n[1,3]",
        "SLURM_PROCID": "0",
    }
    assert execute(started, program, **job) == ["7_1", 0, 2, ["n1", "n3"], "8"]


def test_python_and_library_paths_of_the_host_do_not_leak_in(image, tmp_path):
    program = """
import json, os, sys
print(json.dumps([sys.path, sorted(os.environ), os.environ["LD_LIBRARY_PATH"], os.environ["NOTE"]]))
"""
    host = dict.fromkeys(
        ("PYTHONPATH", "LD_LIBRARY_PATH", "APPTAINERENV_PYTHONPATH", "PYTHONHOME", "MINE"), "/host"
    )
    started = container(image, tmp_path, variables={"NOTE": "$(hostname) $HOME `id`"})
    path, names, libraries, note = execute(started, program, **host)
    assert not {"PYTHONPATH", "PYTHONHOME", "MINE"} & set(names)
    assert "/host" not in [*path, *libraries.split(":")]
    assert note == "$(hostname) $HOME `id`"


def test_home_folder_is_not_seen(image, tmp_path):
    program = "import json, os, sys; print(json.dumps(os.path.exists(sys.argv[1])))"
    with tempfile.NamedTemporaryFile(dir=Path.home()) as file:
        assert execute(container(image, tmp_path), program, file.name) is False


def test_shard_leaves_the_same_bytes_as_root_and_fuse_mounted_as_a_user(slurm, image, grid_file):
    python = make_python(slurm, CHECKOUT)
    program = """
import os, pathlib, sys
from mtljobs.worker import run_shard
names = []
for path in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if path.stat().st_uid == os.getuid():
            names.append((path / "comm").read_text().strip())
    except OSError:
        pass  # it has ended meanwhile
print("squashfuse_ll" in names, run_shard(sys.argv[1], 0))
"""
    records = []
    for as_user in (False, True):
        folder = slurm.home / ("user" if as_user else "root")
        folder.mkdir()
        proposal = propose(str(grid_file(folder=folder)), workspace=Workspace(folder / "runs"))
        freeze(proposal)
        account = pwd.getpwnam(slurm.user if as_user else "root")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)
        plan = read_newest(proposal.run)
        shard = plan.shards[0]
        started = worker_container(
            image,
            run=proposal.run,
            plan=plan,
            shard=shard,
            profile=Profile(environment=str(python.parent.parent)),
            gpu=False,
            digest=image_digest(image),
            copies={},
        )
        (path,) = proposal.run.plans.iterdir()
        environment = started.environment({"PATH": os.environ["PATH"]})
        command = started.argv("-c", program, str(path))
        done = slurm.run(*command, as_user=as_user, env=environment)
        is_mounted_by_fuse, outcome = done.stdout.split()[-2:]
        assert outcome == "done"
        assert is_mounted_by_fuse == "True" or not as_user
        ((attempt,),) = read_attempts(proposal.run.attempts).values()
        assert attempt.image == image_digest(image)
        record = result_folder(Workspace(folder / "runs"), proposal.run, shard) / "record.json"
        assert record.stat().st_uid == account.pw_uid
        records.append(record.read_bytes())
    assert records[0] == records[1]
