from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def no_slurm(tmp_path_factory, monkeypatch):
    """A machine without the programs of Slurm."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("bin")))


def test_plan_shows_cells_and_shards_and_what_to_do_next(mtljobs, grid_file):
    answer = mtljobs(f"plan --grid {grid_file()}")
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["Grid", str(grid_file()) + ",", "run", "study"]
    assert ["study", "0", "0.5", "0", "2", "2", "0", "0"] in lines
    # 4 images in blocks of 2, for each of two cells.
    for row in ("segment 1 1", "train 3 3", "prune 1 1", "evaluate 2 2", "explain 4 4"):
        assert row.split() in lines
    assert "nothing is written yet; `mtljobs submit` computes what is new" in answer.out


def test_every_cell_stands_there_with_the_settings_of_its_experiment(mtljobs, grid_file):
    grid = grid_file(("seeds = [0]", "seeds = [1, 0]"))
    lines = [line.rstrip() for line in mtljobs(f"plan --grid {grid}").out.splitlines()]
    cells = mtljobs(f"plan --grid {grid} --json").json["cells"]
    networks = {(cell["sparsity"], cell["seed"]): cell["network"][:12] for cell in cells}
    assert "  pruning    netslim, penalty 0.0001, penalty_form subgradient, floor 1" in lines
    assert any(line.startswith("  data       rooms, size 32 x 32, ") for line in lines)
    for sparsity in (0.0, 0.5):
        row = f"  {sparsity:g} new {networks[sparsity, 0]} new {networks[sparsity, 1]}"
        assert row.split() in [line.split() for line in lines]


def test_cells_of_many_seeds_are_counted(mtljobs, grid_file, submitted):
    submitted()
    grid = grid_file(("seeds = [0]", f"seeds = {list(range(10))}"))
    lines = [line.split() for line in mtljobs(f"plan --grid {grid}").out.splitlines()]
    assert ["0.5", "1", "kept,", "9", "new"] in lines
    assert ["study", "0", "0.5", "0-9", "20", "18", "2", "0"] in lines


def test_stages_stand_in_the_order_of_the_work(mtljobs, grid_file):
    lines = mtljobs(f"plan -g {grid_file()}").out.splitlines()
    firsts = [line.split()[0] for line in lines if line]
    stages = firsts[firsts.index("stage") + 1 : firsts.index("nothing")]
    assert stages == ["segment", "train", "prune", "evaluate", "explain", "reduce"]


@pytest.mark.parametrize("options", ["", "--json", "--run other", "--only sparsity=0.5"])
def test_plan_writes_nothing(mtljobs, grid_file, workspace, monkeypatch, options):
    path = grid_file()
    monkeypatch.chdir(path.parent)
    assert mtljobs(f"plan --grid {path} {options}").code == 0
    assert list(path.parent.iterdir()) == [path]
    assert workspace.root.parent == path.parent


class TestJson:
    def test_cells_have_their_settings_and_identity(self, mtljobs, grid_file):
        cells = mtljobs(f"plan --grid {grid_file()} --json").json["cells"]
        assert [(cell["experiment"], cell["sparsity"], cell["seed"]) for cell in cells] == [
            ("study", 0.0, 0),
            ("study", 0.5, 0),
        ]
        assert len({cell["identity"] for cell in cells}) == 2
        for cell in cells:
            assert len(cell["identity"]) == len(cell["network"]) == 64
            assert cell["settings"]["experiment"]["training"]["learning_rate"] == 1e-4
            assert (cell["state"], cell["changed"], cell["provisional"]) == ("new", [], False)

    def test_shards_are_counted_per_stage(self, mtljobs, grid_file):
        answer = mtljobs(f"plan --grid {grid_file()} --json").json
        counts = {"segment": 1, "train": 3, "prune": 1, "evaluate": 2, "explain": 4, "reduce": 1}
        assert answer["shards"] == answer["new_shards"] == counts
        assert (answer["run"], answer["grid"]) == ("study", str(grid_file()))

    def test_nothing_else_is_printed(self, mtljobs, grid_file):
        answer = mtljobs(f"plan --grid {grid_file()} --json")
        assert answer.out.startswith("{")
        assert answer.err == ""


class TestRunThatIsThere:
    def test_kept_and_new_cells_are_told_apart(self, mtljobs, grid_file, submitted):
        submitted()
        grown = grid_file(("seeds = [0]", "seeds = [0, 1]"))
        answer = mtljobs(f"plan --grid {grown} --json").json
        states = {(cell["sparsity"], cell["seed"]): cell["state"] for cell in answer["cells"]}
        assert states == {(0.0, 0): "kept", (0.5, 0): "kept", (0.0, 1): "new", (0.5, 1): "new"}
        assert answer["new_shards"] == {"train": 3, "prune": 1, "evaluate": 2, "explain": 4}
        table = [line.split() for line in mtljobs(f"plan --grid {grown}").out.splitlines()]
        assert ["study", "0", "0.5", "0", "1", "4", "2", "2", "0"] in table

    def test_stale_cells_are_named_once_with_the_keys_that_changed(
        self, mtljobs, grid_file, submitted
    ):
        submitted()
        changed = grid_file(("iterations = 12", "iterations = 13"))
        answer = mtljobs(f"plan --grid {changed}")
        assert answer.code == 0
        assert [line for line in answer.out.splitlines() if line.startswith("stale")] == [
            "stale: 2 cells of study, computed with another experiment.training.iterations; "
            "submit with --run NEW"
        ]
        cells = mtljobs(f"plan --grid {changed} --json").json["cells"]
        assert [cell["state"] for cell in cells] == ["stale", "stale"]
        assert cells[0]["changed"] == ["experiment.training.iterations"]

    def test_complete_plan_asks_for_nothing(self, mtljobs, grid_file, submitted):
        submitted()
        assert "submit" not in mtljobs(f"plan --grid {grid_file()}").out


class TestOnly:
    @pytest.mark.parametrize(
        ("only", "slots"),
        [
            ("--only sparsity=0.5", [("study", 0.5, 0)]),
            ("--only sparsity=0.5,seed=0", [("study", 0.5, 0)]),
            ("--only sparsity=0,sparsity=0.5", [("study", 0.0, 0), ("study", 0.5, 0)]),
            ("--only experiment=study --only sparsity=.5", [("study", 0.5, 0)]),
            ("--only sparsity=5e-1", [("study", 0.5, 0)]),
        ],
    )
    def test_only_the_wanted_cells_are_planned(self, mtljobs, grid_file, only, slots):
        cells = mtljobs(f"plan --grid {grid_file()} --json {only}").json["cells"]
        assert [(cell["experiment"], cell["sparsity"], cell["seed"]) for cell in cells] == slots

    @pytest.mark.parametrize(
        ("only", "words"),
        [
            ("seed=7", "--only leaves no cell"),
            ("sparsity=50", "sparsities [0.0, 0.5], seeds [0]"),
            ("experiment=studdy", "study: sparsities"),
            ("sparsty=0.5", "did you mean 'sparsity'?"),
            ("0.5", "received '0.5'"),
            ("sparsity=half", "needs a number, received 'half'"),
        ],
    )
    def test_what_cannot_be_meant_is_answered(self, mtljobs, grid_file, only, words):
        answer = mtljobs(f"plan --grid {grid_file()} --only {only}")
        assert answer.code == 2
        assert words in answer.err


def test_name_of_a_grid_is_no_markup(mtljobs, grid_file, tmp_path):
    folder = tmp_path / "a[" / "b] :smile:"
    folder.mkdir(parents=True)
    path = grid_file().rename(folder / "study.toml")
    answer = mtljobs(f"plan --grid '{path}'")
    assert answer.code == 0
    assert str(path) in answer.out


def test_long_names_are_broken_but_never_shortened(mtljobs, grid_file):
    name = "an-experiment-with-a-name-that-is-longer-than-its-column-may-be"
    path = grid_file(('name = "study"', f'name = "{name}"'))
    answer = mtljobs(f"plan --grid {path}")
    first_column = "".join(line.split(" ")[0] for line in answer.out.splitlines()[2:])
    assert name in first_column
    assert "…" not in answer.out


class TestOutlay:
    def test_time_of_stages_that_never_ran_is_a_walltime_for_each_shard(self, mtljobs, grid_file):
        # 11 shards, 240 minutes each.
        grid = f"plan --grid {grid_file()}"
        lines = mtljobs(grid).out.splitlines()
        assert "time: unknown; at most 44 hours, a walltime for each shard" in lines
        time = mtljobs(f"{grid} --json").json["time"]
        assert (time["shard_hours"], time["gpu_hours"], time["times"]) == (44, 0, {})
        assert time["chain_hours"] == 4 * 4  # train, cut, tune, evaluate

    def test_time_is_told_by_earlier_attempts(self, mtljobs, grid_file, submitted, attempt):
        run = submitted()
        made = attempt(run, "train", "done")
        values = json.loads(made.path.read_text())
        made.path.write_text(json.dumps(values | {"started": 0, "ended": 7200}))
        time = mtljobs(f"plan --grid {grid_file()} --json").json["time"]
        assert time["times"] == {"train": {"seconds": 7200, "shards": 1, "run": "study"}}
        assert time["shard_hours"] == 3 * 2 + 8 * 4
        assert set(time["unknown"]) == {"segment", "prune", "evaluate", "explain"}

    @pytest.mark.parametrize("other", ["data", "model"])
    def test_time_on_other_data_or_of_other_networks_says_nothing(
        self, mtljobs, grid_file, submitted, attempt, other
    ):
        run = submitted()
        for stage in ("segment", "train"):
            attempt(run, stage, "done")
        change = {"data": ("[32, 32]", "[32, 64]"), "model": ("0.0625", "0.125")}
        time = mtljobs(f"plan --grid {grid_file(change[other])} --run next --json").json["time"]
        assert time["times"].keys() == ({"segment"} if other == "model" else set())

    def test_shards_that_are_done_take_nothing(self, mtljobs, grid_file, submitted, finish):
        finish(submitted())
        answer = mtljobs(f"plan --grid {grid_file()}")
        assert "time:" not in answer.out

    def test_disk_is_compared_with_what_is_free(self, mtljobs, grid_file):
        answer = mtljobs(f"plan --grid {grid_file()}")
        assert "disk: store up to " in answer.out
        assert "networks of unknown size" in answer.out
        disk = mtljobs(f"plan --grid {grid_file()} --json").json["disk"]
        assert disk["inputs_bytes"] == 8 * 32 * 32 * 2
        assert disk["fits"] is True

    def test_plan_that_would_be_refused_has_no_outlay(self, mtljobs, grid_file, submitted):
        submitted()
        changed = grid_file(("iterations = 12", "iterations = 13"))
        answer = mtljobs(f"plan --grid {changed} --json").json
        assert (answer["time"], answer["disk"], answer["slurm"]) == (None, None, None)


class TestSlurm:
    @pytest.fixture
    def profile(self, tmp_path):
        path = tmp_path / "cluster.toml"
        path.write_text('partition = "gpu"\nnotice_s = 60\n')
        return path

    def test_profile_shows_arrays_also_where_there_is_no_slurm(self, mtljobs, grid_file, profile):
        answer = mtljobs(f"plan --grid {grid_file()} --profile {profile} --json").json
        jobs = answer["slurm"]["jobs"]
        assert [(job["stage"], job["shards"]) for job in jobs] == [
            ("segment", 1), ("train", 2), ("prune", 1), ("evaluate", 1), ("explain", 2),
            ("train", 1), ("evaluate", 1), ("explain", 2), ("sweep", 0),
        ]  # fmt: skip
        assert jobs[4]["after"] == ["JOB1", "JOB2"]
        assert {job["partition"] for job in jobs} == {"gpu"}
        assert "script" not in jobs[0]

    def test_scripts_are_printed_on_demand(self, mtljobs, grid_file, profile):
        line = f"plan --grid {grid_file()} --profile {profile} --scripts"
        printed = mtljobs(line).out
        scripts = [job["script"] for job in mtljobs(f"{line} --json").json["slurm"]["jobs"]]
        assert len(scripts) == 9
        assert all(script in printed for script in scripts)
        assert "#SBATCH --dependency=afterany:JOB1:JOB2" in printed

    def test_without_a_slurm_and_a_profile_there_are_no_arrays(self, mtljobs, grid_file):
        assert mtljobs(f"plan --grid {grid_file()} --json").json["slurm"] is None

    def test_slurm_that_does_not_answer_hides_nothing_else(
        self, mtljobs, grid_file, tmp_path, monkeypatch
    ):
        folder = tmp_path / "slurm"
        folder.mkdir()
        for name in ("sbatch", "scontrol", "squeue"):
            (folder / name).write_text("#!/bin/sh\necho no contact >&2\nexit 1\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
        answer = mtljobs(f"plan --grid {grid_file()}")
        assert "no contact" in answer.out
        assert "disk: " in answer.out
