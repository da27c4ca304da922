"""Whether a run's tables are those of the results that it has now."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.errors import CorruptionError, counted
from mtljobs.ledger.files import read_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.results.table_files import RECORDS, read_hashes, table_contents
from mtljobs.store.findings import Finding


def find_stale_tables(run: RunFolder) -> Iterator[Finding]:
    """Whether the tables rest on the records that are in the ledger; nothing where none are."""
    path = run.tables / RECORDS
    anew = f"`mtljobs reduce {run.name}` writes them anew"
    if not run.tables.is_dir() or not any(run.tables.iterdir()):
        return
    try:
        used = read_json(path)
    except FileNotFoundError:
        detail = f"expected the hashes of the records that the tables rest on, found none: {anew}"
        yield Finding("missing file", path, None, detail)
        return
    except CorruptionError as error:
        yield Finding("changed tables", path, None, f"{error}; {anew}")
        return
    now = read_hashes(run)
    others = sorted(name for name in used.keys() | now if used.get(name) != now.get(name))
    if others:
        more = ", ..." if len(others) > 3 else ""
        yield Finding(
            "stale tables",
            path,
            None,
            f"expected tables of the ledger ({counted(len(now), 'record')}), found {len(others)} "
            f"added, changed or taken since ({', '.join(others[:3])}{more}): {anew}",
        )


def find_changed_tables(run: RunFolder) -> Iterator[Finding]:
    """Tables whose bytes are not what the store gives now; to be asked of an intact store alone."""
    if not (run.tables / RECORDS).is_file():
        return
    anew = f"`mtljobs reduce {run.name}` writes it anew"
    for name, expected in table_contents(run, allow_partial=True).items():
        path = run.tables / name
        if not path.is_file():
            detail = f"expected {len(expected)} bytes, found nothing: {anew}"
            yield Finding("missing file", path, None, detail)
        elif path.read_bytes() != expected:
            detail = f"expected what the store gives, found other bytes: {anew}"
            yield Finding("changed tables", path, None, detail)
