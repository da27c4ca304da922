"""Every answer of docs/analysis.md, and the example of docs/format.md, on runs of some shapes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import open_run
from mtljobs.results.run import task_nodes

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"
OPENING = "Ten questions to a finished run"


@pytest.fixture(scope="module")
def like_the_demo(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Experiments of different tasks and sparsities, one seed, and a group that no image has."""
    disparse, hrank = synthetic.make_layouts().values()
    layouts = {
        "deeplab-disparse": cut(disparse, "segmentation", "normals"),
        "segnet-hrank": cut(hrank, "segmentation", "depth"),
    }
    return write(synthetic, layouts, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def like_the_smoke_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two networks."""
    layout = cut(synthetic.make_layouts()["segnet-hrank"], *synthetic.TASKS)
    layouts = {"smoke": dataclasses.replace(layout, sparsities=(0.0, 0.5))}
    return write(synthetic, layouts, tmp_path_factory.mktemp("smoke"))


def cut(layout: ExperimentLayout, *tasks: str) -> ExperimentLayout:
    """A layout with one seed and a choice of its tasks."""
    chosen = {task: layout.tasks[task] for task in tasks}
    return dataclasses.replace(layout, seeds=(0,), tasks=chosen)


def write(synthetic, layouts: dict[str, ExperimentLayout], folder: Path) -> RunFolder:
    """A run in which no image has the first group of any task."""
    arrays = synthetic.make_arrays(layouts)
    for node in arrays.values():
        if "status" in node:
            node["status"][..., 0] = 2
            node["irof"][..., 0, :] = np.nan
    return synthetic.write_run(RunFolder(folder / "run"), layouts=layouts, arrays=arrays)


def read_blocks(document: str) -> dict[str, list[str]]:
    """The code of every section that has any, by its heading."""
    text = (DOCUMENTS / document).read_text(encoding="utf-8")
    sections = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)[1:]
    blocks = {
        title: re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }
    return {title: codes for title, codes in blocks.items() if codes}


def ask_everything(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> dict[str, tuple[str, ...]]:
    """What each block of the analysis prints where it follows the opening lines, by its heading."""
    blocks = read_blocks("analysis.md")
    (opening,) = blocks.pop(OPENING)
    names: dict[str, object] = {}
    exec(opening.replace('"demo"', repr(str(run.root))), names)  # noqa: S102 (our own document)
    capsys.readouterr()

    def ask(code: str) -> str:
        exec(code, dict(names))  # noqa: S102
        return capsys.readouterr().out

    return {title: tuple(map(ask, codes)) for title, codes in blocks.items()}


@pytest.mark.parametrize("shape", ["stored_run", "like_the_demo", "like_the_smoke_run"])
def test_every_question_is_answered_by_itself_and_never_with_nan(
    shape: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ask_everything(request.getfixturevalue(shape), capsys)
    assert [title.split(".")[0] for title in answers] == [str(n) for n in range(1, 11)]
    for title, printed in answers.items():
        assert all(map(str.strip, printed)), title
        assert not re.search(r"\bnan\b", " ".join(printed).lower()), (title, printed)


def test_questions_that_one_seed_cannot_answer_say_so(
    stored_run: RunFolder, like_the_demo: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_seeds, of_one = (
        {title.split(".")[0]: printed[0] for title, printed in ask_everything(run, capsys).items()}
        for run in (stored_run, like_the_demo)
    )
    assert of_two_seeds["3"].startswith("{0.0: 0.")
    assert of_one["3"] == "one seed: no spread to be seen\n"
    assert all(" of 6 networks: rho " in line for line in of_two_seeds["5"].splitlines())
    assert all(
        line.endswith(" of 3 networks: too few, or all alike") for line in of_one["5"].splitlines()
    )


@pytest.mark.parametrize("shape", ["stored_run", "like_the_demo", "like_the_smoke_run"])
def test_the_example_of_the_format_reads_every_task_of_every_experiment(
    shape: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    run: RunFolder = request.getfixturevalue(shape)
    ((example,),) = read_blocks("format.md").values()
    exec(example.replace("runs/demo/store.zarr", str(run.store)), {})  # noqa: S102
    *areas, status = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()[:2]) for line in areas] == [
        place for place, _ in task_nodes(open_run(run.root))
    ]
    assert status in {"ok", "group_empty"}
