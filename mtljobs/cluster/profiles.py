"""Profiles of clusters: found by name or path, and remembered by the run that was submitted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtljobs.errors import ProfileError, nearest
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.shipped import shipped, shipped_profiles
from mtljobs.plan.toml_files import read_settings
from mtljobs.settings.base import canonical, restore
from mtljobs.settings.profile import Profile

OWN = Path("jobs/profiles")
"""Where the profiles of a project lie, from the folder in which it is worked on."""


def find_profile(name: str | None) -> Profile:
    """What `--profile` means: a path, a name in `./jobs/profiles/`, or a shipped one.

    Args:
        name: None: no wishes.

    Raises:
        ProfileError: There is no such file, or it holds a key or value that no profile has; names
            the nearest ones.
    """
    if name is None:
        return Profile()
    return read_settings(_find_file(name), Profile, error=ProfileError)


def _find_file(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".toml" or path.parent != Path():
        if path.is_file():
            return path
        raise ProfileError(f"there is no profile at {name!r}; `mtljobs init` writes one.")
    # What somebody wrote for their cluster counts before what is shipped under its name.
    own = {path.stem: path for path in OWN.glob("*.toml")}
    if name in own:
        return own[name]
    if name in shipped_profiles():
        return shipped(f"jobs/profiles/{name}.toml")
    raise ProfileError(
        f"there is no profile {name!r}{nearest(name, {*own, *shipped_profiles()})}; a path to a "
        "TOML file works too, and `mtljobs init` on a login node writes one."
    )


def remember_profile(run: RunFolder, profile: Profile) -> None:
    """Let all that is submitted to the run from now on follow this profile."""
    replace_file(run.profile, to_json(canonical(profile)))


def run_profile(run: RunFolder) -> Profile:
    """The profile that the run follows: the one it was last submitted with, or no wishes."""
    try:
        values = read_json(run.profile)
    except (FileNotFoundError, NotADirectoryError):
        return Profile()
    profile: Profile = restore(Profile, values)
    return profile


def choose_profile(run: RunFolder, name: str | None) -> Profile:
    """The profile that a user names for a run; with None, the one that the run follows.

    Raises:
        ProfileError: There is no such profile, or it cannot be meant.
    """
    return run_profile(run) if name is None else find_profile(name)


@contextmanager
def rights(profile: Profile) -> Iterator[None]:
    """While inside, files and folders that are made let in whom the profile lets in."""
    before = os.umask(int(profile.umask, 8))
    try:
        yield
    finally:
        os.umask(before)
