"""A run that goes on by itself: windows, sweeps, retries, on a Slurm of small scripts."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import pytest

from mtljobs.cluster.history import Pardon
from mtljobs.cluster.marker import find_submissions
from mtljobs.cluster.outlook import outlook
from mtljobs.cluster.profiles import remember_profile
from mtljobs.cluster.states import read_states
from mtljobs.cluster.sweep import submit_run, sweep_run
from mtljobs.errors import DrivenAlreadyError, UserError
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import claim_folder, create_folder, scratch_folder
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.profile import Profile


@pytest.fixture
def slurm(fake_slurm, monkeypatch):
    monkeypatch.setattr("mtljobs.cluster.sweep.SILENCE_LIMIT_S", -60.0)
    monkeypatch.setattr("mtljobs.cluster.sweep.PATIENCE_S", 0.0)
    monkeypatch.setattr("mtljobs.cluster.sweep.TRIES", 2)
    monkeypatch.setattr("mtljobs.cluster.sweep.PAUSE_S", 0.0)
    return fake_slurm


def submit(run, **wishes):
    remember_profile(run, Profile(**wishes))
    return submit_run(run, retry_failed=False)


def sweep(run):
    """What the last sweep does when its time has come."""
    return sweep_run(str(run.root))


def stages(slurm):
    """Stage and size of each job that is in the queue."""
    jobs = {}
    for element in slurm.queue:
        job = element.partition("_")[0]
        jobs[job] = jobs.get(job, 0) + 1
    return [(slurm.stage(job), size) for job, size in jobs.items()]


def queued(slurm, run):
    markers = find_submissions(run).values()
    jobs = {element.partition("_")[0] for element in slurm.queue}
    return {name for marker in markers if marker.job in jobs for name in marker.shards}


def begin(run, shard, *, job):
    """An attempt in a job."""
    made = attempts.begin(run.attempts, shard.name, device="cpu")
    process = dataclasses.replace(ProcessIdentity.current(), job=job, host="n1")
    replace_file(made.path, to_json(read_json(made.path) | {"process": process.to_json()}))
    return made


def shard_of(run, stage):
    return next(shard for shard in read_newest(run).shards if shard.stage == stage)


class TestWindow:
    def test_window_holds_parents_first_and_leaves_a_place_for_the_sweep(self, slurm, submitted):
        run = submitted()
        submission = submit(run, queued_max=5)
        assert stages(slurm) == [("segment", 1), ("train", 2), ("prune", 1), ("sweep", 1)]
        assert slurm.options(submission.sweep)["dependency"] == (
            f"afterany:{':'.join(submission.jobs)}"
        )
        assert "7 more wait: no room in the queue" in submission.words

    def test_sweep_submits_the_next_window_and_the_next_sweep(
        self, slurm, submitted, finish_stages
    ):
        run = submitted()
        submit(run, queued_max=4)
        finish_stages(run, "segment", "train")
        slurm.end()
        assert "queued 3 shards" in sweep(run)
        assert stages(slurm) == [("prune", 1), ("evaluate", 2), ("sweep", 1)]
        finish_stages(run, "prune", "evaluate", "explain")
        slurm.end()
        sweep(run)
        assert stages(slurm) == [("reduce", 1), ("sweep", 1)]
        attempts.begin(run.attempts, "reduce", device="cpu").end("done", "")
        slurm.end()
        assert sweep(run) == "complete"
        assert slurm.queue == {}
        assert run.sweeps.read_text().splitlines()[-1].endswith("complete")

    def test_jobs_of_other_runs_take_room_too(self, slurm, submitted):
        run = submitted()
        slurm.set_queue({str(number): "/else/job.sh" for number in range(7)})
        submission = submit(run, queued_max=10)
        assert stages_of(slurm, submission) == [("segment", 1), ("train", 1)]

    def test_queue_that_is_full_of_others_is_looked_at_later(self, slurm, submitted):
        run = submitted()
        slurm.set_queue({str(number): "/else/job.sh" for number in range(9)})
        submission = submit(run, queued_max=10)
        assert submission.jobs == ()
        assert slurm.options(submission.sweep)["begin"] == "now+10minutes"
        assert "dependency" not in slurm.options(submission.sweep)

    @pytest.mark.parametrize("limit", range(2, 8))
    def test_limit_that_only_sbatch_knows_closes_the_window(self, slurm, submitted, limit):
        run = submitted("study", ("seeds = [0]", "seeds = [0, 1, 2, 3]"))
        slurm.set_limit(limit)
        submission = submit(run)
        assert len(slurm.queue) <= limit
        assert stages(slurm)[-1] == ("sweep", 1)
        assert len(submission.jobs) >= 1

    def test_queue_that_takes_nothing_at_all_is_told(self, slurm, submitted):
        slurm.set_limit(0)
        with pytest.raises(UserError, match="QOSMaxSubmitJobPerUserLimit"):
            submit(submitted())

    def test_where_jobs_may_not_submit_resume_goes_on_by_hand(
        self, slurm, submitted, finish_stages
    ):
        run = submitted()
        submission = submit(run, jobs_may_submit=False)
        assert submission.sweep is None
        assert "sweep" not in dict(stages(slurm))
        assert "`mtljobs resume` goes on when these have ended" in submission.words
        finish_stages(run, "segment", "train", "prune", "evaluate", "explain")
        slurm.end()
        submit_run(run, retry_failed=True)
        assert stages(slurm) == [("reduce", 1)]


def stages_of(slurm, submission):
    wanted = set(submission.jobs)
    sizes = [element.partition("_")[0] for element in slurm.queue]
    return [(slurm.stage(job), sizes.count(job)) for job in dict.fromkeys(sizes) if job in wanted]


class TestOnce:
    def test_what_is_queued_is_not_submitted_again(self, slurm, submitted):
        run = submitted()
        first = submit(run)
        again = submit(run)
        assert (again.jobs, again.sweep) == ((), first.sweep)
        assert "all that can go on now is in Slurm's queue already" in again.words

    def test_run_that_grew_has_one_sweep_that_waits_for_all(self, slurm, submitted):
        run = submitted()
        first = submit(run)
        submitted("study", ("seeds = [0]", "seeds = [0, 1]"))
        second = submit(run)
        assert first.sweep not in slurm.queue
        waits = slurm.options(second.sweep)["dependency"].split(":")[1:]
        assert {*first.jobs, *second.jobs} == set(waits)

    def test_lost_sweep_is_replaced(self, slurm, submitted):
        run = submitted()
        first = submit(run)
        slurm.end(first.sweep)
        again = submit(run)
        assert again.jobs == ()
        assert again.sweep in slurm.queue

    def test_job_that_slurm_forgot_is_submitted_again_after_the_parents_that_wait(
        self, slurm, submitted, finish_stages
    ):
        run = submitted()
        first = submit(run)
        finish_stages(run, "segment", "train", "prune", "evaluate")
        explained = next(job for job in first.jobs if slurm.stage(job) == "explain")
        slurm.end(*(job for job in slurm.queue if job != f"{explained}_1"))
        again = submit(run)
        (job,) = again.jobs
        kept, anew = (next(m.shards for m in find_submissions(run).values() if m.job == number)
                      for number in (explained, job))  # fmt: skip
        assert len(anew) == 3
        assert kept[1] not in anew
        assert slurm.options(again.sweep)["dependency"] == f"afterany:{explained}:{job}"

    def test_sweep_waits_for_whoever_submits_and_then_leaves_it_to_him(self, slurm, submitted):
        run = submitted()
        submit(run)
        claim = claims.acquire(run.driving)
        with pytest.raises(DrivenAlreadyError):
            sweep(run)
        claim.release()
        assert "queue already" in sweep(run)

    def test_sweep_asks_again_where_slurm_does_not_answer(self, slurm, submitted, monkeypatch):
        run = submitted()
        submit(run, queued_max=3)
        slurm.end()
        slurm.fail("squeue", "slurm_load_jobs error: Unable to contact slurm controller")
        back = slurm.folder / "squeue.fails"
        clock = SimpleNamespace(sleep=lambda _: back.unlink(), strftime=time.strftime)
        monkeypatch.setattr("mtljobs.cluster.sweep.time", clock)
        assert "queued 2 shards" in sweep(run)

    def test_network_that_another_run_trains_is_waited_for_without_a_job(
        self, slurm, submitted, workspace
    ):
        run = submitted()
        training = shard_of(run, "train")
        other = claims.acquire(claim_folder(workspace, training.identity))
        submission = submit(run)
        assert training.name not in queued(slurm, run)
        assert "another run works on it" in submission.words
        other.release()
        slurm.end()
        sweep(run)
        assert training.name in queued(slurm, run)


class TestRetry:
    def test_failed_shard_and_what_hangs_on_it_wait_for_resume(
        self, slurm, submitted, finish_stages
    ):
        run = submitted()
        finish_stages(run, "segment")
        training = shard_of(run, "train")
        begin(run, training, job="1").end("failed", "no")
        submission = submit(run)
        children = {
            shard.name for shard in read_newest(run).shards[:-1] if training.name in shard.parents
        }
        assert queued(slurm, run).isdisjoint({training.name, *children})
        assert f"left: {training.name}: failed" in submission.words
        submit_run(run, retry_failed=True)
        assert queued(slurm, run) >= {training.name, *children}

    def test_sweep_after_a_resume_goes_on_with_what_was_forgiven(self, slurm, submitted):
        run = submitted("study", ("seeds = [0]", "seeds = [0, 1]"))
        shards = read_newest(run).shards
        trainings = [shard for shard in shards if shard.stage == "train" and not shard.parents]
        for training in trainings:
            begin(run, training, job="1").end("failed", "one error")
        remember_profile(run, Profile(queued_max=4))
        submit_run(run, retry_failed=True)
        assert Pardon.read(run).attempts == {training.name: 1 for training in trainings}
        first = queued(slurm, run)
        slurm.end()
        for name in first:
            attempts.begin(run.attempts, name, device="cpu").end("failed", "another error")
        sweep(run)
        assert {training.name for training in trainings} - first <= queued(slurm, run)
        assert not first & queued(slurm, run)

    def test_stage_that_one_error_stops_is_left_whole(self, slurm, submitted, finish_stages):
        run = submitted("study", ("seeds = [0]", "seeds = [0, 1, 2]"))
        finish_stages(run, "segment")
        trainings = [shard for shard in read_newest(run).shards if shard.stage == "train"]
        for number, training in enumerate(trainings[:3]):
            begin(run, training, job="1").end("failed", f"no weights {number}")
        remember_profile(run, Profile())
        words = submit_run(run, retry_failed=False).words
        assert slurm.queue == {}
        assert "3 train shards failed with one error: no weights" in words

    def test_attempt_whose_job_has_left_the_queue_is_over_though_it_was_alive_just_now(
        self, slurm, submitted
    ):
        run = submitted()
        segment = shard_of(run, "segment")
        begin(run, segment, job="9999")
        assert read_states(run).shards[segment.name].state == "running"
        submit(run)
        assert segment.name in queued(slurm, run)

    def test_attempt_outside_of_slurm_is_left_alone(self, slurm, submitted):
        run = submitted()
        segment = shard_of(run, "segment")
        begin(run, segment, job=None)
        submit(run)
        assert segment.name not in queued(slurm, run)

    def test_shard_that_lacked_memory_is_an_array_of_its_own_with_more(self, slurm, submitted):
        run = submitted()
        training = shard_of(run, "train")
        begin(run, training, job="1").end("out of memory", "")
        submit(run)
        (job,) = (m.job for m in find_submissions(run).values() if m.shards == (training.name,))
        assert slurm.options(job)["mem"] == f"{24 * 1024}MB"

    @pytest.mark.parametrize("advances", [True, False])
    def test_shard_that_ran_out_of_time_goes_on_if_it_left_a_checkpoint(
        self, slurm, submitted, workspace, advances
    ):
        run = submitted()
        training = shard_of(run, "train")
        made = begin(run, training, job="1")
        if advances:
            folder = create_folder(scratch_folder(workspace, run, training))
            time.sleep(0.01)
            (folder / "checkpoint.pt").write_bytes(b"1")
        made.end("timed out", "")
        words = submit(run).words
        assert (training.name in queued(slurm, run)) == advances
        assert ("raise walltime_min" in words) != advances

    def test_rounds_bound_retries_and_not_what_was_never_tried(self, slurm, submitted):
        run = submitted("study", ("block = 2 }", "block = 2 }\n[resources.retry]\nrounds = 2"))
        segment, training = shard_of(run, "segment"), shard_of(run, "train")
        submit(run, queued_max=5)
        for _ in range(3):
            begin(run, segment, job="1").end("preempted", "")
            slurm.end()
            words = sweep(run)
        assert segment.name not in queued(slurm, run)
        assert training.name not in queued(slurm, run)  # its jobs never began: a retry as well
        assert "tried again in 2 rounds" in words
        submit_run(run, retry_failed=False)  # by hand
        assert {segment.name, training.name} <= queued(slurm, run)

    def test_killed_reduction_is_tried_again_and_a_failed_one_once_shards_changed(
        self, slurm, submitted, finish_stages
    ):
        run = submitted()
        finish_stages(run, "segment", "train", "prune", "evaluate", "explain")
        submit(run)
        slurm.end()
        begin(run, shard_of(run, "reduce"), job="1").end("preempted", "")
        sweep(run)
        assert stages(slurm) == [("reduce", 1), ("sweep", 1)]
        slurm.end()
        begin(run, shard_of(run, "reduce"), job="2").end("failed", "quarantined 1 shard")
        assert "reduce: failed" in sweep(run)
        begin(run, shard_of(run, "explain"), job="3").end("done", "")
        sweep(run)
        assert stages(slurm) == [("reduce", 1), ("sweep", 1)]


class TestOutlook:
    def test_causes_window_and_sweep_are_told(self, slurm, submitted):
        run = submitted()
        segment = shard_of(run, "segment")
        begin(run, segment, job="1").end("preempted", "")
        begin(run, segment, job="2").end("out of memory", "")
        begin(run, shard_of(run, "train"), job="1").end("failed", "no")
        submission = submit(run)
        lines = "\n".join(outlook(read_states(run)))
        assert f"left      {shard_of(run, 'train').name}: failed" in lines
        assert f"sweep {submission.sweep} goes on when these have ended" in lines
        slurm.end()
        submit_run(run, retry_failed=False)
        slurm.end()
        (run.root.parent / "shared").glob("queue-*")
        for path in (run.root.parent / "shared").glob("queue-*"):
            path.unlink()
        lines = "\n".join(outlook(read_states(run)))
        assert f"{segment.name}: preempted, out of memory, 2 jobs ended before" in lines
        assert "nothing works on it; `mtljobs resume` goes on" in lines

    def test_last_words_of_the_sweep_are_shown(self, slurm, submitted):
        run = submitted()
        submit(run)
        slurm.end()
        slurm.fail("sbatch", "sbatch: error: invalid account")
        with pytest.raises(UserError):
            sweep(run)
        lines = "\n".join(outlook(read_states(run)))
        assert "last sweep" in lines
        assert "invalid account" in lines
