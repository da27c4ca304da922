"""One number from three: our engine, Quantus 0.6 through ours, and Quantus 0.5.3 by itself."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtljobs.explain.agreement import curve_deviations, quantus_score
from mtljobs.explain.irof import IROF
from mtljobs.explain.quantus_irof import QuantusIROF

CHECKOUT = Path(__file__).parents[2]
ORACLE = CHECKOUT / ".oracle" / "quantus-0.5.3"
SCRIPTS = Path(__file__).with_name("oracle")
CASES = {
    "classifier, random": ("classifier", False, "segmentation"),
    "classifier, trained": ("classifier", True, "segmentation"),
    "DeepLab, random": ("deeplab", False, "depth"),
    "DeepLab, trained, segmentation": ("deeplab", True, "segmentation"),
    "DeepLab, trained, depth": ("deeplab", True, "depth"),
    "DeepLab, trained, normals": ("deeplab", True, "normals"),
}


@pytest.fixture(scope="module")
def cases():
    """The items by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        made = importlib.import_module("cases")
        return {
            name: made.make_case(architecture, trained=trained, task=task)
            for name, (architecture, trained, task) in CASES.items()
        }


def curve_of(engine, case):
    [curves] = engine.curves(case.predict, case.score, [case.explained])
    assert curves[case.group].status == 1
    return curves[case.group]


@pytest.fixture(scope="module")
def ours(cases):
    engine = IROF(epsilon=1e-6, order="stable", fill="drifting", batch=16)
    return {name: curve_of(engine, case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def oracle(cases, ours, tmp_path_factory):
    """What Quantus 0.5.3 says of each item: the area, and the scores that it asked for."""
    if not (ORACLE / "ready").is_file():
        pytest.skip(f"Quantus 0.5.3 is not in {ORACLE}: make test installs it")
    folder = tmp_path_factory.mktemp("oracle")
    written = [case.write(folder / name, ours[name].order) for name, case in cases.items()]
    script = SCRIPTS / "quantus_053.py"
    subprocess.run([sys.executable, script, ORACLE, *written], check=True, cwd=folder)
    return {case.name: np.load(case / "scores.npz") for case in written}


@pytest.mark.parametrize("name", CASES)
def test_our_engine_agrees_with_quantus_06(cases, ours, name):
    theirs = curve_of(QuantusIROF(epsilon=1e-6, batch=16), cases[name])
    assert ours[name].order.tolist() == theirs.order.tolist()
    assert curve_deviations(ours[name], theirs).max() <= 1e-5
    assert quantus_score(ours[name]) == pytest.approx(quantus_score(theirs), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_our_engine_agrees_with_quantus_053_unmodified(ours, oracle, name):
    scores = oracle[name]["scores"]
    theirs = dataclasses.replace(ours[name], scores=scores / scores[0])
    assert curve_deviations(ours[name], theirs).max() <= 1e-5
    assert quantus_score(ours[name]) == pytest.approx(oracle[name]["area"].item(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_curves_that_are_compared_are_no_constants(ours, name):
    assert np.ptp(ours[name].scores) > 0.005
