"""Whether a run's tables are those of the results that it has now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtljobs.errors import CorruptionError, counted
from mtljobs.ledger.attempts import read_shard
from mtljobs.ledger.files import read_file, read_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.results.table_files import RECORDS, read_hashes, table_contents
from mtljobs.store.file_check import try_hash
from mtljobs.store.findings import Finding
from mtljobs.store.inventory import list_folder
from mtljobs.store.sources import FolderSource
from mtljobs.store.unreadable import unreadable


def find_changed_tables(run: RunFolder) -> Iterator[Finding]:
    """Tables that are not as they were written, or of other records than the ledger's.

    Nothing where there are none, and no reduction says that it wrote any.
    """
    path = run.tables / RECORDS
    anew = f"`mtljobs reduce {run.name}` writes them anew"
    try:
        said = read_json(path)
        used, tables = said["records"], said["tables"]
    except FileNotFoundError:
        expected = "the hashes of the records that the tables rest on"
        if not list_folder(run.tables):
            expected = "the tables that the reduction wrote" if _was_reduced(run) else ""
        if expected:
            detail = f"expected {expected}, found none: {anew}"
            yield Finding("missing file", path, None, detail)
        return
    except (CorruptionError, LookupError, TypeError) as error:
        detail = f"expected the hashes of records and tables, found that {error!r}; {anew}"
        yield Finding("changed tables", path, None, detail)
        return
    except OSError as error:
        yield unreadable("changed tables", error)
        return
    yield from _find_changed(run, tables)
    try:
        now = read_hashes(run)
    except OSError:  # of a record that cannot be read, and is a finding itself
        return
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


def _was_reduced(run: RunFolder) -> bool:
    """Whether an attempt at the reduction is on record as done; `mtljobs reduce` leaves none."""
    try:
        return any(attempt.state == "done" for attempt in read_shard(run.attempts, "reduce"))
    except OSError:  # of attempts that cannot be read, and are a finding themselves
        return False


def _find_changed(run: RunFolder, hashes: Mapping[str, str]) -> Iterator[Finding]:
    """Tables that are not as they were written."""
    anew = f"`mtljobs reduce {run.name}` writes it anew"
    for name, sha256 in sorted(hashes.items()):
        path = run.tables / name
        if not path.is_file():
            detail = f"expected a table, found nothing: {anew}"
            yield Finding("missing file", path, None, detail)
        elif (found := try_hash(FolderSource(run.tables), name)) != sha256:
            detail = f"expected sha256 {sha256}, found {found}: {anew}"
            yield Finding("changed tables", path, None, detail)


def find_wrong_tables(run: RunFolder) -> Iterator[Finding]:
    """Tables that the store does not give now; to be asked where nothing else is wrong."""
    if not (run.tables / RECORDS).is_file():
        return
    for name, expected in table_contents(run, allow_partial=True).items():
        path = run.tables / name
        # An earlier release may have written fewer tables.
        if not path.is_file() or read_file(path) != expected:
            detail = (
                f"expected what the store gives, found other bytes or none: `mtljobs reduce "
                f"{run.name}` writes it anew"
            )
            yield Finding("changed tables", path, None, detail)
