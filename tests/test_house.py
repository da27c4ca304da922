"""Rules of the house that neither ruff nor import-linter can prove."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mtljobs

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "mtljobs"
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def modules(folder):
    return sorted(folder.rglob("*.py"))


def imported(tree):
    """Modules that the import statements of a piece of code name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module


def type_checking_blocks(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from node.body


def pinned(lock):
    """Name -> versions that a lock file pins; more than one where Pythons differ."""
    versions = {}
    text = (CHECKOUT / f"containers/{lock}.lock").read_text()
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def test_ledger_needs_the_standard_library_alone():
    own = ("mtljobs.ledger", "mtljobs.contracts", "mtljobs.errors", "mtljobs.settings")
    others = {
        (path.name, name)
        for path in modules(PACKAGE / "ledger")
        for name in imported(ast.parse(path.read_text()))
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(own)
    }
    assert others == set()


def test_only_third_party_names_are_imported_for_type_checking():
    # Import contracts do not look there, so a room could reach another one unseen.
    own = {
        (str(path.relative_to(PACKAGE)), name)
        for path in modules(PACKAGE)
        for block in type_checking_blocks(ast.parse(path.read_text()))
        for name in imported(block)
        if name.split(".")[0] == "mtljobs"
    }
    assert own == set()


@pytest.mark.parametrize("room", ROOMS)
def test_readme_captions_the_room(room):
    tree = (CHECKOUT / "README.md").read_text()
    assert re.search(rf"^  {room}/ +\S", tree, flags=re.MULTILINE)


def test_every_folder_of_tests_is_a_room_or_says_what_it_proves():
    rooms = {path.stem for path in PACKAGE.iterdir()}
    others = {"archives", "contracts", "end_to_end", "golden", "light"}
    folders = {path.parent.name for path in (CHECKOUT / "tests").glob("*/*.py")}
    assert folders - rooms - others == set()


@pytest.mark.parametrize(
    ("lock", "extras"), [("light", ()), ("compute", ("compute",)), ("dev", ("compute", "dev"))]
)
def test_lock_pins_what_pyproject_asks_for(lock, extras):
    project = PYPROJECT["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    versions = pinned(lock)
    for requirement in map(Requirement, asked):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement} is not in containers/{lock}.lock: make lock"
        assert all(map(requirement.specifier.contains, found)), f"{requirement}: make lock"


@pytest.mark.parametrize("lock", ["light", "compute", "dev", "oracle"])
def test_lock_pins_by_hash_and_names_no_registry(lock):
    text = (CHECKOUT / f"containers/{lock}.lock").read_text()
    pins = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text


def test_locks_agree_on_every_version():
    dev = pinned("dev")
    for lock in ("light", "compute"):
        assert pinned(lock).items() <= dev.items()


def test_version_is_the_same_wherever_it_stands():
    citation = (CHECKOUT / "CITATION.cff").read_text()
    assert PYPROJECT["project"]["version"] == mtljobs.__version__
    assert re.search(r"^version: (.*)$", citation, flags=re.MULTILINE)[1] == mtljobs.__version__
