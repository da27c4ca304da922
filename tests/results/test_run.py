from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.plan.frozen import freeze_plan
from mtljobs.results import (
    aoc,
    compare,
    correlate,
    curves,
    mean_curve,
    open_run,
    quantus,
    saliency,
    tables,
)
from mtljobs.results.run import find_store
from mtljobs.store.backend import load_backend


def test_sparsities_and_seeds_come_sorted_with_their_own_values(stored_run, synthetic) -> None:
    layout = synthetic.make_layouts()["segnet-netslim"]
    written = synthetic.make_arrays(synthetic.make_layouts())["segnet-netslim/depth"]
    depth = open_run(stored_run.root)["segnet-netslim/depth"]
    assert depth["sparsity"].values.tolist() == [0.0, 0.5, 0.9]
    assert depth["seed"].values.tolist() == [0, 1]
    for name in ("irof", "performance"):
        for place, sparsity in enumerate(layout.sparsities):
            for column, seed in enumerate(layout.seeds):
                read = depth[name].sel(sparsity=sparsity, seed=seed).values
                np.testing.assert_array_equal(read, written[name][place, column].astype("float32"))


def test_arrays_are_read_when_they_are_used(stored_run: RunFolder) -> None:
    depth = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset()
    assert not depth["irof"].variable._in_memory
    assert not depth["cam"].sel(sparsity=0.5).variable._in_memory
    assert depth["irof"].chunks is None


def test_any_selection_of_a_task_can_be_integrated(stored_run: RunFolder) -> None:
    depth = open_run(stored_run.root)["segnet-netslim/depth"].to_dataset()
    whole = aoc(depth)
    item = {"sparsity": 0.5, "seed": 1, "image": "test-00002", "group": "0.20-0.40"}
    part = aoc(depth.sel(item))
    assert whole.dims == ("sparsity", "seed", "image", "group")
    assert part.item() == pytest.approx(whole.sel(item).item())
    assert 0 < part.item() < 1


def test_task_says_which_measure_its_curves_are_of(stored_run: RunFolder) -> None:
    run = open_run(stored_run.root)
    assert run["segnet-netslim/depth"].attrs["faithfulness"] == "irof"
    assert run["segnet-netslim/depth"].to_dataset().sel(seed=1).attrs["faithfulness"] == "irof"


@pytest.mark.parametrize("area", [aoc, quantus])
def test_areas_of_a_tree_are_the_tree_of_areas(stored_run: RunFolder, area) -> None:
    run = open_run(stored_run.root)
    areas = area(run)
    assert set(areas["segnet-netslim"].children) == {"segmentation", "depth", "normals"}
    expected = area(run["segnet-netslim/depth"].to_dataset())
    xr.testing.assert_equal(areas[f"segnet-netslim/depth/{area.__name__}"], expected)
    xr.testing.assert_equal(area(run["segnet-netslim/depth"])[area.__name__], expected)


@pytest.mark.parametrize("place", [".", "store.zarr"])
def test_a_run_opens_by_its_folder_and_by_its_store(stored_run: RunFolder, place: str) -> None:
    assert open_run(stored_run.root / place).name == "study"


def test_a_store_opens_wherever_it_was_copied_to(stored_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "from-cluster.zarr").symlink_to(stored_run.store)
    assert "segnet-netslim" in open_run(tmp_path / "from-cluster.zarr").children


@pytest.fixture
def two_stores(tmp_path: Path) -> RunFolder:
    """A folder with what looks like a store of each backend."""
    run = RunFolder(tmp_path / "both")
    create_folder(run.store)
    (run.store / "zarr.json").write_text("{}")
    run.store_file.write_bytes(b"")
    return run


@pytest.mark.parametrize(("backend", "name"), [("zarr", "store.zarr"), ("hdf5", "store.h5")])
def test_a_runs_store_is_that_of_its_plan_whatever_lies_beside_it(
    two_stores: RunFolder, synthetic, backend: str, name: str
) -> None:
    plan = dataclasses.replace(synthetic.make_plan(synthetic.make_layouts()), backend=backend)
    freeze_plan(two_stores, plan, previous=None)
    assert find_store(two_stores.root).name == name
    load_backend(backend).path(two_stores).rename(two_stores.root / "away")
    with pytest.raises(UserError, match="has no store yet"):
        find_store(two_stores.root)


@pytest.mark.parametrize("plan", ["none", "one that cannot be read"])
def test_of_two_stores_without_a_plan_one_is_to_be_named(two_stores: RunFolder, plan: str) -> None:
    if plan != "none":
        create_folder(two_stores.plans)
        (two_stores.plans / "0001.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"store\.zarr and store\.h5.*ask for one by its path"):
        find_store(two_stores.root)
    for store in (two_stores.store, two_stores.store_file):
        assert find_store(store) == store
    two_stores.store_file.unlink()
    assert find_store(two_stores.root) == two_stores.store


def test_a_run_opens_by_name_in_the_workspace(
    stored_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(stored_run.root.parent))
    assert open_run("study").name == "study"


def test_an_unknown_run_names_those_that_there_are(
    stored_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(stored_run.root.parent))
    with pytest.raises(UserError, match=r"no run 'studdy'.*holds study"):
        open_run("studdy")


def test_a_run_without_a_store_says_when_it_will_have_one(tmp_path: Path) -> None:
    (tmp_path / "young" / "plans").mkdir(parents=True)
    with pytest.raises(UserError, match=r"'young' has no store yet.*mtljobs status young"):
        open_run(tmp_path / "young")


@pytest.fixture
def copied(stored_run: RunFolder, tmp_path: Path) -> Path:
    """A store that a test may change."""
    return shutil.copytree(stored_run.store, tmp_path / "copied.zarr")


def change_root(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((store / "zarr.json").read_text())
    change(document)
    (store / "zarr.json").write_text(json.dumps(document))


def test_a_store_of_a_later_format_is_refused(copied: Path) -> None:
    change_root(copied, lambda root: root["attributes"].update(schema_version=2))
    with pytest.raises(UserError, match=r"format 2, and this release.*up to 1.*Update mtljobs"):
        open_run(copied)


def test_nodes_that_this_release_does_not_know_are_ignored(copied: Path) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"schema_version": 1}}

    def add(root: dict[str, Any]) -> None:
        root["consolidated_metadata"]["metadata"] |= {"notes": group, "segnet-netslim/more": group}

    change_root(copied, add)
    run = open_run(copied)
    assert "notes" not in run.children
    assert compare(run)
    assert tables(run).averages


@pytest.mark.parametrize("node", ["segnet-netslim", "segnet-netslim/inputs"])
def test_a_node_inside_of_a_store_is_no_run(stored_run: RunFolder, node: str) -> None:
    with pytest.raises(UserError, match=r"is no store of results.*its store as a whole"):
        open_run(stored_run.store / node)


@pytest.mark.parametrize("name", ["other.csv", "store.h5"])
def test_a_file_that_is_no_store_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not one")
    with pytest.raises(CorruptionError, match=rf"{name} cannot be read as a store.*mtljobs verify"):
        open_run(tmp_path / name)


def test_a_store_without_its_root_document_says_how_to_look(copied: Path) -> None:
    (copied / "zarr.json").write_text("{")
    with pytest.raises(CorruptionError, match=r"copied\.zarr cannot be read.*mtljobs verify"):
        open_run(copied)


def test_an_archive_of_a_store_opens_like_the_store(stored_run: RunFolder, tmp_path: Path) -> None:
    archive = tmp_path / "study.zarr.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(filter(Path.is_file, stored_run.store.rglob("*"))):
            packed.write(path, path.relative_to(stored_run.store))
    xr.testing.assert_identical(open_run(archive), open_run(stored_run.root))


def test_one_experiment_of_a_run_is_not_taken_for_the_run(stored_run: RunFolder) -> None:
    part = open_run(stored_run.root)["segnet-netslim"]
    with pytest.raises(UserError, match=r"node /segnet-netslim with .*ask for the whole run"):
        compare(part)


def test_a_run_without_one_of_its_tasks_is_compared_in_the_others(stored_run: RunFolder) -> None:
    run = open_run(stored_run.root)
    tasks = {row.task for row in compare(run) if row.experiment == "segnet-netslim"}
    run["segnet-netslim"] = run["segnet-netslim"].drop_nodes("depth")
    left = {row.task for row in compare(run) if row.experiment == "segnet-netslim"}
    assert left == tasks - {"depth"}


def test_plain_xarray_opens_the_same_store(stored_run: RunFolder) -> None:
    plain = xr.open_datatree(stored_run.store, engine="zarr", chunks=None)
    ours = open_run(stored_run.root)
    path = "segnet-netslim/depth/irof"
    xr.testing.assert_equal(
        plain[path].sortby(["sparsity", "seed"]), ours[path].drop_vars("n_segments")
    )


@pytest.mark.parametrize("ask", [compare, correlate, tables])
@pytest.mark.parametrize("path", ["segnet-netslim", "segnet-netslim/depth"])
def test_what_asks_for_a_run_refuses_a_node_of_one(stored_run: RunFolder, ask, path: str) -> None:
    with pytest.raises(UserError, match="expected a run's tree"):
        ask(open_run(stored_run.root)[path])


@pytest.mark.parametrize("ask", [compare, correlate, tables])
def test_a_selection_that_lost_an_axis_is_refused_and_says_how_to_keep_it(
    stored_run: RunFolder, ask
) -> None:
    run = open_run(stored_run.root)
    with pytest.raises(UserError, match=r"without seed: .* run\.sel\(seed=\[\.\.\.\]\)"):
        ask(run.sel(seed=0))
    assert ask(run.sel(seed=[0]))


@pytest.mark.parametrize("ask", [curves, mean_curve, saliency])
def test_what_asks_for_a_task_refuses_a_run(stored_run: RunFolder, ask) -> None:
    with pytest.raises(UserError, match=r"expected the node of a task, .* found segnet-hrank"):
        ask(open_run(stored_run.root))
