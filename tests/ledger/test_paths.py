from __future__ import annotations

import dataclasses

import pytest

from mtljobs.contracts import Shard
from mtljobs.errors import UserError
from mtljobs.ledger.paths import (
    RunFolder,
    Workspace,
    claim_folder,
    create_folder,
    result_folder,
    scratch_folder,
)


@pytest.mark.parametrize("name", ["shared", "", ".hidden", "a/b", "..", "-x", "two words", "ü"])
def test_a_name_that_would_leave_or_hide_in_the_workspace_is_refused(
    workspace: Workspace, name: str
) -> None:
    with pytest.raises(UserError, match="--run NAME"):
        workspace.run(name)


@pytest.mark.parametrize("name", ["demo", "paper-2", "0.5_a"])
def test_a_run_lies_in_the_workspace_under_its_name(workspace: Workspace, name: str) -> None:
    assert workspace.run(name).root == workspace.root / name
    assert workspace.run(name).name == name
    assert workspace.run(name).store == workspace.root / name / "store.zarr"


def test_only_folders_with_plans_count_as_runs(workspace: Workspace) -> None:
    for folder in ("b/plans", "a/plans", "shared/networks", "notes"):
        create_folder(workspace.root / folder)
    assert workspace.run_names() == ["a", "b"]


def test_every_folder_that_is_made_is_private_to_the_user(workspace: Workspace) -> None:
    deep = create_folder(workspace.root / "new" / "newer" / "newest")
    for folder in (deep, deep.parent, deep.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert create_folder(deep) == deep


@pytest.mark.parametrize(
    ("stage", "shared", "place"),
    [
        ("train", True, "shared/networks/{identity}"),
        ("prune", True, "shared/networks/{identity}"),
        ("segment", True, "shared/inputs/{identity}"),
        ("evaluate", False, "demo/committed/{name}"),
        ("explain", False, "demo/committed/{name}"),
    ],
)
def test_results_stand_where_their_stage_commits(
    run: RunFolder, shard: Shard, stage: str, shared: bool, place: str
) -> None:
    workspace = Workspace(run.root.parent)
    shard = dataclasses.replace(shard, stage=stage, shared=shared)
    expected = workspace.root / place.format(identity=shard.identity, name=shard.name)
    assert result_folder(workspace, run, shard) == expected


def test_checkpoints_of_a_network_are_shared_and_those_of_a_run_are_not(
    workspace: Workspace, run: RunFolder, shard: Shard
) -> None:
    network = dataclasses.replace(shard, stage="train", shared=True)
    assert scratch_folder(workspace, run, shard) == run.work / shard.name
    assert scratch_folder(workspace, run, network) == workspace.work / shard.identity
    assert claim_folder(workspace, shard.identity).parent == workspace.work / shard.identity
