from __future__ import annotations

from pathlib import Path

import pytest

from mtljobs.errors import CorruptionError
from mtljobs.store.sources import FolderSource, check_file

# FIPS 180-2, appendix B.1: SHA-256 of "abc".
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"abc")
    return FolderSource(tmp_path)


def test_a_file_is_checked_by_length_and_by_content(source: FolderSource) -> None:
    check_file(source, "deep/a", sha256=ABC, size=3)
    for content in (b"abd", b"abcd", b""):
        source.path("deep/a").write_bytes(content)
        with pytest.raises(CorruptionError, match="deep/a"):
            check_file(source, "deep/a", sha256=ABC, size=3)
    source.path("deep/a").unlink()
    with pytest.raises(CorruptionError, match="missing"):
        check_file(source, "deep/a", sha256=ABC, size=3)


def test_a_part_of_a_file_is_what_a_slice_of_its_bytes_is(source: FolderSource) -> None:
    for part in (slice(1, 2), slice(1, None), slice(-2, None), slice(0, 9), slice(None)):
        assert source.read("deep/a", part) == b"abc"[part]


def test_a_folder_has_files_and_no_folders(source: FolderSource, tmp_path: Path) -> None:
    assert list(source.names()) == ["deep/a"]
    assert (source.size("deep/a"), source.size("deep"), source.size("deep/a/b")) == (3, None, None)
    assert list(FolderSource(tmp_path / "none").names()) == []
