"""The command line: parse, call, print."""

import gc


def main() -> None:
    """Run the command line."""
    # What a command loads and reads lives until it ends, and is much. Python would look for what
    # died among it a thousand times, which takes as long as all the rest.
    gc.set_threshold(100_000)
    from mtljobs.cli.app import main as run

    run()


__all__ = ["main"]
