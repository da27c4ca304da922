"""What `mtljobs image check` prints."""

from __future__ import annotations

from rich.console import Console

from mtljobs.cli.console import make_table
from mtljobs.cluster.image import Checked


def print_checked(console: Console, found: Checked, digest: str) -> None:
    """Host against image, a line each, and what the image's own test printed."""
    table = make_table("", "host", "image", "")
    for row in found.compared:
        verdict = "" if not row.differs else "must be equal" if row.matters else "differs"
        table.add_row(row.what, row.host or "none", row.image or "none", verdict)
    console.print(table)
    console.print(f"stack      {found.stack or 'unknown'}")
    console.print(f"sha256     {digest or 'none: an unpacked image'}")
    console.print(f"self-test  {'passed' if found.passed else 'failed'}: {found.test}")
    console.print("the image fits" if found.fits else f"the image does not fit: {_advice(found)}")


def _advice(found: Checked) -> str:
    if found.stack == "host" and any(
        row.what == "mtljobs" and not row.image for row in found.compared
    ):
        return "it holds no packages; name the environment that is bound in with --environment"
    return "build it again from this checkout, or submit from what it was built of"
