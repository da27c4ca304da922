"""A parent that has imported the supervisor and forks one for each line that it is given.

A fork is there in milliseconds, an interpreter of its own in most of a second. Reads JSON lines
{"environment": ..., "arguments": ..., "output": ...}; answers the pid, and the exit status at its
end.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from mtljobs.cluster import requeue, supervisor


def main() -> None:
    requeue.PAUSE_S = 0.02
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_supervise(json.loads(line)))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _supervise(order: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(order["environment"])
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    return supervisor.main(order["arguments"])


if __name__ == "__main__":
    main()
