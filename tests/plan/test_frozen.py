from __future__ import annotations

import dataclasses
import json

import pytest

from mtljobs.errors import CorruptionError, UserError
from mtljobs.plan.frozen import freeze_plan, newest_plan, read_newest, read_plan
from mtljobs.plan.planning import grow_plan


@pytest.fixture
def run(workspace):
    return workspace.run("study")


@pytest.fixture
def first(planned, table):
    """The plan of the grid as it stands."""
    return planned(table)


@pytest.fixture
def grown(planned, table, experiment, first):
    """The plan after a seed was appended."""
    experiment["seeds"] = [0, 1]
    return grow_plan(first, planned(table, previous=first))


def test_plan_is_read_as_it_was_frozen(run, first):
    assert read_plan(freeze_plan(run, first, previous=None)) == first


def test_grown_plan_is_read_as_it_was_frozen(run, first, grown):
    freeze_plan(run, first, previous=None)
    assert read_plan(freeze_plan(run, grown, previous=first)) == grown


def test_plan_files_are_numbered_and_the_newest_is_the_run(run, first, grown):
    assert (newest_plan(run), read_newest(run)) == (None, None)
    assert freeze_plan(run, first, previous=None).name == "0001.jsonl"
    assert read_newest(run) == first
    assert freeze_plan(run, grown, previous=first).name == "0002.jsonl"
    assert read_newest(run) == grown


def test_tenth_thousand_plan_is_newer_than_the_ones_of_four_digits(run, first):
    path = freeze_plan(run, first, previous=None)
    path.rename(run.plans / "9999.jsonl")
    changed = dataclasses.replace(first, grid="again")
    assert freeze_plan(run, changed, previous=first).name == "10000.jsonl"
    assert newest_plan(run).name == "10000.jsonl"


@pytest.mark.parametrize("name", ["0001.orig.jsonl", "0002 copy.jsonl", "0003~.jsonl"])
def test_what_has_more_in_its_name_than_a_number_is_no_plan(run, first, grown, name):
    freeze_plan(run, first, previous=None)
    (run.plans / name).write_text("mine")
    assert read_newest(run) == first
    assert freeze_plan(run, grown, previous=first).name == "0002.jsonl"


def test_plan_that_says_nothing_new_makes_no_file(run, first):
    path = freeze_plan(run, first, previous=None)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert freeze_plan(run, first, previous=None) == path
    assert freeze_plan(run, first, previous=first) == path
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in run.plans.iterdir()] == ["0001.jsonl"]


def test_frozen_plan_is_never_written_again(run, first, grown):
    path = freeze_plan(run, first, previous=None)
    before = path.read_bytes()
    freeze_plan(run, grown, previous=first)
    assert path.read_bytes() == before


def test_two_submissions_that_grow_the_same_plan_do_not_share_a_place(
    run, planned, table, experiment, first
):
    freeze_plan(run, first, previous=None)
    both = []
    for seed in (1, 2):
        experiment["seeds"] = [0, seed]
        both.append(grow_plan(first, planned(table, previous=first)))
    # Each would give the second place of its `seed` axis to its own seed.
    assert [plan.layouts["study"].seeds for plan in both] == [(0, 1), (0, 2)]
    freeze_plan(run, both[0], previous=first)
    with pytest.raises(UserError, match="another submission to the run 'study' was faster"):
        freeze_plan(run, both[1], previous=first)
    assert read_newest(run) == both[0]
    assert len(list(run.plans.iterdir())) == 1 + 1


def test_two_first_submissions_do_not_overwrite_each_other(run, first, grown):
    freeze_plan(run, first, previous=None)
    with pytest.raises(UserError, match="submit again"):
        freeze_plan(run, grown, previous=None)
    assert read_newest(run) == first


def test_name_taken_in_the_last_moment_is_refused(run, first, monkeypatch):
    # The other submission writes after this one has looked, before it writes.
    monkeypatch.setattr("mtljobs.plan.frozen.create_file", lambda path, content: False)
    with pytest.raises(UserError, match="submit again"):
        freeze_plan(run, first, previous=None)


def lines_of(run, plan):
    return freeze_plan(run, plan, previous=None).read_text().splitlines(keepends=True)


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_plan_with_missing_lines_is_refused(run, first, tmp_path, kept):
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(lines_of(run, first)[:kept]))
    with pytest.raises(CorruptionError, match=r"cut\.jsonl is no whole plan.*its grid again"):
        read_plan(path)


def test_plan_cut_inside_of_a_line_is_refused(run, first, tmp_path):
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(lines_of(run, first))[:-10])
    with pytest.raises(CorruptionError, match="no whole plan"):
        read_plan(path)


def test_a_bit_that_changes_anywhere_in_a_plan_is_corruption(run, first, tmp_path):
    content = freeze_plan(run, first, previous=None).read_bytes()
    for place in [*range(0, len(content), 97), len(content) - 1]:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path = tmp_path / f"{place}.jsonl"
        path.write_bytes(changed)
        with pytest.raises(CorruptionError, match="no whole plan"):
            read_plan(path)


@pytest.mark.parametrize(
    "text", ["[]", '"plan"', "{}", "null", "\x00", '{"format": "mtljobs-plan-1", "shards": 0}']
)
def test_file_that_is_no_plan_is_refused(tmp_path, text):
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(CorruptionError, match="no whole plan of the format mtljobs-plan-1"):
        read_plan(path)


def test_plan_of_another_format_is_refused(run, first, tmp_path):
    header, *shards = lines_of(run, first)
    path = tmp_path / "later.jsonl"
    later = json.dumps({**json.loads(header), "format": "mtljobs-plan-2"}) + "\n"
    path.write_text("".join([later, *shards]))
    with pytest.raises(CorruptionError, match="written by another release"):
        read_plan(path)


def test_every_line_is_json_that_any_reader_takes(run, first):
    header, *columns = [json.loads(line) for line in lines_of(run, first)]
    values = {key: column for line in columns for key, column in line.items()}
    assert values["name"] == [shard.name for shard in first.shards]
    last = first.shards[-2]
    assert [values["name"][position] for position in values["parents"][-2]] == list(last.parents)
    row = values["spec"]["rows"][values["spec"]["of"][-2]]
    assert dict(header["table"][position] for position in row) == last.spec


def test_settings_that_are_equal_numbers_of_other_types_stay_what_they_are(run, first):
    *others, last = first.shards
    values = (0, 0.0, False, 1, 1.0, True, None, "0")
    shards = [
        dataclasses.replace(others[0], name=f"shard-{index}", parents=(), spec={"key": value})
        for index, value in enumerate(values)
    ]
    odd = dataclasses.replace(
        first, cells=(), shards=(*shards, dataclasses.replace(last, parents=()))
    )
    read = read_plan(freeze_plan(run, odd, previous=None))
    assert [repr(shard.spec["key"]) for shard in read.shards[:-1]] == [repr(v) for v in values]
