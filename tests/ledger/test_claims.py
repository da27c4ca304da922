from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.ledger import claims
from mtljobs.ledger.claims import Claim
from mtljobs.ledger.files import create_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work" / "claims"


def claim_as(folder: Path, process: ProcessIdentity) -> Path:
    """The next claim, as another process would write it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{1 + len(list(folder.iterdir()))}.json"
    path.write_bytes(to_json(process.to_json()))
    return path


def acquire(folder: Path) -> Claim:
    claim = claims.acquire(folder)
    assert claim is not None
    return claim


def test_what_is_claimed_is_not_claimed_again_until_it_is_released(folder: Path) -> None:
    claim = acquire(folder)
    assert claims.acquire(folder) is None
    assert claims.is_held(folder)
    assert claims.find_holder(folder) == ProcessIdentity.current()
    claim.release()
    assert not claims.is_held(folder)
    assert acquire(folder).number == claim.number + 1


def test_the_claim_of_a_process_that_is_gone_is_taken_over_at_once(folder: Path) -> None:
    claim_as(folder, dataclasses.replace(ProcessIdentity.current(), started="0"))
    assert acquire(folder).number == 2


def test_a_claim_from_elsewhere_is_taken_over_after_five_minutes_of_silence(
    folder: Path, elsewhere: ProcessIdentity, silence: Callable[[Path], None]
) -> None:
    path = claim_as(folder, elsewhere)
    assert claims.acquire(folder) is None
    silence(path)
    assert acquire(folder).renew()


def test_a_claim_that_was_cut_short_is_held_until_it_is_silent(
    folder: Path, silence: Callable[[Path], None]
) -> None:
    folder.mkdir(parents=True)
    (folder / "1.json").write_bytes(b"")
    assert claims.acquire(folder) is None
    silence(folder / "1.json")
    assert acquire(folder).number == 2


def test_a_holder_that_slept_learns_that_it_was_replaced_and_harms_nobody(
    folder: Path, elsewhere: ProcessIdentity, silence: Callable[[Path], None]
) -> None:
    path = claim_as(folder, elsewhere)
    sleeper = Claim(folder, int(path.stem))
    silence(path)
    successor = acquire(folder)
    assert not sleeper.renew()
    sleeper.release()
    assert successor.renew()
    assert claims.is_held(folder)


@pytest.mark.parametrize("dead", [True, False])
def test_of_many_that_claim_at_once_one_succeeds(folder: Path, dead: bool) -> None:
    for _ in range(20):
        if dead:
            claim_as(folder, dataclasses.replace(ProcessIdentity.current(), started="0"))
        start = threading.Barrier(4)
        won: list[Claim] = []

        def take(start: threading.Barrier = start, won: list[Claim] = won) -> None:
            start.wait()
            claim = claims.acquire(folder)
            if claim is not None:
                won.append(claim)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        won[0].release()


def test_a_taker_that_was_overtaken_between_looking_and_taking_gets_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw 1 dead; meanwhile 2 took over, released, and 3 is at work."""
    claim_as(folder, dataclasses.replace(ProcessIdentity.current(), started="0"))

    def create_after_the_others(path: Path, content: bytes) -> bool:
        monkeypatch.setattr(claims, "create_file", create_file)
        acquire(folder).release()
        acquire(folder)
        return create_file(path, content)

    monkeypatch.setattr(claims, "create_file", create_after_the_others)
    assert claims.acquire(folder) is None
    assert claims._newest(folder) == 3
    assert claims.is_held(folder)


def test_a_number_that_was_cleared_away_meanwhile_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw an empty folder; meanwhile so many came and went that number 1 is free again."""

    def create_after_the_others(path: Path, content: bytes) -> bool:
        (folder / "7.json").write_bytes(to_json(ProcessIdentity.current().to_json()))
        return create_file(path, content)

    monkeypatch.setattr(claims, "create_file", create_after_the_others)
    assert claims.acquire(folder) is None
    assert claims.find_holder(folder) == ProcessIdentity.current()


def test_old_claims_do_not_pile_up(folder: Path) -> None:
    for _ in range(claims._KEPT + 20):
        acquire(folder).release()
    assert len(list(folder.iterdir())) == claims._KEPT + 1
    assert acquire(folder).number == claims._KEPT + 21


def test_a_claim_whose_folder_went_with_finished_work_is_over(folder: Path) -> None:
    claim = acquire(folder)
    shutil.rmtree(folder)
    assert not claim.renew()
    claim.release()
    assert not claims.is_held(folder)
    assert not folder.exists()
