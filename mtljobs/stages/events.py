"""TensorBoard event files: a training can be watched, and is none the worse if it cannot."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mtljobs.ledger.paths import create_folder

VERSION = "brain.Event:2"
"""What the first record of an event file says."""

_log = logging.getLogger(__name__)


class EventFile:
    """Writes a training's history for TensorBoard while it grows; the first failure is the last.

    An attempt that goes on from a checkpoint withdraws what earlier ones wrote beyond it.

    Not torch's SummaryWriter: it writes in a thread of its own, which dies loudly on a full disk.

    Args:
        folder: Of the shard's event files, one for each attempt that has something to write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._broken = False

    def write(self, entry: Mapping[str, float]) -> None:
        """Write an entry of the history, or warn once that it cannot be done."""
        if self._broken:
            return
        try:
            self._write(entry)
        except OSError as error:
            self._broken = True
            _log.warning("no more TensorBoard events in %s: %s", self._folder, error)

    def _write(self, entry: Mapping[str, float]) -> None:
        now, iteration = time.time(), int(entry["iteration"])
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in entry.items()
            if name != "iteration"
        ]
        records = [Event(wall_time=now, step=iteration, summary=Summary(value=values))]
        if self._path is None:
            # Readers take files in the order of their names, and know them by the middle part.
            self._path = create_folder(self._folder) / f"{time.time_ns()}.tfevents"
            start = SessionLog(status=SessionLog.START)
            records[:0] = [
                Event(wall_time=now, file_version=VERSION),
                Event(wall_time=now, step=iteration, session_log=start),
            ]
        with self._path.open("ab") as file:
            writer = RecordWriter(file)
            for record in records:
                writer.write(record.SerializeToString())
