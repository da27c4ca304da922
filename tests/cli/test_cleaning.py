from __future__ import annotations

import pytest

from mtljobs.cli import show_cleaning


@pytest.fixture
def leftover(submitted):
    """A submitted run with a killed attempt's staging."""
    run = submitted()
    folder = run.staging / "explain-study-0-0-0-aaaaaaaaaaaa.1"
    folder.mkdir(parents=True)
    (folder / "chunk").write_bytes(bytes(2_000_000))
    return folder


def test_without_a_kind_it_shows_and_removes_nothing(mtljobs, leftover):
    answer = mtljobs("clean study")
    assert answer.code == 0
    (line,) = [line for line in answer.out.splitlines() if line.startswith("leftovers")]
    assert "2 MB" in line
    assert leftover.is_dir()
    rooms = {room["kind"]: room for room in mtljobs("clean study --json").json}
    assert rooms["leftovers"] == {"kind": "leftovers", "files": 2, "size": 2_000_000}


def test_without_a_terminal_it_wants_yes(mtljobs, leftover):
    answer = mtljobs("clean study --remove leftovers")
    assert (answer.code, "add --yes" in answer.err) == (2, True)
    assert leftover.is_dir()
    assert mtljobs("clean study --remove leftovers --yes").code == 0
    assert not leftover.exists()


@pytest.mark.parametrize("agrees", [True, False])
def test_a_user_is_asked(mtljobs, leftover, monkeypatch, agrees):
    monkeypatch.setattr(show_cleaning, "agrees", lambda room: agrees)
    answer = mtljobs("clean study --remove leftovers")
    assert answer.code == 0
    assert leftover.exists() is not agrees
    assert ("nothing was removed" in answer.out) is not agrees


def test_a_kind_that_does_not_exist_is_answered_with_those_that_do(mtljobs, submitted):
    submitted()
    answer = mtljobs("clean study --remove leftover")
    assert (answer.code, "did you mean 'leftovers'?" in answer.err) == (2, True)
