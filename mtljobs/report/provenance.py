"""The page's tables of what was run, and of what the results rest on."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from mtljobs.contracts import Record
from mtljobs.ledger.attempts import read_attempts
from mtljobs.ledger.files import hash_file
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import find_record, read_record
from mtljobs.ledger.versions import COMMIT_LABEL, LOCK_LABEL, STACK_LABEL
from mtljobs.plan.frozen import newest_plan, read_plan
from mtljobs.report.departures import find_departures
from mtljobs.report.markup import Markup, element, table
from mtljobs.results.sheets import per_cent

_LABELS = {COMMIT_LABEL: "commit", LOCK_LABEL: "lock", STACK_LABEL: "stack"}
"""What records say of the image that they were computed in -> the page's word for it."""


def settings_table(run: xr.DataTree) -> Markup:
    """What was run: a column per experiment, defaults resolved, differences in bold."""
    columns = {name: _describe_experiment(node) for name, node in run.children.items()}
    keys = next(iter(columns.values()))
    body = [[key, *_mark_differences([c[key] for c in columns.values()])] for key in keys]
    return table(["", *columns], body, kind="words")


def departures_table(run: xr.DataTree) -> Markup:
    """Settings that are not at their defaults: a column per experiment, empty where one is."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, node in run.children.items():
        for one in find_departures(_settings(node)):
            rows.setdefault((one.setting, _plain(one.default)), {})[name] = _plain(one.value)
    body = [
        [setting, default, *(values.get(name, "") for name in run.children)]
        for (setting, default), values in sorted(rows.items())
    ]
    return table(["setting", "default", *run.children], body, kind="words")


def provenance_table(folder: RunFolder, run: xr.DataTree) -> Markup:
    """Versions, identities and hashes that the page's numbers rest on."""
    plan = newest_plan(folder)
    records = [read_record(path) for path in sorted(folder.ledger.glob("*.json"))]
    shared = _shared_records(folder, plan)
    rows = [
        ("records in the ledger", str(len(records))),
        ("records of shared superpixels and networks", str(len(shared))),
        ("schema of the store", str(run.attrs["schema_version"])),
    ]
    if plan is not None:
        rows.append((f"plan {plan.name}", _hash(hash_file(plan))))
    for name, node in run.children.items():
        rows.append((f"data of {name}", _hash(str(_settings(node)["data_sha256"]))))
        rows.append((f"superpixels of {name}", _hash(str(node.attrs["inputs"]))))
    rows += _images(folder)
    rows += _image_labels([*records, *shared])
    rows += _versions([*records, *shared])
    return table(["", ""], rows, kind="words")


def _images(folder: RunFolder) -> list[tuple[str, Markup | str]]:
    """The container images that finished attempts ran in; more than one is worth knowing."""
    states = itertools.chain.from_iterable(read_attempts(folder.attempts).values())
    counts = Counter(state.image for state in states if state.state == "done")
    return [
        (f"container image (attempts: {count})", _hash(image) if image else "none")
        for image, count in sorted(counts.items())
    ]


def _shared_records(folder: RunFolder, plan: Path | None) -> list[Record]:
    """Of what the run's plan takes from the workspace, whichever run computed it."""
    shards = () if plan is None else read_plan(plan).shards
    workspace = Workspace(folder.root.parent)
    found = (find_record(workspace, folder, shard) for shard in shards if shard.shared)
    return [record for record in found if record is not None]


def _image_labels(records: Sequence[Record]) -> Iterator[tuple[str, Markup | str]]:
    """Commit, lock and stack of the images behind the records; more than one is worth knowing."""
    for label, word in _LABELS.items():
        counts = Counter(record.versions.get(label, "") for record in records)
        for value, count in sorted(counts.items()):
            yield f"{word} of the image (records: {count})", _hash(value) if value else "none"


def _describe_experiment(node: xr.DataTree) -> dict[str, str]:
    settings = _settings(node)
    experiment = settings["experiment"]
    explain = experiment["explain"]
    arrays = node.to_dataset()
    return {
        "data": describe_choice(experiment["data"]),
        "model": describe_choice(experiment["model"]),
        "tasks": ", ".join(describe_choice(task) for task in experiment["tasks"]),
        "weighting": describe_choice(experiment["weighting"]),
        "training": describe_choice(experiment["training"]),
        "pruning": describe_choice(experiment["pruning"]),
        "sparsities": ", ".join(per_cent(value) for value in arrays["sparsity"].values),
        "seeds": ", ".join(str(value) for value in arrays["seed"].values),
        "explained images": str(node.sizes["image"]),
        "saliency": describe_choice(explain["saliency"]),
        "superpixels": describe_choice(explain["superpixels"]),
        "faithfulness": describe_choice(explain["faithfulness"]),
        "forward passes": describe_choice(explain["forward"]),
        "maps kept": str(node.attrs["maps"]),
        "numerics": describe_choice(settings["numerics"]),
    }


def _mark_differences(cells: Sequence[str]) -> Sequence[str]:
    return cells if len(set(cells)) == 1 else [element("strong", cell) for cell in cells]


def describe_choice(choice: Mapping[str, Any]) -> str:
    """A choice as its name and its other keys.

    Example:
        >>> describe_choice({"name": "rooms", "version": 1, "size": [64, 64], "seed": 0})
        'rooms (size 64 x 64, seed 0)'
    """
    keys = [
        f"{key} {_plain(value)}" for key, value in choice.items() if key not in ("name", "version")
    ]
    name = str(choice.get("name", ""))
    listed = ", ".join(keys)
    return f"{name} ({listed})" if name and listed else name or listed


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return describe_choice(value)
    if isinstance(value, list):
        return " x ".join(map(_plain, value))
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(node: xr.DataTree) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(node.attrs["settings"])
    return settings


def _versions(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """All versions of each package that any record names; more than one is worth knowing."""
    for package in sorted(
        {name for record in records for name in record.versions} - _LABELS.keys()
    ):
        named = {r.versions[package] for r in records if package in r.versions}
        yield package, ", ".join(sorted(named))


def _hash(sha256: str) -> Markup:
    return element("code", sha256)
