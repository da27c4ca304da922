"""Damage to a run's files, and what the check says of it; numbers are checked in test_items.py."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.contracts import ExperimentLayout, Shard
from mtljobs.ledger.attempts import begin
from mtljobs.ledger.commit import new_staging
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, make_record, write_record
from mtljobs.plan.cells import reduction
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store import zarr_files
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.origins import find_mixed_devices
from mtljobs.store.verification import Level, check_store
from mtljobs.store.zarr_store import ZarrStore

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Tree = Callable[[Path], dict[str, bytes]]

CHUNK = "segnet/depth/irof/c.0.0.1.0.0"
TRAIN = {"stage": "train"}
NETWORK = Shard(
    "train-7e",
    "train",
    shard_identity({"stage": "train"}, {}),
    True,
    (),
    {},
    {"stage": "train"},
    {},
)


def make_plan(layouts: Layouts, *, blocks: int = 2) -> Plan:
    """A network, and so many blocks of its cell."""
    shards = [NETWORK]
    for block in range(blocks):
        spec = {"stage": "explain", "block": block}
        identity = shard_identity(spec, {})
        name = f"explain-segnet-0-0-{block}-{identity[:12]}"
        parents = (NETWORK.name,)
        place = {"experiment": "segnet", "sparsity": 0, "seed": 0, "block": block}
        shards.append(Shard(name, "explain", identity, False, parents, {}, spec, place))
    return Plan(
        grid="segnet",
        cells=(),
        layouts=layouts,
        shards=(*shards, reduction(tuple(shards))),
        resources={},
        backend="zarr",
    )


@pytest.fixture
def plan(layouts: Layouts, superpixels: Path, network: Path) -> Plan:
    """Two blocks, whose superpixels and network are made."""
    del superpixels, network
    return make_plan(layouts)


@pytest.fixture
def network(workspace: Workspace) -> Path:
    """What the network's shard committed."""
    folder = create_folder(workspace.networks / NETWORK.identity)
    (folder / "weights.safetensors").write_bytes(bytes(range(200)))
    write_record(
        folder,
        make_record(folder, shard=NETWORK.name, identity=NETWORK.identity, versions={"torch": "2"}),
    )
    return folder


@pytest.fixture
def whole(run: RunFolder, plan: Plan, explain: Explain, merge: Merge) -> RunFolder:
    """A run of two blocks, merged."""
    freeze_plan(run, plan, previous=None)
    for block, shard in enumerate(plan.shards[1:-1]):
        explain(run, dict(plan.layouts), block=block, identity=shard.identity)
    merge(run, dict(plan.layouts))
    return run


@pytest.fixture
def verify(workspace: Workspace, plan: Plan) -> Verify:
    def check(run: RunFolder, *, plan: Plan = plan, level: Level = "default") -> list[Finding]:
        return list(
            check_store(
                run, workspace, plan, level=level, checked=Checked(), progress=lambda *_: None
            )
        )

    return check


def flip(path: Path, *, place: int | None = None, bit: int = 0) -> None:
    """Change one bit of a file, by default in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1 << bit
    path.write_bytes(content)


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path.name) for finding in findings]


@pytest.mark.parametrize("level", ["quick", "default"])
def test_a_whole_run_has_no_findings_and_everything_is_counted(
    whole: RunFolder, workspace: Workspace, plan: Plan, level: Level
) -> None:
    checked = Checked()
    found = check_store(
        whole, workspace, plan, level=level, checked=checked, progress=lambda *_: None
    )
    assert list(found) == []
    # The network, two blocks of 12 chunks, and of the inputs three chunks along image, twice, and
    # the previews' one.
    assert checked.shards == 1 + 2 + 1
    assert checked.files == 1 + 2 * 12 + 2 * 3 + 1
    assert (checked.bytes > 1000) == (level == "default")
    assert checked.not_done == 0


def test_a_bit_that_changes_in_any_byte_of_a_chunk_is_found(
    whole: RunFolder, verify: Verify
) -> None:
    chunk = whole.store / CHUNK
    content = chunk.read_bytes()
    for place in range(0, len(content), 41):
        flip(chunk, place=place, bit=place % 8)
        (finding,) = verify(whole)
        assert (finding.kind, finding.path) == ("changed file", chunk)
        assert str(finding.shard).startswith("explain-segnet-0-0-1-")
        chunk.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("store.zarr/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/depth/irof/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/depth/seed/c.0", "wrong metadata"),
        ("store.zarr/segnet/depth/group/c.0", "wrong metadata"),
        ("store.zarr/segnet/inputs/segments/c.1.0.0", "changed file"),
        ("plans/0001.jsonl", "wrong plan"),
    ],
)
def test_a_bit_that_changes_in_another_file_of_the_run_is_found(
    whole: RunFolder, verify: Verify, plan: Plan, file: str, kind: str
) -> None:
    path = whole.root / file
    if kind == "wrong plan":  # as it would be read
        *shards, last = plan.shards
        shards[1] = dataclasses.replace(shards[1], spec={"stage": "explain", "block": 5})
        findings = verify(whole, plan=dataclasses.replace(plan, shards=(*shards, last)))
    else:
        flip(path)
        findings = verify(whole)
    assert [(finding.kind, finding.path) for finding in findings] == [(kind, path)]
    assert "expected" in findings[0].detail
    assert "found" in findings[0].detail


@pytest.mark.parametrize("name", ["weights.safetensors", RECORD])
def test_a_bit_that_changes_in_a_network_is_found(
    whole: RunFolder, verify: Verify, network: Path, name: str
) -> None:
    flip(network / name)
    (finding,) = verify(whole)
    assert finding.kind == ("broken record" if name == RECORD else "changed file")
    assert (finding.path, finding.shard) == (network / name, NETWORK.name)


def test_a_broken_record_leaves_chunks_that_nobody_lists(whole: RunFolder, verify: Verify) -> None:
    record = sorted(whole.ledger.glob("explain-*"))[0]
    flip(record)
    broken, *unknown = verify(whole)
    assert (broken.kind, broken.path, broken.shard) == ("broken record", record, record.stem)
    assert [finding.kind for finding in unknown] == ["unknown file"] * 12


def test_missing_shortened_and_foreign_files_are_all_named_even_by_the_quick_look(
    whole: RunFolder, verify: Verify, network: Path
) -> None:
    (whole.store / "segnet/depth/status/c.0.0.0.0").unlink()
    (whole.store / CHUNK).write_bytes((whole.store / CHUNK).read_bytes()[:-1])
    (whole.store / "segnet/depth/order/zarr.json").unlink()
    (whole.store / "segnet/depth/c.txt").write_text("mine")
    (whole.ledger / "note.txt").write_text("mine")
    (network / "more").touch()
    found = {(kind, name) for kind, name in kinds(verify(whole, level="quick"))}
    assert found == {
        ("missing file", "c.0.0.0.0"),
        ("changed file", "c.0.0.1.0.0"),
        ("missing file", "zarr.json"),
        ("unknown file", "c.txt"),
        ("unknown file", "note.txt"),
        ("unknown file", "more"),
    }


def test_a_quick_look_reads_no_results(whole: RunFolder, verify: Verify) -> None:
    flip(whole.store / CHUNK)
    assert verify(whole, level="quick") == []
    assert len(verify(whole)) == 1


def test_a_network_that_is_gone_is_missed_by_what_was_made_from_it(
    whole: RunFolder, verify: Verify, network: Path
) -> None:
    shutil.rmtree(network)
    (finding,) = verify(whole)
    assert (finding.kind, finding.shard) == ("missing record", NETWORK.name)
    assert "mtljobs resume demo" in finding.detail
    network.mkdir()
    (finding,) = verify(whole)
    assert finding.kind == "missing record"


def test_a_record_that_was_copied_from_elsewhere_is_found(whole: RunFolder, verify: Verify) -> None:
    first, second = sorted(whole.ledger.glob("explain-*"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert verify(whole)[0].kind == "broken record"
    first.write_bytes(content)
    (whole.ledger / "explain-segnet-0-0-9-abc.json").write_bytes(content)
    (finding,) = verify(whole)
    assert finding.kind == "unknown record"


def test_a_run_that_is_not_complete_and_not_merged_is_not_damaged(
    run: RunFolder, plan: Plan, explain: Explain, verify: Verify, tree: Tree
) -> None:
    freeze_plan(run, plan, previous=None)
    assert verify(run) == []
    name = explain(run, dict(plan.layouts), identity=plan.shards[1].identity)
    before = tree(run.root)
    assert verify(run) == []
    assert tree(run.root) == before
    flip(run.committed / name / "segnet/depth/irof/c.0.0.0.0.0")
    assert kinds(verify(run)) == [("changed file", "c.0.0.0.0.0")]


def test_a_merge_that_died_between_two_chunks_is_no_damage(
    whole: RunFolder, verify: Verify
) -> None:
    record = sorted(whole.ledger.glob("explain-*"))[0]
    folder = whole.committed / record.stem
    create_folder(folder / "segnet/depth/status")
    record.rename(folder / RECORD)
    status = "segnet/depth/status/c.0.0.0.0"
    (whole.store / status).rename(folder / status)
    assert verify(whole) == []


def test_a_store_that_did_not_grow_to_the_newest_plan_yet_is_no_damage(
    whole: RunFolder, verify: Verify, plan: Plan, layout: ExperimentLayout, merge: Merge
) -> None:
    longer = {"segnet": dataclasses.replace(layout, seeds=(0, 1, 2))}
    grown = make_plan(longer, blocks=3)
    freeze_plan(whole, grown, previous=plan)
    assert verify(whole, plan=grown) == []
    old = {path: path.read_bytes() for path in whole.store.rglob("zarr.json")}
    merge(whole, longer)
    assert verify(whole, plan=grown) == []
    # A merge that was killed halfway through the metadata: the root is as it was.
    root = whole.store / "zarr.json"
    new = root.read_bytes()
    root.write_bytes(old[root])
    assert verify(whole, plan=grown) == []
    # The other way round never happens: a document of the older plan below the newer root.
    root.write_bytes(new)
    document = whole.store / "segnet/depth/irof/zarr.json"
    document.write_bytes(old[document])
    assert kinds(verify(whole, plan=grown)) == [("wrong metadata", "zarr.json")]


def test_a_coordinate_that_another_compressor_wrote_is_no_damage(
    whole: RunFolder, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = zarr_files.encode_labels
    monkeypatch.setattr(
        zarr_files,
        "encode_labels",
        lambda array: {name: chunk + b"?" for name, chunk in encode(array).items()},
    )
    assert verify(whole) == []


def test_items_without_a_result_are_notes(
    whole: RunFolder, workspace: Workspace, plan: Plan
) -> None:

    folder = new_staging(whole.staging, "x")
    staging = ZarrStore().staging(folder, dict(plan.layouts))
    staging.write("segnet/depth", "status", [[1, 8], [0, 1], [8, 1]], sparsity=0, seed=0, block=0)
    name = "segnet/depth/status/c.0.0.0.0"
    shutil.copy(folder / name, whole.store / name)
    first = plan.shards[1]
    record = make_record(folder, shard=first.name, identity=first.identity, versions={})
    write_record(folder, record)
    shutil.copy(folder / RECORD, whole.ledger / f"{first.name}.json")
    shutil.rmtree(folder)
    checked = Checked()
    found = check_store(
        whole, workspace, plan, level="quick", checked=checked, progress=lambda *_: None
    )
    (note,) = [finding for finding in found if finding.kind == "missing items"]
    assert note.is_note
    assert "1 not run, 2 input unreadable" in note.detail
    assert checked.missing_items == 3


def test_what_the_dead_left_is_noted(whole: RunFolder, verify: Verify) -> None:
    new_staging(whole.staging, "explain-segnet-0-0-7-abc")
    (whole.merging / "7").mkdir()
    unfinished = whole.ledger / ".x.json.12-ab.aside"
    unfinished.touch()
    assert {name for _, name in kinds(verify(whole))} == {"explain-segnet-0-0-7-abc.1", "7"}
    os.utime(unfinished, (time.time() - 400, time.time() - 400))
    notes = verify(whole)
    assert {note.path.name for note in notes} == {
        "explain-segnet-0-0-7-abc.1",
        "7",
        unfinished.name,
    }
    assert all(note.is_note for note in notes)


def test_networks_whose_attempts_ran_on_several_devices_or_images_are_named(
    whole: RunFolder, workspace: Workspace, plan: Plan
) -> None:
    other = workspace.run("other")
    create_folder(other.plans)
    begin(whole.attempts, NETWORK.name, device="H100", image="ab").end("preempted", "")
    begin(other.attempts, NETWORK.name, device="V100", image="ab").end("waiting", "")
    assert list(find_mixed_devices(whole, workspace, plan)) == []
    begin(other.attempts, NETWORK.name, device="A100", image="ab").end("done", "")
    (note,) = find_mixed_devices(whole, workspace, plan)
    assert note.shard == NETWORK.name
    assert "devices A100 and H100 in 2 attempts" in note.detail
    begin(whole.attempts, NETWORK.name, device="H100", image="cd").end("done", "")
    (note,) = find_mixed_devices(whole, workspace, plan)
    assert "images ab and cd" in note.detail


def test_all_of_several_damages_are_listed(whole: RunFolder, verify: Verify, network: Path) -> None:
    flip(whole.store / CHUNK)
    flip(whole.store / "segnet/segmentation/cam/c.0.0.0.0.0.0")
    flip(whole.store / "segnet/depth/image/c.0")
    flip(network / "weights.safetensors")
    assert sorted(kinds(verify(whole))) == [
        ("changed file", "c.0.0.0.0.0.0"),
        ("changed file", "c.0.0.1.0.0"),
        ("changed file", "weights.safetensors"),
        ("wrong metadata", "c.0"),
    ]
