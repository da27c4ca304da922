"""`mtljobs verify` on a run of real results: read, decoded, computed again."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import zarr

from mtljobs.cluster import recomputing
from mtljobs.ledger.files import hash_file
from mtljobs.ledger.records import RECORD, read_record, write_record
from mtljobs.plan.frozen import freeze_plan, read_newest


@pytest.fixture
def copied(finished_desk, tmp_path):
    """A copy of a finished desk, to be damaged."""
    shutil.copytree(finished_desk.folder, tmp_path / "copy")
    return dataclasses.replace(finished_desk, folder=tmp_path / "copy")


@pytest.fixture
def verify(mtljobs):
    """Verifies a desk's run; the exit code and the answer as JSON."""

    def run(desk, *options):
        answer = mtljobs("verify", desk.run.root, "--json", *options)
        return answer.code, json.loads(answer.out)

    return run


def kinds(findings):
    return [(finding["kind"], finding["path"].rpartition("/")[2]) for finding in findings]


def falsify(desk, shard, name):
    """Change a stored number, with chunk, checksum and record as if it had been computed so."""
    array = zarr.open_array(desk.run.store / name.rpartition("/")[0], mode="r+")
    array[0, 0, 0, 0] += 0.25
    path = desk.run.ledger / f"{shard.name}.json"
    record = read_record(path)
    written = hash_file(desk.run.store / name), (desk.run.store / name).stat().st_size
    write_record(desk.folder, dataclasses.replace(record, files={**record.files, name: written}))
    (desk.folder / RECORD).rename(path)


def test_undisturbed_run_has_no_findings_down_to_its_numbers_and_tables(finished_desk, verify):
    code, answer = verify(finished_desk, "--decode")
    assert (code, answer["findings"], answer["notes"]) == (0, [], [])
    checked = answer["checked"]
    # Superpixels, network, evaluation, two blocks, and the copy of the superpixels.
    assert (checked["shards"], checked["not_done"], checked["missing_items"]) == (6, 0, 0)
    assert 0 < checked["chunks"] < checked["files"]


def test_tables_that_changed_or_went_are_found_by_their_hashes(copied, verify):
    table = copied.run.tables / "aoc.csv"
    table.write_bytes(table.read_bytes().replace(b",1", b",2", 1))
    (copied.run.tables / "performance.csv").unlink()
    assert verify(copied, "--quick")[0] == 0
    for level in ((), ("--decode",)):
        code, answer = verify(copied, *level)
        assert code == 1
        assert kinds(answer["findings"]) == [
            ("changed tables", "aoc.csv"), ("missing file", "performance.csv"),
        ]  # fmt: skip


def test_tables_with_the_right_hashes_and_other_numbers_are_found_by_making_them_again(
    copied, verify
):
    table, record = copied.run.tables / "aoc.csv", copied.run.tables / "records.json"
    before = hash_file(table)
    table.write_bytes(table.read_bytes().replace(b",1", b",2", 1))
    record.write_text(record.read_text().replace(before, hash_file(table)))
    assert verify(copied)[0] == 0
    code, answer = verify(copied, "--decode")
    assert code == 1
    assert kinds(answer["findings"]) == [
        ("changed tables", "aoc.csv"), ("changed tables", "records.json"),
    ]  # fmt: skip


def test_a_table_that_an_earlier_release_did_not_write_is_missed_by_decoding(copied, verify):
    table, record = copied.run.tables / "declines.tex", copied.run.tables / "records.json"
    said = json.loads(record.read_text())
    del said["tables"][table.name]
    table.unlink()
    record.write_text(json.dumps(said))
    assert verify(copied)[0] == 0
    code, answer = verify(copied, "--decode")
    assert code == 1
    assert ("changed tables", "declines.tex") in kinds(answer["findings"])


@pytest.mark.parametrize("left", ["a folder", "a link to nothing"])
def test_a_record_that_cannot_be_read_does_not_end_the_check(copied, verify, left):
    shard = copied.shard("explain")
    record = copied.run.ledger / f"{shard.name}.json"
    record.unlink()
    if left == "a folder":
        record.mkdir()
    else:
        record.symlink_to("nothing")
    code, answer = verify(copied)
    assert code == 1
    found = {finding["kind"] for finding in answer["findings"] if finding["shard"] == shard.name}
    assert found == {"broken record" if left == "a folder" else "missing record"}


def test_a_plan_whose_settings_are_others_moves_nothing_away(copied, mtljobs, tree):
    plan = read_newest(copied.run)
    tampered = dataclasses.replace(plan.shards[0], spec={"stage": "segment"})
    freeze_plan(
        copied.run, dataclasses.replace(plan, shards=(tampered, *plan.shards[1:])), previous=plan
    )
    chunk = copied.run.store / "desk/depth/irof/c.0.0.0.0.0"
    chunk.unlink()
    before = tree(copied.run.store)
    answer = mtljobs("verify", copied.run.root, "--requeue")
    assert answer.code == 1
    assert f"missing file of {copied.shard('explain').name}" in answer.out
    assert "mend it as said above, and look again" in answer.out
    assert tree(copied.run.store) == before


def test_tables_that_are_older_than_the_results_are_stale(copied, verify):
    shard = copied.shard("explain")
    falsify(copied, shard, "desk/depth/cam_max/c.0.0.0.0")
    code, answer = verify(copied)
    assert code == 1
    ((kind, name),) = kinds(answer["findings"])
    assert (kind, name) == ("stale tables", "records.json")
    assert shard.name in answer["findings"][0]["detail"]


def test_numbers_that_contradict_each_other_are_found_by_decoding(copied, verify):
    falsify(copied, copied.shard("explain"), "desk/depth/irof/c.0.0.0.0.0")
    answer = verify(copied, "--decode")[1]
    (finding,) = [one for one in answer["findings"] if one["kind"] == "wrong values"]
    assert finding["shard"] == copied.shard("explain").name
    assert "irof" in finding["detail"]


def test_blocks_that_are_computed_again_have_the_same_bits(finished_desk, verify):
    code, answer = verify(finished_desk, "--recompute", 1, "--seed", 3)
    assert (code, answer["seed"], answer["checked"]["recomputed"]) == (0, 3, 1)
    (note,) = answer["notes"]
    assert note["kind"] == "recomputed"
    assert "bit for bit" in note["detail"]


def test_other_bits_are_damage_only_under_the_same_conditions(copied, verify, monkeypatch):
    shard, other = copied.shard("explain"), copied.shard("explain", 1)
    falsify(copied, shard, "desk/depth/cam_max/c.0.0.0.0")
    code, answer = verify(copied, "--recompute", 9)
    assert code == 1
    (finding,) = [one for one in answer["findings"] if one["kind"] == "not reproduced"]
    assert finding["shard"] == shard.name
    assert "1 of" in finding["detail"]
    assert "by up to 0.25" in finding["detail"]
    assert [note["shard"] for note in answer["notes"]] == [other.name]
    monkeypatch.setattr(recomputing, "device_name", lambda: "H100")
    answer = verify(copied, "--recompute", 9)[1]
    assert {finding["kind"] for finding in answer["findings"]} == {"stale tables"}
    (note,) = [note for note in answer["notes"] if note["shard"] == shard.name]
    assert "device cpu -> H100" in note["detail"]


def test_network_that_is_damaged_keeps_blocks_from_being_computed_again(copied, verify):
    weights = copied.workspace.networks / copied.shard("train").identity / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    answer = verify(copied, "--recompute", 1)[1]
    assert kinds(answer["findings"]) == [("changed file", weights.name)]
    (note,) = answer["notes"]
    assert "could not be computed again" in note["detail"]


def test_command_says_what_is_damaged_and_how_to_mend_it(copied, mtljobs):
    chunk = copied.run.store / "desk/depth/irof/c.0.0.1.0.0"
    chunk.unlink()
    answer = mtljobs("verify", copied.run.root, "--quick")
    assert answer.code == 1
    name = copied.shard("explain", 1).name
    assert answer.out.splitlines()[0] == f"missing file of {name}: {chunk}"
    assert "after `mtljobs verify grid --requeue`, `mtljobs resume grid`" in answer.out
    assert mtljobs("verify", copied.run.root, "--quick", "--decode").code == 2
    answer = mtljobs("verify", copied.run.root, "--requeue")
    assert f"moved {name} to {copied.run.quarantine / name}.1" in answer.out
    assert mtljobs("verify", copied.run.root).out.splitlines()[-1] != "nothing is damaged"
