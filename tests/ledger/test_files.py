from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mtljobs.errors import CorruptionError
from mtljobs.ledger import files


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_replaced_file_holds_the_new_content_and_nothing_is_left_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    files.replace_file(path, b"old and longer")
    files.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.json"]


def test_a_write_that_dies_before_its_rename_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    path = tmp_path / "a.json"
    files.replace_file(path, b"old")

    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        files.replace_file(path, b"new", aside=aside)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.json", "aside"]


def test_of_many_that_create_a_file_one_succeeds(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    won = []

    def create(content: bytes) -> None:
        start.wait()
        if files.create_file(tmp_path / "claim", content):
            won.append(content)

    threads = [threading.Thread(target=create, args=(b"%d" % index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "claim").read_bytes() == won[0]
    assert names_in(tmp_path) == ["claim"]


def test_where_hard_links_are_missing_creation_is_still_exclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert files.create_file(tmp_path / "claim", b"first")
    assert not files.create_file(tmp_path / "claim", b"second")
    assert (tmp_path / "claim").read_bytes() == b"first"
    assert names_in(tmp_path) == ["claim"]


def test_a_link_that_succeeded_but_was_reported_as_taken_counts_as_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_twice(self: Path, target: Path) -> None:
        os.link(target, self)
        raise FileExistsError

    monkeypatch.setattr(Path, "hardlink_to", link_twice)
    assert files.create_file(tmp_path / "claim", b"mine")


def test_json_has_the_same_bytes_for_the_same_value(tmp_path: Path) -> None:
    assert files.to_json({"b": 1, "a": [0.5]}) == files.to_json({"a": [0.5], "b": 1})
    (tmp_path / "a.json").write_bytes(files.to_json({"b": 1, "a": [0.5]}))
    assert files.read_json(tmp_path / "a.json") == {"a": [0.5], "b": 1}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"])
def test_broken_json_names_the_file_and_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=r"broken\.json.*Move the file away"):
        files.read_json(path)


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.hash_file(tmp_path / "a") == expected


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files.sync_tree(tmp_path / "a")
    files.remove_tree(tmp_path / "a")
    files.remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "mine" / "b").mkdir(parents=True)
    (tmp_path / "a").symlink_to(tmp_path / "mine")
    files.remove_tree(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "b").is_dir()
