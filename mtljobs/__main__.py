"""`python -m mtljobs`: the command line."""

from mtljobs.cli import main

if __name__ == "__main__":
    main()
