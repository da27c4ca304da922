from __future__ import annotations

import pytest

from mtljobs.cluster import tool_checks as checks
from mtljobs.settings.profile import Profile


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Nothing is on the PATH but what a test puts there, each printing a text."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name, text="", code=0):
        lines = "".join(f"echo '{line}'\n" for line in text.splitlines())
        (folder / name).write_text(f"#!/bin/sh\n{lines}exit {code}\n")
        (folder / name).chmod(0o755)

    return put


def test_missing_commands_are_named(programs):
    for name in ("sbatch", "squeue", "scontrol", "srun"):
        programs(name)
    assert checks.check_commands().found == "scancel not on the PATH"
    programs("scancel")
    assert checks.check_commands().verdict == "ok"


def test_controller_that_does_not_answer_is_told_in_its_words(programs):
    programs("scontrol", "Slurmctld(primary) at head is DOWN", code=1)
    finding = checks.check_controller()
    assert (finding.verdict, finding.found) == (
        "problem",
        "`scontrol`: Slurmctld(primary) at head is DOWN",
    )


def test_apptainer_is_missed_only_where_there_is_an_image(programs):
    assert checks.check_apptainer(Profile()).verdict == "ok"
    assert checks.check_apptainer(Profile(image="/i.sif")).verdict == "problem"
    programs("apptainer", "apptainer version 1.4.5")
    assert checks.check_apptainer(Profile(image="/i.sif")).found == "apptainer version 1.4.5"


@pytest.fixture
def installed(programs, tmp_path, monkeypatch):
    """An Apptainer whose starter has this mode, on a machine with FUSE or without."""
    monkeypatch.setattr(checks, "FUSE", tmp_path / "fuse")

    def install(mode, *, fuse, conf="allow setuid = yes"):
        starter = tmp_path / "apptainer/bin/starter-suid"
        starter.parent.mkdir(parents=True)
        starter.touch()
        starter.chmod(mode)
        (tmp_path / "conf").write_text(f"# allow setuid = maybe\n{conf}\n")
        if fuse:
            (tmp_path / "fuse").touch()
        programs("apptainer", f"LIBEXECDIR={tmp_path}\nAPPTAINER_CONF_FILE={tmp_path}/conf")

    return install


def test_setuid_apptainer_mounts_by_the_kernel(installed):
    installed(0o4755, fuse=False)
    assert checks.check_mount().found.startswith("by the kernel")


def test_setuid_apptainer_that_may_not_is_like_any_other(installed):
    installed(0o4755, fuse=True, conf="allow setuid = no")
    assert checks.check_mount().found.startswith("by FUSE")


def test_other_apptainer_mounts_by_fuse(installed):
    installed(0o755, fuse=True)
    assert checks.check_mount().found.startswith("by FUSE")


def test_machine_that_can_mount_no_image_is_warned_of(installed):
    installed(0o755, fuse=False)
    assert checks.check_mount().verdict == "warning"


def test_image_must_be_there_and_absolute(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert checks.check_image(Profile()) is None
    assert "no absolute path" in checks.check_image(Profile(image="mtl.sif")).found
    image = tmp_path / "mtl.sif"
    assert "cannot be read" in checks.check_image(Profile(image=str(image))).found
    image.write_bytes(b"abc")
    found = checks.check_image(Profile(image=str(image))).found
    assert found.startswith(f"{image}, sha256 ba7816bf8f01;")
    assert "unpacked" in checks.check_image(Profile(image=str(tmp_path))).found


def test_folders_that_shards_shall_see_must_be_there(tmp_path):
    assert checks.check_binds(Profile()) is None
    there, gone = str(tmp_path), str(tmp_path / "gone")
    assert checks.check_binds(Profile(binds=(there,))).verdict == "ok"
    missing = checks.check_binds(Profile(binds=(there, gone), environment="env"))
    assert (missing.verdict, missing.found) == ("problem", f"not there: {gone}, env")


def test_machine_without_a_gpu_is_no_problem(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "DRIVER", tmp_path / "version")
    assert checks.check_driver().verdict == "ok"
    (tmp_path / "version").touch()
    assert checks.check_driver().verdict == "warning"
    programs("nvidia-smi", "NVIDIA A100-SXM4-40GB, 550.54")
    assert checks.check_driver().found == "NVIDIA A100-SXM4-40GB, 550.54"
