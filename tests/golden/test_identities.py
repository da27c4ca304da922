"""Identities that users have on disk hold from release to release; `regenerate.py` says more."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from mtljobs.plan.planning import changed_keys

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "identities.json").read_text())
ADVICE = (
    "Old networks and results would not be found again. A new field takes `since(...)`, a change "
    "of meaning a higher `version`; where the change is meant, `python tests/golden/regenerate.py` "
    "writes it down (its first lines say more)."
)


@pytest.fixture(scope="module")
def identities():
    return runpy.run_path(str(HERE / "regenerate.py"))["identities"]()


def changes(golden, now):
    return "\n".join(f"  {key}" for key in changed_keys(golden, now))


def test_every_settings_class_is_written_down(identities):
    assert identities["defaults"].keys() == GOLDEN["defaults"].keys(), ADVICE


@pytest.mark.parametrize("name", GOLDEN["defaults"])
def test_default_means_what_it_meant(identities, name):
    changed = changes(GOLDEN["defaults"][name], identities["defaults"][name])
    assert not changed, f"{name} has changed in\n{changed}\n{ADVICE}"


@pytest.mark.parametrize("name", GOLDEN["grids"])
def test_settings_of_a_shipped_grid_are_what_they_were(identities, name):
    golden, now = (grids[name]["settings"] for grids in (GOLDEN["grids"], identities["grids"]))
    changed = changes(golden, now)
    assert not changed, f"the grid {name} has changed in\n{changed}\n{ADVICE}"


@pytest.mark.parametrize("kind", ["networks", "cells"])
@pytest.mark.parametrize("name", GOLDEN["grids"])
def test_settings_of_a_shipped_grid_lead_to_the_same_identities(identities, name, kind):
    golden, now = (grids[name][kind] for grids in (GOLDEN["grids"], identities["grids"]))
    changed = changes(golden, now)
    assert not changed, f"other {kind} of the grid {name}:\n{changed}\n{ADVICE}"


def test_golden_identities_are_complete():
    for grid in GOLDEN["grids"].values():
        for cell in grid["cells"]:
            sparsity = float(cell.rsplit("-", 2)[1])
            phases = [phase.split()[1] for phase in grid["networks"][cell]]
            assert phases == ["train"] if sparsity == 0 else {"train", "cut"} <= set(phases)
