"""A store that one release has written and another checks, which describes more of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.store import schema, zarr_format
from mtljobs.store.backend import Backend
from mtljobs.store.findings import Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.variables import EXPLANATIONS

Layouts = dict[str, ExperimentLayout]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Flip = Callable[..., None]
MakePlan = Callable[..., Plan]

both = pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)
IROF = "segnet/depth/irof/zarr.json"


@pytest.fixture
def later(whole: RunFolder, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that this release has written, in the hands of the next, which knows an array more."""
    described = [
        dataclasses.replace(one, long_name=f"{one.long_name}, said better") for one in EXPLANATIONS
    ]
    new = dataclasses.replace(EXPLANATIONS[0], name="later")
    monkeypatch.setattr(schema, "EXPLANATIONS", (*described, new))
    return whole


@both
@pytest.mark.parametrize("level", ["quick", "default"])
def test_what_an_earlier_release_did_not_say_is_no_damage(
    later: RunFolder, verify: Verify, level: str
) -> None:
    assert verify(later, level=level) == []


@both
def test_the_next_merge_says_it_in_the_words_of_this_release(
    later: RunFolder, layouts: Layouts, merge: Merge, verify: Verify, backend: Backend
) -> None:
    merge(later, layouts)
    with xarray.open_datatree(backend.path(later)) as store:
        node = store["segnet/depth"]
        assert node.irof.long_name.endswith("said better")
        assert node.later.isnull().all()
    assert verify(later) == []


@both
def test_a_plan_that_the_store_has_not_grown_to_is_no_damage_either(
    later: RunFolder, verify: Verify, plan: Plan, make_plan: MakePlan, longer: ExperimentLayout
) -> None:
    grown = make_plan({"segnet": longer, "other": longer}, blocks=3)
    freeze_plan(later, grown, previous=plan)
    assert verify(later, plan=grown) == []


@pytest.mark.parametrize("file", ["zarr.json", IROF, "segnet/depth/seed/c.0"])
def test_a_bit_that_changes_in_its_own_files_is_found(
    later: RunFolder, verify: Verify, flip: Flip, file: str
) -> None:
    flip(later.store / file)
    findings = verify(later, level="quick")
    assert ("wrong metadata", later.store / file) in {(one.kind, one.path) for one in findings}
    assert len(findings) == 1 or file == "zarr.json"  # without it nobody knows the others' words


def test_a_file_of_its_own_that_is_gone_is_found(later: RunFolder, verify: Verify) -> None:
    (later.store / IROF).unlink()
    (finding,) = verify(later)
    assert (finding.kind, finding.path) == ("missing file", later.store / IROF)


def test_a_root_that_is_sealed_and_not_of_the_plan_is_damage(
    later: RunFolder, verify: Verify
) -> None:
    root = json.loads((later.store / "zarr.json").read_text())
    root["consolidated_metadata"]["metadata"]["segnet/depth/irof"]["shape"][0] += 1
    (later.store / "zarr.json").write_bytes(to_json(zarr_format.seal(root)))
    found = {(finding.kind, finding.path) for finding in verify(later)}
    assert ("wrong metadata", later.store / "zarr.json") in found


@pytest.mark.parametrize("backend_name", ["hdf5"], indirect=True)
def test_words_that_change_in_a_file_are_found(later: RunFolder, verify: Verify) -> None:
    content = later.store_file.read_bytes()
    later.store_file.write_bytes(content.replace(b"superpixel", b"superpixer", 1))
    for level in ("quick", "default"):
        (finding,) = verify(later, level=level)
        assert finding.kind == "wrong metadata"
