"""What travels with mtljobs besides its code: grids, profiles, `Apptainer.def`, `containers/`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(path: str) -> Path:
    """Where a shipped file or folder lies: inside an installed wheel, or in the checkout.

    Args:
        path: As in a checkout, such as `"jobs/demo.toml"` or `"Apptainer.def"`.

    Raises:
        FileNotFoundError: This version of mtljobs ships no such file.

    Example:
        >>> shipped("jobs/demo.toml").name
        'demo.toml'
    """
    installed = _PACKAGE / "_shipped"
    place = (installed if installed.is_dir() else _PACKAGE.parent) / path
    if not place.exists():
        raise FileNotFoundError(
            f"mtljobs ships no {path!r} (looked for {place}); it ships jobs/, containers/ and "
            "Apptainer.def. If these are gone, install mtljobs again."
        )
    return place


def shipped_grids() -> list[str]:
    """Names of the grids that `--grid` finds without a path.

    Example:
        >>> "demo" in shipped_grids()
        True
    """
    return sorted(path.stem for path in shipped("jobs").glob("*.toml"))


def shipped_profiles() -> list[str]:
    """Names of the profiles of clusters that `--profile` finds without a path.

    Example:
        >>> "habrok" in shipped_profiles()
        True
    """
    return sorted(path.stem for path in shipped("jobs/profiles").glob("*.toml"))
