"""The command line: parse, call, print."""

import gc
import os


def main() -> None:
    """Run the command line."""
    # What a command loads and reads lives until it ends, and is much. Python would look for what
    # died among it a thousand times, and once more at the end, which takes as long as all the rest.
    gc.set_threshold(100_000)
    # pydantic would read the metadata of every installed package, to find plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from mtljobs.cli.app import main as run

    try:
        run()
    finally:
        gc.freeze()


__all__ = ["main"]
