"""The command line: parse, call, print."""

from mtljobs.cli.app import main

__all__ = ["main"]
