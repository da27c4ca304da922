"""Exit codes, and one paragraph instead of a traceback."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture
def light(monkeypatch):
    """An installation without the packages that compute."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec",
        lambda name: None if name in {"torch", "torchvision", "skimage"} else find(name),
    )  # fmt: skip


@pytest.fixture
def no_commands(tmp_path, monkeypatch):
    """A machine without Slurm, or any other command."""
    monkeypatch.setenv("PATH", str(tmp_path))


def is_one_paragraph(text):
    return text.endswith("\n") and text.count("\n") == 1 and "Traceback" not in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("plan --grid demoo", "did you mean 'demo'?"),
        ("submit --grid demoo", "did you mean 'demo'?"),
        ("plan --grid no/where.toml", "no grid file at 'no/where.toml'"),
        ("plan --grid demo --run ../x", "'../x' cannot name a run"),
        ("plan --grid demo --run shared", "'shared' cannot name a run"),
        ("status", "start one with `mtljobs submit --grid demo`"),
        ("status nothing", "there is no run 'nothing'"),
        ("wait", "there is no run"),
        ("resume", "there is no run"),
        ("cancel", "there is no run"),
        ("logs", "there is no run"),
        ("reduce", "there is no run"),
        ("report", "there is no run"),
        ("shard nothing train", "there is no run 'nothing'"),
    ],
)
def test_mistake_is_answered_in_one_paragraph_and_exit_code_2(mtljobs, workspace, line, words):
    answer = mtljobs(line)
    assert answer.code == 2
    assert words in answer.err
    assert answer.out == ""
    assert is_one_paragraph(answer.err)
    assert not workspace.root.exists()


@pytest.mark.parametrize(
    "line",
    ["plan", "plan --grid", "no-such-command", "submit --grid demo --executor pbs", "shard one",
     "submit --grid demo --cpus 0", "wait --timeout soon", "plan --grid demo --no-such-option"],
)  # fmt: skip
def test_line_that_cannot_be_parsed_is_exit_code_2(mtljobs, line):
    answer = mtljobs(line)
    assert answer.code == 2
    assert "Error" in answer.err
    assert "Traceback" not in answer.err


def test_misspelt_key_of_a_grid_is_answered_with_the_nearest(mtljobs, grid_file):
    answer = mtljobs(f"submit --grid {grid_file(('iterations', 'iteration'))}")
    assert answer.code == 2
    assert "(did you mean 'iterations'?)" in answer.err
    assert is_one_paragraph(answer.err)


@pytest.mark.parametrize("sparsity", ["1.0", "50"])
def test_sparsity_of_100_per_cent_or_more_is_refused(mtljobs, grid_file, sparsity):
    answer = mtljobs(f"submit --grid {grid_file(('0.5', sparsity))}")
    assert answer.code == 2
    assert "a sparsity is a fraction in [0, 1)" in answer.err


class TestSubmit:
    @pytest.mark.usefixtures("no_commands")
    @pytest.mark.parametrize("executor", ["", "--executor local"])
    def test_light_install_says_what_to_install_and_writes_nothing(
        self, mtljobs, grid_file, workspace, light, executor
    ):
        answer = mtljobs(f"submit --grid {grid_file()} {executor}")
        assert answer.code == 2
        assert "torch, torchvision, skimage is missing" in answer.err
        assert "pip install 'mtljobs[compute]'" in answer.err
        assert is_one_paragraph(answer.err)
        assert not workspace.root.exists()

    @pytest.mark.usefixtures("no_commands")
    def test_slurm_is_refused_where_there_is_none(self, mtljobs, grid_file, workspace):
        answer = mtljobs(f"submit --grid {grid_file()} --executor slurm")
        assert answer.code == 2
        assert "there is no `sbatch` on the PATH" in answer.err
        assert "--executor local" in answer.err
        assert is_one_paragraph(answer.err)
        assert not workspace.root.exists()

    def test_workspace_that_cannot_be_written_is_named(self, mtljobs, grid_file, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        path = grid_file()
        answer = mtljobs(f"submit --grid {path} --executor local --workspace {path}")
        assert answer.code == 2
        assert f"the plan cannot be written to {path}/study/plans: File exists" in answer.err
        assert is_one_paragraph(answer.err)

    def test_stale_cells_are_refused_with_the_keys_and_a_way_out(
        self, mtljobs, grid_file, submitted, monkeypatch
    ):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        run = submitted()
        changed = grid_file(("iterations = 12", "iterations = 13"))
        answer = mtljobs(f"submit --grid {changed} --executor local")
        assert answer.code == 2
        assert "experiment.training.iterations" in answer.err
        assert "--run NEW" in answer.err
        assert [path.name for path in run.plans.iterdir()] == ["0001.jsonl"]


class TestRunsThatWereStarted:
    def test_resume_and_shard_on_a_light_install_say_what_to_install(
        self, mtljobs, submitted, light
    ):
        submitted()
        for line in ("resume --executor local", "shard study segment"):
            answer = mtljobs(line)
            assert (answer.code, answer.out) == (2, "")
            assert "pip install 'mtljobs[compute]'" in answer.err

    def test_reduction_of_an_incomplete_run_is_exit_code_3(self, mtljobs, submitted):
        submitted()
        answer = mtljobs("reduce")
        assert answer.code == 3
        assert "Traceback" not in answer.err


def test_notes_of_an_error_stand_below_it(mtljobs, monkeypatch):
    from mtljobs.cluster import proposal
    from mtljobs.errors import DataError

    def refuse(*args, **options):
        error = DataError("the image is not finite")
        error.add_note("while reading desk/0001.png")
        raise error

    monkeypatch.setattr(proposal, "propose", refuse)
    answer = mtljobs("plan --grid demo")
    assert answer.code == 2
    assert answer.err == "the image is not finite\nwhile reading desk/0001.png\n"


def test_error_of_our_own_making_keeps_its_traceback(mtljobs, monkeypatch):
    from mtljobs.cluster import proposal

    monkeypatch.setattr(proposal, "propose", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mtljobs("plan --grid demo")


def test_a_file_in_the_place_of_a_folder_is_named_without_a_traceback(mtljobs, submitted):
    run = submitted()
    run.driving.write_text("")
    answer = mtljobs("wait study")
    assert answer.code == 1
    assert str(run.driving) in answer.err.replace("\n", "")
    assert "move it away" in answer.err
    assert "Traceback" not in answer.err
