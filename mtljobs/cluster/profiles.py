"""Profiles of clusters: found by name or path, and remembered by the run that was submitted."""

from __future__ import annotations

from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings.base import canonical, restore
from mtljobs.settings.profile import Profile


def remember_profile(run: RunFolder, profile: Profile) -> None:
    """Let all that is submitted to the run from now on follow this profile."""
    replace_file(run.profile, to_json(canonical(profile)))


def run_profile(run: RunFolder) -> Profile:
    """The profile that the run follows: the one it was last submitted with, or no wishes."""
    try:
        values = read_json(run.profile)
    except FileNotFoundError:
        return Profile()
    profile: Profile = restore(Profile, values)
    return profile
