"""What Apptainer is asked for, seen by a script in its place."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mtljobs
from mtljobs.cluster.container import (
    Bind,
    Container,
    environment_binds,
    order_binds,
    run_binds,
)
from mtljobs.errors import UserError
from mtljobs.plan.frozen import read_newest

FAKE = f"""#!{sys.executable}
import json, os, sys
told = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}}
print(json.dumps(told))
"""
HOSTILE = """/data/two words, a:b "quoted" 'single' $(touch pwned) `x` \\ ü\n=end"""


@pytest.fixture
def container(tmp_path):
    return Container(
        image=Path("/images/of mine/mtljobs.sif"),
        python="/opt/mtljobs/venv/bin/python",
        folder=tmp_path,
        binds=(Bind(tmp_path, writable=True), Bind(Path(HOSTILE))),
        gpu=False,
        variables={"OMP_NUM_THREADS": "2", "MTLJOBS_IMAGE_DIGEST": "d1", "NOTE": HOSTILE},
    )


@pytest.fixture
def run_in_shell(tmp_path):
    """Defines the container's function in a bash, runs lines there, and gives what they print."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "apptainer"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(container, lines, **environment):
        path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "-euc", f"{container.shell_function('payload')}\n{lines}"],
            env={"PATH": path, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout

    return run


def read_mount(argument):
    """The fields of a `--mount`, as Apptainer's reader of CSV takes them apart."""
    name, _, value = argument.partition("=")
    assert name == "--mount"
    (fields,) = csv.reader(io.StringIO(value, newline=""))
    return dict(field.partition("=")[::2] for field in fields)


class TestCommandLine:
    def test_image_and_interpreter_come_after_the_options_and_before_the_arguments(self, container):
        argv = container.argv("-u", "-m", "submitit.core._submit", "/run")
        assert argv[:2] == ["apptainer", "exec"]
        assert all(option.startswith("--") for option in argv[2:-6])
        assert argv[-6:] == [
            "/images/of mine/mtljobs.sif", "/opt/mtljobs/venv/bin/python",
            "-u", "-m", "submitit.core._submit", "/run",
        ]  # fmt: skip

    def test_the_driver_is_bound_only_for_a_gpu(self, container):
        assert "--nv" not in container.argv()
        assert "--nv" in dataclasses.replace(container, gpu=True).argv()

    @pytest.mark.parametrize("path", ["/plain", "/two words", "/a,b", "/a:b", '/"q"', HOSTILE])
    def test_any_path_is_bound_at_the_same_place(self, path):
        fields = read_mount(f"--mount={Bind(Path(path)).option()}")
        assert fields == {"type": "bind", "source": path, "destination": path, "ro": ""}

    def test_a_writable_bind_is_not_read_only(self):
        assert "ro" not in read_mount(f"--mount={Bind(Path('/runs'), writable=True).option()}")


class TestOrder:
    def test_a_writable_folder_inside_a_read_only_one_comes_after_it(self):
        outer, inner = Bind(Path("/scratch")), Bind(Path("/scratch/a/runs"), writable=True)
        assert order_binds([inner, outer]) == [outer, inner]

    def test_read_only_data_inside_the_workspace_stay_read_only(self):
        outer, inner = Bind(Path("/runs"), writable=True), Bind(Path("/runs/data"))
        assert order_binds([inner, outer]) == [outer, inner]

    def test_what_another_bind_brings_already_is_left_out(self):
        whole, part = Bind(Path("/data")), Bind(Path("/data/nyuv2"))
        assert order_binds([part, whole, whole]) == [whole]

    def test_the_nearest_folder_around_it_decides_whether_a_bind_adds_anything(self):
        binds = [Bind(Path("/a")), Bind(Path("/a/b"), writable=True), Bind(Path("/a/b/c"))]
        assert order_binds(binds) == binds

    def test_a_path_that_is_asked_for_both_ways_is_writable(self):
        writable = Bind(Path("/data"), writable=True)
        assert order_binds([Bind(Path("/data")), writable]) == [writable]


class TestShellFunction:
    def test_arguments_reach_apptainer_as_they_are(self, container, run_in_shell, tmp_path):
        told = json.loads(run_in_shell(container, 'payload "$ARGUMENT" last', ARGUMENT=HOSTILE))
        assert told["arguments"] == container.argv(HOSTILE, "last")[1:]
        assert not (tmp_path / "pwned").exists()

    def test_its_process_in_the_background_is_apptainers_own(self, container, run_in_shell):
        first, second = run_in_shell(container, "payload & pid=$!; wait; echo $pid").splitlines()
        assert json.loads(first)["pid"] == int(second)

    def test_the_job_is_not_lost_in_a_clean_environment(self, container, run_in_shell):
        job = {
            "SLURM_JOB_ID": "7",
            "SLURM_ARRAY_JOB_ID": "6",
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_JOB_NODELIST": "n[1,3-4]",
            "SLURM_RESTART_COUNT": "2",
            "SLURM_JOB_NAME": HOSTILE,
            "SUBMITIT_EXECUTOR": "slurm",
            "CUDA_VISIBLE_DEVICES": "",
        }
        told = json.loads(run_in_shell(container, "payload", **job))["environment"]
        assert {key: told[f"APPTAINERENV_{key}"] for key in job} == job

    def test_what_the_job_does_not_have_is_not_invented(self, container, run_in_shell):
        told = json.loads(run_in_shell(container, "payload"))["environment"]
        names = {key.removeprefix("APPTAINERENV_") for key in told if "ENV_" in key}
        assert names == {
            "PYTHONNOUSERSITE", "LANG", "OMP_NUM_THREADS", "MTLJOBS_IMAGE_DIGEST", "NOTE",
        }  # fmt: skip

    def test_its_own_variables_arrive_as_they_are(self, container, run_in_shell):
        told = json.loads(run_in_shell(container, "payload", OMP_NUM_THREADS="64"))["environment"]
        assert told["APPTAINERENV_OMP_NUM_THREADS"] == "2"
        assert told["APPTAINERENV_NOTE"] == HOSTILE
        assert told["APPTAINERENV_PYTHONNOUSERSITE"] == "1"

    def test_paths_of_the_hosts_python_and_libraries_stay_outside(self, container, run_in_shell):
        leaking = {
            "APPTAINERENV_PYTHONPATH": "/host",
            "SINGULARITYENV_LD_LIBRARY_PATH": "/host",
            "PYTHONPATH": "/host",
        }
        told = json.loads(run_in_shell(container, "payload", **leaking))
        kept = told["environment"].keys() & leaking.keys()
        assert kept == {"PYTHONPATH"}  # which --cleanenv keeps out
        assert "--cleanenv" in told["arguments"]

    def test_the_batch_shell_keeps_its_own_environment(self, container, run_in_shell):
        lines = 'payload >/dev/null & wait; echo "${APPTAINERENV_X-}"'
        assert run_in_shell(container, lines, APPTAINERENV_X="mine") == "mine\n"


class TestWhatARunNeeds:
    def test_workspace_is_writable_and_data_and_weights_are_not(self, run, workspace):
        resources = {
            "data": {"mine": "/data/mine"},
            "weights": {"0" * 64: "/weights/w.safetensors"},
        }
        plan = dataclasses.replace(read_newest(run), resources=resources)
        assert run_binds(run, plan) == [
            Bind(workspace.root, writable=True),
            Bind(Path("/data/mine")),
            Bind(Path("/weights/w.safetensors")),
        ]

    def test_the_environment_its_interpreter_and_the_checkout_are_seen(self):
        python = Path(sys.executable)
        binds = order_binds(environment_binds(python))
        code = "import mtljobs, json; print(mtljobs.__file__, json.__file__)"
        files = subprocess.check_output([python, "-I", "-c", code], text=True).split()
        for needed in (python, python.resolve(), *map(Path, files)):
            assert any(needed.is_relative_to(bind.path) for bind in binds), needed
        assert not any(bind.writable for bind in binds)
        assert not {Path("/"), Path("/usr")} & {bind.path for bind in binds}

    def test_links_to_the_interpreter_and_the_checkout_are_seen(self, tmp_path):
        environment, stable = tmp_path / "env", tmp_path / "stable"
        for folder in (environment, stable):
            (folder / "bin").mkdir(parents=True)
        (stable / "bin" / "python3").symlink_to(sys.executable)
        (environment / "bin" / "python").symlink_to("../../stable/bin/python3")
        (environment / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        packages = (
            environment / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        )
        packages.mkdir(parents=True)
        checkout = Path(mtljobs.__file__).parents[1]
        (packages / "mtljobs.pth").write_text(f"{checkout}\n")
        binds = environment_binds(environment / "bin" / "python")
        assert {bind.path for bind in binds} >= {environment, stable, checkout}

    def test_an_environment_without_mtljobs_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"cannot be the environment.*nowhere"):
            environment_binds(tmp_path / "nowhere")
