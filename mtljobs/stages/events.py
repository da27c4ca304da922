"""TensorBoard event files: a training can be watched, and is none the worse if it cannot."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mtljobs.ledger.paths import create_folder
from mtljobs.settings.base import load

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_EVERY_S = 10

_log = logging.getLogger(__name__)


class EventFile:
    """Writes a training's history for TensorBoard while it grows; the first failure is the last.

    An attempt that goes on from a checkpoint withdraws what earlier ones wrote beyond it.

    Args:
        folder: Of the shard's event files; made when there is something to write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._broken = False

    def write(self, entry: Mapping[str, float]) -> None:
        """Write an entry of the history, or warn once that it cannot be done."""
        if self._broken:
            return
        try:
            self._write(entry)
        except Exception as error:  # whatever it is, the training is worth more
            self._broken = True
            _log.warning("no more TensorBoard events in %s: %s", self._folder, error)

    def _write(self, entry: Mapping[str, float]) -> None:
        iteration = int(entry["iteration"])
        if self._writer is None:
            self._writer = load("torch.utils.tensorboard:SummaryWriter")(
                create_folder(self._folder), purge_step=iteration, flush_secs=FLUSH_EVERY_S
            )
        for name, value in entry.items():
            if name != "iteration":
                self._writer.add_scalar(name, value, iteration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write out what waits; the training is over, whether or not that works."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.close()
