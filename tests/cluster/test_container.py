"""What Apptainer is asked for."""

from __future__ import annotations

import csv
import dataclasses
import io
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
    worker_container,
)
from mtljobs.errors import UserError
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.profile import Profile

HOSTILE = """/data/two words, a:b "quoted" 'single' $(touch pwned) `x` \\ ü\n=end"""


@pytest.fixture
def container(tmp_path):
    return Container(
        image=Path("/images/of mine/mtljobs.sif"),
        python="/opt/mtljobs/venv/bin/python",
        folder=tmp_path,
        binds=(Bind(tmp_path, writable=True), Bind(Path(HOSTILE))),
        gpu=False,
        options=("--pid",),
        variables={"OMP_NUM_THREADS": "2", "NOTE": HOSTILE},
    )


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
        assert argv[-7] == "--pid"
        assert argv[-6:] == [
            "/images/of mine/mtljobs.sif", "/opt/mtljobs/venv/bin/python",
            "-u", "-m", "submitit.core._submit", "/run",
        ]  # fmt: skip

    def test_the_self_test_runs_under_the_same_conditions(self, container):
        assert container.self_test()[2:] == container.argv()[2:-1]

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


class TestEnvironment:
    def test_the_job_is_not_lost_in_a_clean_environment(self, container):
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
        told = container.environment(job)
        assert {key: told[f"APPTAINERENV_{key}"] for key in job} == job

    def test_what_the_job_does_not_have_is_not_invented(self, container):
        named = {key.removeprefix("APPTAINERENV_") for key in container.environment({})}
        assert named == {"PYTHONNOUSERSITE", "LANG", "OMP_NUM_THREADS", "NOTE"}

    def test_its_own_variables_count_before_those_of_the_job(self, container):
        told = container.environment({"MTLJOBS_X": "job", "APPTAINERENV_OMP_NUM_THREADS": "64"})
        assert told["APPTAINERENV_OMP_NUM_THREADS"] == "2"
        assert told["APPTAINERENV_NOTE"] == HOSTILE
        own = dataclasses.replace(container, variables={"MTLJOBS_X": "own"})
        assert own.environment({"MTLJOBS_X": "job"})["APPTAINERENV_MTLJOBS_X"] == "own"

    def test_paths_of_the_hosts_python_and_libraries_stay_outside(self, container):
        host = {
            "APPTAINERENV_PYTHONPATH": "/host",
            "SINGULARITYENV_LD_LIBRARY_PATH": "/host",
            "PYTHONPATH": "/host",
            "PATH": "/bin",
        }
        told = container.environment(host)
        assert told.items() & host.items() == {("PYTHONPATH", "/host"), ("PATH", "/bin")}
        assert "--cleanenv" in container.argv()  # keeps these two out


class TestWhatARunNeeds:
    def test_workspace_is_writable_and_data_and_weights_are_not(self, run, workspace, tmp_path):
        data, weights = tmp_path / "data", tmp_path / "w.safetensors"
        data.mkdir()
        weights.touch()
        named = {"mine": str(data), "elsewhere": str(tmp_path / "nowhere")}
        resources = {"data": named, "weights": {"0" * 64: str(weights)}}
        plan = dataclasses.replace(read_newest(run), resources=resources)
        assert run_binds(run, plan) == [
            Bind(workspace.root, writable=True),
            Bind(data),
            Bind(weights),
        ]

    @pytest.fixture
    def start(self, run):
        plan = read_newest(run)

        def start(copies=None, **profile):
            return worker_container(
                Path("/i.sif"),
                run=run,
                plan=plan,
                shard=plan.shards[0],
                profile=Profile(**profile),
                gpu=False,
                digest="d1",
                copies=copies or {},
            )

        return start

    def test_the_image_has_its_own_interpreter_and_the_worker_knows_the_image(self, start):
        container = start()
        assert container.python == "/opt/mtljobs/venv/bin/python"
        assert container.variables["MTLJOBS_IMAGE_DIGEST"] == "d1"
        assert container.variables["OMP_NUM_THREADS"] == "1"

    def test_the_profile_adds_binds_options_and_an_environment(self, start, workspace):
        container = start(binds=["/more data"], container_options=["--pid"], environment=sys.prefix)
        assert container.python == f"{sys.prefix}/bin/python"
        paths = {bind.path for bind in container.binds}
        assert paths >= {workspace.root, Path("/more data"), Path(sys.prefix)}
        assert container.options == ("--pid",)

    def test_a_nearer_copy_is_seen_in_the_place_of_a_folder(self, start, workspace):
        data = workspace.root / "shared" / "data" / "nyuv2"
        container = start({data: Path("/scratch/nyuv2")}, binds=[str(data)])
        (option,) = [o for o in container.argv() if f'"destination={data}"' in o]
        assert option == (f'--mount="type=bind","source=/scratch/nyuv2","destination={data}","ro"')

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
