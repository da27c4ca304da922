"""What a worker wrote last, from the output file of the job."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 4000


@dataclass(frozen=True)
class JobOutput:
    """The file that this process and its children write to, from some moment on.

    Attributes:
        begin: Its size at that moment, as it also holds what earlier attempts of the job wrote.
    """

    begin: int

    @classmethod
    def now(cls) -> JobOutput:
        """What will be written from now on."""
        return cls(os.fstat(1).st_size)

    def tail(self) -> str:
        """The last of it; nothing where the output is no file."""
        if not stat.S_ISREG(os.fstat(1).st_mode):
            return ""
        with Path("/proc/self/fd/1").open("rb") as file:
            file.seek(max(self.begin, os.fstat(1).st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
