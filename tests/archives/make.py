"""Makes an archive of the current format: `python tests/archives/make.py`, once per release.

An archive has the same results in a store of each backend, and what readers find in them. It is
never made again: what it holds is what readers in the world have.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.ledger.records import make_record
from mtljobs.results import open_run
from mtljobs.settings.store import Store
from mtljobs.store.backend import Commit, Schema, load_backend
from mtljobs.store.schema import SCHEMA_VERSION, build_schema
from mtljobs.store.writer import sole_writer

FOLDER = Path(__file__).parent
STAMP = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Write the stores and what they hold."""
    target = FOLDER / f"schema-{SCHEMA_VERSION}.zip"
    if target.exists():
        sys.exit(f"{target} is an archive of a released format: raise SCHEMA_VERSION, or keep it.")
    synthetic = import_file(FOLDER.parent / "results" / "synthetic_run.py")
    layouts = {"segnet-netslim": make_layout(synthetic)}
    arrays = synthetic.make_arrays(layouts)
    with tempfile.TemporaryDirectory() as name:
        run = RunFolder(Path(name))
        for backend in Store.implementations:
            write_store(run, build_schema(layouts), arrays, backend=backend)
        pack([run.store, run.store_file], target)
        reader = import_file(FOLDER / "read_with_xarray_alone.py")
        found = reader.describe(open_run(run.store))
    lines = (f"{json.dumps(path)}: {json.dumps(node)}" for path, node in found.items())
    target.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def make_layout(synthetic: ModuleType) -> ExperimentLayout:
    """A small experiment whose sparsities and seeds arrived in no order."""
    layout = synthetic.make_layouts()["segnet-netslim"]
    tasks = {task: layout.tasks[task] for task in ("segmentation", "depth")}
    return dataclasses.replace(
        layout, sparsities=(0.5, 0.0), tasks=tasks, maps="subset", map_images=1
    )


def import_file(path: Path) -> ModuleType:
    """A module by its path: folders of tests are no packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def write_store(run: RunFolder, schema: Schema, arrays: dict, *, backend: str) -> None:
    """Commit everything as one shard, and merge it."""
    store = load_backend(backend)
    results = run.committed / backend
    for node in schema.values():
        for array in node.arrays.values():
            if array.labels is None:
                region = tuple(slice(0, length) for length in array.shape)
                values = arrays[node.path][array.name].astype(array.dtype)
                folder = create_folder(results / node.path / array.name)
                for name, content in store.encode(array, region, values).items():
                    (folder / name).write_bytes(content)
    record = make_record(results, shard="all", identity="a" * 64, versions={})
    with sole_writer(run, wait_s=0) as writer:
        store.update(store.path(run), schema, [Commit(results, record)], writer=writer)


def pack(stores: list[Path], target: Path) -> None:
    """Files as they are, without the times of this day."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for store in stores:
            files = sorted(path for path in store.rglob("*") if path.is_file()) or [store]
            for file in files:
                info = zipfile.ZipInfo(file.relative_to(store.parent).as_posix(), STAMP)
                archive.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
