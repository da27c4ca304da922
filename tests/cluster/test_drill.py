"""What the drill does to its jobs, and what it tells of what they saw."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mtljobs.cluster import drill
from mtljobs.cluster.asking import Answer
from mtljobs.cluster.drill import Scene, rehearse
from mtljobs.cluster.drill_report import tell_drill
from mtljobs.cluster.site import Site
from mtljobs.errors import UserError
from mtljobs.ledger.paths import Workspace
from mtljobs.settings.profile import Profile

SITE = Site({}, {}, None)
NODE = {"node": "n1", "gpus": []}
BEGUN = {"resumed": False, "image": None, "gpus": []}


def write(scene, who, *events):
    """Events of a process: seconds, life, what, and what else of it."""
    scene.folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"time": 1000 + second, "life": life, "what": what, **more})
        for second, life, what, more in events
    ]
    (scene.folder / f"{who}.jsonl").write_text("\n".join(lines) + "\n")


def heard(second, name, life=0):
    return (second, life, "signal", {"name": name})


@pytest.fixture
def scenes(tmp_path):
    """A cluster on which all goes well: limit 60 s, a grace of 5 s."""
    made = {case: Scene(case, tmp_path / case, str(number)) for number, case in enumerate(
        ("notice", "limit", "kill"), start=1)}  # fmt: skip
    for scene in made.values():
        scene.notes += [
            {"time": 990, "what": "submitted"},
            {"time": 997, "what": "state", "state": "RUNNING", "reason": "None", "start": "N/A"},
            {"time": 1090, "what": "over", "state": "COMPLETED"},
        ]
    notice, limit, kill = made.values()
    write(
        notice, "host", (0, 0, "start", NODE), (1, 0, "sbatch", {"problem": None}),
        (2, 0, "ready", {}), heard(5, "SIGUSR2"), (5, 0, "told", {"fuse": "squashfuse_ll"}),
        (7, 0, "requeue", {"problem": None}), heard(7, "SIGTERM"), (20, 1, "start", NODE),
    )  # fmt: skip
    write(
        notice, "payload", (3, 0, "start", BEGUN), heard(5, "SIGUSR2"),
        (6, 0, "image", {"problem": None}), (21, 1, "start", {**BEGUN, "resumed": True}),
    )  # fmt: skip
    notice.notes += [
        {"time": 1008, "what": "state", "state": "PENDING", "reason": "BeginTime", "start": "N/A"},
        {"time": 1008, "what": "hurry", "problem": None},
    ]
    write(
        limit, "host", (0, 0, "start", NODE), heard(31, "SIGUSR2"), heard(62, "SIGTERM"),
        (67, 0, "beat", {}),
    )  # fmt: skip
    write(limit, "payload", (2, 0, "start", BEGUN))
    write(
        kill, "host", (0, 0, "start", NODE), heard(4, "SIGTERM"), (9, 0, "beat", {}),
        (15, 1, "start", NODE), heard(18, "SIGTERM", life=1),
    )  # fmt: skip
    write(kill, "payload", (2, 0, "start", BEGUN), heard(4, "SIGTERM"), heard(5, "SIGUSR2"))
    for what in ("requeue", "memory", "cancel"):
        kill.notes.append({"time": 1010, "what": what, "problem": None})
    return made


@pytest.fixture
def told(scenes):
    """What is told of the scenes, by subject."""

    def tell(**profile):
        found = tell_drill(list(scenes.values()), Profile(**profile))
        return {entry.subject.removeprefix("drill: "): entry for entry in found}

    return tell


class TestReport:
    def test_cluster_that_does_all_that_shards_need_is_told_in_numbers(self, told):
        found = told()
        assert {entry.verdict for entry in found.values()} == {"ok"}
        assert found["job 'kill'"].found == "began on n1 after 7 s; its worker took 2 s more"
        assert found["time limit"].found == (
            "a notice for 30 s before came after 31 s; SIGTERM after 62 s, killed after 67 s of a "
            "limit of 60 s"
        )
        assert found["kill"].found == (
            "the batch process hears SIGTERM, the worker SIGTERM; 5 s later SIGKILL"
        )
        assert found["scancel"].found == "the batch process hears SIGTERM"

    def test_job_that_never_began_is_told_with_slurm_s_reason(self, scenes, told):
        scene = scenes["limit"]
        (scene.folder / "host.jsonl").unlink()
        scene.notes[1:] = [{"what": "state", "state": "PENDING", "reason": "Priority", "time": 1}]
        found = told()
        assert found["job 'limit'"].verdict == "problem"
        assert found["job 'limit'"].found == "did not begin in time: Priority"
        assert len(found) == 3

    def test_worker_that_does_not_begin_is_told_with_the_end_of_the_log(self, scenes, told):
        scene = scenes["notice"]
        (scene.folder / "payload.jsonl").unlink()
        (scene.folder / "1_0_log.out").write_text("\n\nFATAL: could not open image\n")
        found = told()["job 'notice'"]
        assert found.verdict == "problem"
        assert found.found == "its worker did not begin on n1: FATAL: could not open image"

    def test_python_that_is_missing_on_the_node_is_told_by_the_log(self, scenes, told):
        scene = scenes["notice"]
        (scene.folder / "host.jsonl").unlink()
        (scene.folder / "1_0_log.out").write_text("exec: python: not found\n")
        assert "before its Python began: exec: python: not found" in told()["job 'notice'"].found

    def test_notice_that_nobody_hears_is_a_problem(self, scenes, told):
        write(scenes["notice"], "host", (0, 0, "start", NODE), heard(7, "SIGTERM"))
        assert told()["notice"].verdict == "problem"
        assert "it heard SIGTERM" in told()["notice"].found

    def test_notice_that_the_worker_hears_twice_is_warned_of(self, scenes, told):
        twice = (heard(5, "SIGUSR2"), heard(5, "SIGUSR2"))
        write(scenes["notice"], "payload", (3, 0, "start", BEGUN), *twice)
        assert told()["notice"].found == "the worker heard it 2 times"

    def test_requeue_that_is_refused_is_told_in_slurm_s_words(self, scenes, told):
        refused = (7, 0, "requeue", {"problem": "Requested operation is disabled"})
        write(scenes["notice"], "host", (0, 0, "start", NODE), heard(5, "SIGUSR2"), refused)
        assert "Requested operation is disabled" in told()["requeue"].found
        assert "mtljobs resume" in told()["requeue"].advice

    def test_second_life_that_does_not_see_the_first_is_a_problem(self, scenes, told):
        write(scenes["notice"], "payload", (3, 0, "start", BEGUN), (21, 1, "start", BEGUN))
        assert told()["checkpoint"].verdict == "problem"

    def test_time_limit_without_a_notice_is_a_problem(self, scenes, told):
        write(scenes["limit"], "host", (0, 0, "start", NODE), (65, 0, "beat", {}))
        found = told()["time limit"]
        assert found.verdict == "problem"
        assert "no SIGTERM, killed after 65 s" in found.found

    def test_notice_that_comes_with_the_end_is_warned_of(self, scenes, told):
        late = (heard(58, "SIGUSR2"), heard(60, "SIGTERM"), (65, 0, "beat", {}))
        write(scenes["limit"], "host", (0, 0, "start", NODE), *late)
        assert told()["time limit"].advice == "raise notice_s"

    def test_jobs_that_may_not_submit_are_a_problem_unless_the_profile_says_so(self, scenes, told):
        write(
            scenes["notice"], "host", (0, 0, "start", NODE), heard(5, "SIGUSR2"),
            (1, 0, "sbatch", {"problem": "denied"}),
        )  # fmt: skip
        assert told()["sbatch in a job"].verdict == "problem"
        assert "jobs_may_submit = false" in told()["sbatch in a job"].advice
        assert told(jobs_may_submit=False)["sbatch in a job"].verdict == "ok"

    def test_image_that_dies_of_the_notice_is_a_problem(self, scenes, told):
        write(
            scenes["notice"], "payload", (3, 0, "start", {**BEGUN, "image": "/i.sif"}),
            heard(5, "SIGUSR2"), (6, 0, "image", {"problem": "Transport endpoint"}),
        )  # fmt: skip
        assert told()["image"].found == (
            "mounted by squashfuse_ll; gone after the notice: Transport endpoint"
        )
        assert told()["image"].verdict == "problem"

    def test_gpu_that_the_image_does_not_see_is_a_problem(self, scenes, told):
        with_gpu = (0, 0, "start", {"node": "n1", "gpus": ["GPU 0: A100"]})
        write(scenes["notice"], "host", with_gpu, heard(5, "SIGUSR2"))
        assert told()["GPU"].verdict == "problem"
        gpus = {**BEGUN, "gpus": ["GPU 0: A100"]}
        write(scenes["notice"], "payload", (3, 0, "start", gpus), heard(5, "SIGUSR2"))
        assert told()["GPU"].found == "the worker has GPU 0: A100"

    @pytest.mark.parametrize(
        ("seen", "verdict"),
        [
            ({"problem": "$X is not set in a job"}, "warning"),
            ({"problem": None, "place": "/memory", "kind": "tmpfs", "free_gb": 9}, "warning"),
            ({"problem": None, "place": "/local", "kind": "xfs", "free_gb": 900.4}, "ok"),
        ],
    )
    def test_scratch_is_told_as_a_job_sees_it(self, scenes, told, seen, verdict):
        events = [(1, 0, "scratch", seen), (0, 0, "start", NODE), heard(5, "SIGUSR2")]
        write(scenes["notice"], "host", *events)
        assert told()["scratch"].verdict == verdict

    def test_memory_that_cannot_be_raised_is_left_to_the_sweep(self, scenes, told):
        notes = scenes["kill"].notes
        notes[:] = [note for note in notes if note["what"] != "memory"]
        notes.append({"time": 1010, "what": "memory", "problem": "Access denied"})
        assert told()["memory"].verdict == "warning"
        assert "Access denied" in told()["memory"].found


class TestJobs:
    @pytest.fixture
    def asked(self, monkeypatch):
        """Commands that were given, and answers to give."""
        commands = []

        def ask(*command):
            commands.append(command)
            return Answer("")

        monkeypatch.setattr(drill, "ask", ask)
        monkeypatch.setattr(Site, "read", lambda: SITE)
        return commands

    @pytest.fixture
    def sbatch(self, tmp_path, monkeypatch):
        """Takes two jobs, and refuses the third."""
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "sbatch").write_text(
            f'#!/bin/sh\ncp "$1" {folder}/$$.script\n'
            f"n=$(ls {folder}/*.script | wc -l)\n"
            '[ "$n" -lt 3 ] || { echo "error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }\n'
            'echo "Submitted batch job $n"\n'
        )
        (folder / "srun").write_text("#!/bin/sh\n")
        for program in folder.iterdir():
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder

    def test_jobs_are_taken_back_where_a_later_one_is_refused(self, sbatch, asked, tmp_path):
        with pytest.raises(UserError, match=r"(?s)refused the drill's job 'kill'.*QOSMax"):
            rehearse(Profile(), Workspace(tmp_path / "runs"), tell=lambda line: None)
        assert asked == [("scancel", "1", "2")]

    def test_jobs_are_submitted_as_shards_are(self, sbatch, asked, tmp_path):
        profile = Profile(partition="gpu", account="vision", gpu_type="a100", modules=("Py/3",))
        with pytest.raises(UserError):
            rehearse(profile, Workspace(tmp_path / "runs"), tell=lambda line: None)
        scripts = [path.read_text() for path in sbatch.glob("*.script")]
        limit = next(script for script in scripts if "job-name=mtljobs-drill-limit" in script)
        lines = limit.splitlines()
        for line in ("--partition=gpu", "--account=vision", "--signal=B:USR2@30", "--requeue",
                     "--open-mode=append", "--time=1"):  # fmt: skip
            assert f"#SBATCH {line}" in lines
        assert "module load Py/3" in lines
        assert lines[-1].startswith("exec ")
        assert " -m mtljobs.cluster.rehearsal_host -u -m submitit.core._submit " in lines[-1]

    def test_each_thing_is_done_once_and_in_its_time(self, asked, tmp_path):
        scene = Scene("kill", tmp_path, "7")
        lines = []
        states = ["PENDING", "RUNNING", "RUNNING", "RUNNING", "PENDING", "PENDING", "RUNNING"]
        written = {
            2: (("host", (0, 0, "start", NODE)), ("payload", (1, 0, "beat", {}))),
            6: (("host", (0, 0, "start", NODE)), ("payload", (9, 1, "beat", {}))),
        }
        for moment, state in enumerate(states):
            for who, event in written.get(moment, ()):
                write(scene, who, event)
            drill._step(scene, state, lines.append)
        assert asked == [
            ("scontrol", "requeue", "7"),
            ("scontrol", "update", "JobId=7", "MinMemoryNode=1280"),
            ("scontrol", "update", "JobId=7", "StartTime=now"),
            ("scancel", "7"),
        ]
        assert len(lines) == 4

    def test_notice_is_sent_once_the_payload_works_and_the_host_has_tried_all(
        self, asked, tmp_path
    ):
        scene = Scene("notice", tmp_path, "7")
        write(scene, "payload", (1, 0, "beat", {}))
        drill._step(scene, "RUNNING", lambda line: None)
        assert asked == []
        write(scene, "host", (2, 0, "ready", {}))
        drill._step(scene, "RUNNING", lambda line: None)
        assert asked == [("scancel", "--batch", "--signal=USR2", "7")]

    def test_queue_that_does_not_answer_changes_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(drill, "ask", lambda *_: Answer("", "`squeue`: no contact"))
        scene = Scene("limit", tmp_path, "7")
        before = dataclasses.replace(scene, notes=[])
        drill._look([scene], lambda line: None)
        assert scene == before
