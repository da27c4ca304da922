"""Makes an archive of the current format: `python tests/archives/make.py`, once per release.

An archive is never made again: what it holds is what readers in the world have.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import tempfile
import zipfile
from pathlib import Path

from mtljobs.ledger.paths import RunFolder
from mtljobs.results import aoc, open_run
from mtljobs.store.schema import SCHEMA_VERSION

FOLDER = Path(__file__).parent
STAMP = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Write the store and what its first areas are."""
    target = FOLDER / f"schema-{SCHEMA_VERSION}.zip"
    if target.exists():
        sys.exit(f"{target} is an archive of a released format: raise SCHEMA_VERSION, or keep it.")
    path = FOLDER.parent / "results" / "synthetic_run.py"
    spec = importlib.util.spec_from_file_location("synthetic_run", path)
    synthetic = importlib.util.module_from_spec(spec)
    sys.modules["synthetic_run"] = synthetic
    spec.loader.exec_module(synthetic)
    with tempfile.TemporaryDirectory() as name:
        layout = synthetic.make_layouts()["segnet-hrank"]
        layouts = {"segnet-hrank": dataclasses.replace(layout, maps="subset", map_images=1)}
        run = synthetic.write_run(RunFolder(Path(name) / "run"), layouts=layouts)
        areas = {
            node.path: node["aoc"].mean(("seed", "image", "group")).values.round(6).tolist()
            for node in aoc(open_run(run.root)).leaves
        }
        with zipfile.ZipFile(target, "w") as archive:
            for file in sorted(run.store.rglob("*")):
                if file.is_file():
                    inside = file.relative_to(run.store).as_posix()
                    archive.writestr(zipfile.ZipInfo(inside, STAMP), file.read_bytes())
    (FOLDER / f"schema-{SCHEMA_VERSION}.json").write_text(json.dumps(areas, indent=1) + "\n")


if __name__ == "__main__":
    main()
