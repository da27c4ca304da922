"""What a login node and a notebook have: mtljobs without torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
TORCH_FREE = next(
    contract["source_modules"]
    for contract in tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    if contract["type"] == "forbidden"
)
COMPUTE = (
    "jaxtyping", "quantus", "safetensors", "skimage", "torch", "torch_pruning", "torchmetrics",
    "torchvision",
)  # fmt: skip


@pytest.fixture
def run_light(tmp_path):
    """Runs code in a Python that cannot import the packages of `mtljobs[compute]`."""

    def run(code):
        hide = (
            "import sys\n"
            "class Hidden:\n"
            "    def find_spec(self, name, *_):\n"
            f"        if name.split('.')[0] in {COMPUTE!r}:\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Hidden())\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", hide + code],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout.split()

    return run


def test_environment_has_all_compute_packages_or_none():
    here = [name for name in COMPUTE if importlib.util.find_spec(name)]
    assert here in ([], list(COMPUTE))


@pytest.mark.parametrize("room", TORCH_FREE)
def test_every_module_of_the_room_imports_without_torch(room, run_light):
    imported = run_light(
        "import importlib, pkgutil\n"
        f"room = importlib.import_module({room!r})\n"
        "print(room.__name__)\n"
        f"for module in pkgutil.walk_packages(getattr(room, '__path__', ()), '{room}.'):\n"
        "    print(importlib.import_module(module.name).__name__)\n"
    )
    assert imported[0] == room


def test_every_shipped_grid_is_read_to_its_last_key_without_torch(run_light):
    names = run_light(
        "from mtljobs.plan.grids import find_grid, read_grid\n"
        "from mtljobs.plan.shipped import shipped_grids\n"
        "for name in shipped_grids():\n"
        "    print(read_grid(find_grid(name)).experiment[0].name)\n"
    )
    assert len(names) >= 2


def test_worker_is_pickled_without_torch(run_light):
    size = run_light(
        "import pickle\n"
        "from mtljobs.worker import run_shard\n"
        "assert pickle.loads(pickle.dumps(run_shard)) is run_shard\n"
        "print(len(pickle.dumps(run_shard)))\n"
    )
    assert int(size[0]) < 100  # a name, not code


def test_computing_without_torch_says_what_to_install(run_light):
    words = run_light(
        "from mtljobs.errors import MissingExtraError\n"
        "from mtljobs.settings import build\n"
        "from mtljobs.settings.pruning import NetSlim\n"
        "try:\n"
        "    build(NetSlim(name='netslim'))\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    assert "'mtljobs[compute]'" in " ".join(words)


def test_importing_mtljobs_loads_nothing_but_itself_and_still_offers_networks(run_light):
    names = run_light(
        "import mtljobs, sys\n"
        "print(*(name for name in sys.modules if name.startswith(('mtljobs', 'pydantic'))))\n"
        "assert callable(mtljobs.load_network)\n"
    )
    assert names == ["mtljobs"]
