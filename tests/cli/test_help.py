from __future__ import annotations

import re
import subprocess
import sys

import pytest

import mtljobs as package

SAID = {
    "": "Begin with mtljobs submit --grid demo",
    "data": "Data sets that a grid may use",
    "data prepare": "Read a folder of images once",
    "data check": "Say all that is wrong with a folder of images",
    "data show": "Draw an image with its targets",
    "image": "The container image that shards run in",
    "image build": "Build the image from a checkout",
    "image check": "Say whether an image fits the mtljobs that submits",
    "plan": "Show what submitting a grid would compute; writes nothing",
    "submit": "Compute what a grid asks for and the run does not have yet",
    "status": "a bar per stage, what runs, what failed and why",
    "wait": "Wait until a run is complete",
    "list": "List the runs",
    "resume": "Go on with a run that was stopped",
    "cancel": "Stop a run",
    "logs": "Print what a shard's attempt wrote",
    "shard": "Run one shard here",
    "reduce": "write the tables",
    "report": "Write the page of figures and tables",
    "verify": "Look whether a run's results are those that were computed",
    "init": "Ask this cluster what it has",
    "doctor": "Look whether shards would run on this cluster",
    "compare-engines": "Compute some of a run's curves with Quantus too",
}

OF_NO_WORKSPACE = {"init", "", "data", "data check", "image", "image build", "image check"}


def words(text):
    """Text without the frame around it and the breaks in it."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


@pytest.mark.parametrize("command", SAID)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_says_what_the_command_does(mtljobs, command, flag):
    answer = mtljobs(f"{command} {flag}")
    assert answer.code == 0
    assert SAID[command] in words(answer.out)


@pytest.mark.parametrize("command", [name for name in SAID if name not in OF_NO_WORKSPACE])
def test_every_command_may_be_told_its_workspace(mtljobs, command):
    help_page = words(mtljobs(f"{command} --help").out)
    assert "--workspace -w" in help_page
    assert "$MTLJOBS_WORKSPACE, or ./runs" in help_page


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "status",
        "list",
        "data prepare",
        "data check",
        "image check",
        "compare-engines",
        "doctor",
        "verify",
    ],
)
def test_answers_that_programs_read_come_as_json(mtljobs, command):
    assert "--json" in mtljobs(f"{command} --help").out


def test_main_page_lists_every_command_and_the_exit_codes(mtljobs):
    text = words(mtljobs("--help").out)
    for command in SAID:
        assert f" {command.partition(' ')[0]} " in f" {text} "
    assert "Exit codes: 0 complete, 1 failed shards, 2 usage, 3 incomplete." in text


def test_no_command_at_all_shows_the_same_page(mtljobs):
    assert words(mtljobs("").out) == words(mtljobs("--help").out)


def test_version_is_that_of_the_package(mtljobs):
    assert mtljobs("--version").out.strip() == package.__version__


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        ("--help", ("mtljobs.cluster", "mtljobs.settings", "numpy", "pydantic", "submitit")),
        ("status", ("mtljobs.settings.grid", "numpy", "submitit")),
        ("plan --grid study.toml", ("numpy", "zarr", "xarray")),
    ],
)
def test_command_loads_nothing_that_it_does_not_need(submitted, tmp_path, command, spared):
    submitted()
    code = (
        "import sys\n"
        "from mtljobs.cli import main\n"
        f"sys.argv = ['mtljobs', *{command.split()}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('loaded:', *(name for name in {spared} if name in sys.modules))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.stdout.splitlines()[-1] == "loaded:", answer.stderr
