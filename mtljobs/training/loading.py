"""The processes that read images beside a training."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from mtljobs.contracts import Batch, StopFlag
from mtljobs.errors import StopRequested
from mtljobs.training.order import EpochBatches, EpochSamples, collate


def load_batches(
    samples: EpochSamples,
    batches: EpochBatches,
    *,
    workers: int,
    device: torch.device,
    stop: StopFlag,
) -> Iterator[Batch]:
    """The batches in their order, on the device, until told to stop.

    Args:
        workers: Processes that load; 0 loads in this one.

    Raises:
        StopRequested: `stop` said so.
        Exception: Whatever reading a sample raised.
    """
    loader: DataLoader[Batch | Exception] = DataLoader(
        samples,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        # Not fork: this process has a thread that keeps the heartbeat.
        multiprocessing_context="forkserver" if workers else None,
        worker_init_fn=_ignore_signals,
        # Of its own: a loader that starts again, after a resume, draws from nobody else's.
        generator=torch.Generator(),
        # A copy from ordinary memory would wait until the GPU has done all that was issued.
        pin_memory=device.type == "cuda",
    )
    for iteration, batch in enumerate(loader, start=batches.start):
        if stop():
            raise StopRequested(f"stopped before iteration {iteration}")
        if isinstance(batch, Exception):
            raise batch
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def _ignore_signals(worker: int) -> None:
    """A loader worker dies with its parent, not with the notice that its parent acts on."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
