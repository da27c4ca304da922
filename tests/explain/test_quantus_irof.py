"""The Quantus engine: the curves of ours, item by item, from Quantus's own calls of the network."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch
from quantus.metrics.faithfulness import irof
from torch import nn

from mtljobs.contracts import Explained
from mtljobs.errors import GridError, UserError
from mtljobs.explain.irof import IROF
from mtljobs.explain.quantus_irof import QuantusIROF
from mtljobs.explain.superpixels import SLIC

OK = 1


@pytest.fixture
def engine():
    return QuantusIROF(epsilon=1e-6, batch=4)


@pytest.fixture
def ours():
    return IROF(epsilon=1e-6, order="stable", fill="drifting", batch=4)


@pytest.fixture
def explain(net, tasks, image):
    """Makes (predict, score, explained) of a task; its groups are thirds of the prediction."""

    def make(task):
        shown = torch.tensor(image)

        def predict(images):
            return net(images, (task,))[task]

        clean = predict(shown[None])[0].detach()
        masks = torch.zeros(3, *clean.shape[1:], dtype=torch.bool)
        for mask, rows in zip(masks, torch.arange(24).chunk(3), strict=True):
            mask[rows] = True
        # Halves are 0, so that many superpixels tie.
        maps = torch.rand(3, 24, 32).sub(0.5).relu()
        maps[:, :12] = 0
        segments = SLIC(n_segments=100, compactness=10.0).segments(image)
        return predict, tasks[task].score, Explained(shown, clean, masks, maps, segments)

    return make


@pytest.mark.parametrize("task", ["segmentation", "depth", "normals"])
def test_curves_are_those_of_our_engine(engine, ours, explain, task):
    predict, score, explained = explain(task)
    [theirs] = engine.curves(predict, score, [explained])
    [expected] = ours.curves(predict, score, [explained])
    assert {curve.status for curve in theirs} <= {OK, 5}
    assert OK in {curve.status for curve in theirs}
    for found, wanted in zip(theirs, expected, strict=True):
        assert found.status == wanted.status
        assert found.order.tolist() == wanted.order.tolist()
        assert found.segment_score.tolist() == wanted.segment_score.tolist()
        assert found.scores == pytest.approx(wanted.scores, rel=1e-5, nan_ok=True)


def test_network_is_asked_for_one_image_at_a_time_and_the_clean_one_first(engine, explain):
    predict, score, explained = explain("depth")
    asked = []

    def watched(images):
        asked.append(images)
        return predict(images)

    alone = dataclasses.replace(explained, masks=explained.masks[:1], maps=explained.maps[:1])
    [[curve]] = engine.curves(watched, score, [alone])
    assert {len(images) for images in asked} == {1}
    assert len(asked) == len(curve.order) + 1
    assert torch.equal(asked[0][0], explained.image)


def spoil_map(explained):
    explained.maps[1, 3, 3] = torch.nan


def empty_map(explained):
    explained.maps[1] = 0


def empty_group(explained):
    explained.masks[1] = False


@pytest.mark.parametrize(("spoil", "status"), [(spoil_map, 4), (empty_map, 3), (empty_group, 2)])
def test_item_that_fails_leaves_the_others_bit_for_bit_as_they_were(engine, explain, spoil, status):
    predict, score, explained = explain("depth")
    [before] = engine.curves(predict, score, [explained])
    spoil(explained)
    [after] = engine.curves(predict, score, [explained])
    assert [curve.status for curve in after] == [OK, status, OK]
    for group in (0, 2):
        assert after[group].scores.tolist() == before[group].scores.tolist()


def test_output_that_stops_being_finite_costs_its_own_item(engine, explain):
    predict, score, explained = explain("depth")
    calls = iter(range(10_000))
    steps = int(explained.segments.max()) + 2

    def breaks_in_the_second_item(images):
        broken = next(calls) == steps + 5
        return predict(images) * (torch.inf if broken else 1)

    [curves] = engine.curves(breaks_in_the_second_item, score, [explained])
    assert [curve.status for curve in curves] == [OK, 7, OK]
    assert np.isnan(curves[1].scores).all()


def test_low_clean_score_costs_no_call_of_the_network(explain):
    _, score, explained = explain("depth")
    [curves] = QuantusIROF(epsilon=2.0, batch=1).curves(pytest.fail, score, [explained])
    assert [curve.status for curve in curves] == [5, 5, 5]


def test_single_superpixel_gives_a_status_not_the_assertion_of_quantus(engine, explain):
    _, score, explained = explain("depth")
    whole = dataclasses.replace(explained, segments=np.zeros((24, 32), dtype=np.uint16))
    [curves] = engine.curves(pytest.fail, score, [whole])
    assert [curve.status for curve in curves] == [6, 6, 6]


def test_superpixels_that_quantus_would_not_make_are_refused(engine, explain, image):
    predict, score, explained = explain("depth")
    few = SLIC(n_segments=12, compactness=10.0).segments(image)
    with pytest.raises(GridError, match="asks SLIC for 100 of compactness 10"):
        list(engine.curves(predict, score, [dataclasses.replace(explained, segments=few)]))


def test_softmax_of_the_users_network_stays(engine, ours, explain):
    # Quantus takes the last softmax out of a network that it can look into.
    _, score, explained = explain("segmentation")
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softmax(dim=1)).eval()
    clean = network(explained.image[None])[0].detach()
    explained = dataclasses.replace(explained, clean=clean)
    [theirs] = engine.curves(network, score, [explained])
    [expected] = ours.curves(network, score, [explained])
    for found, wanted in zip(theirs, expected, strict=True):
        assert found.status == OK
        assert found.scores == pytest.approx(wanted.scores, rel=1e-5)


def test_quantus_that_computes_something_else_is_refused(engine, explain, monkeypatch):
    class Halved(irof.IROF):
        def __call__(self, **given):
            return [area / 2 for area in super().__call__(**given)]

    monkeypatch.setattr(irof, "IROF", Halved)
    predict, score, explained = explain("depth")
    with pytest.raises(UserError, match="not the Quantus that mtljobs was tested with"):
        list(engine.curves(predict, score, [explained]))


def test_quantus_keeps_no_image_or_network_alive(engine, explain):
    predict, score, explained = explain("depth")
    list(engine.curves(predict, score, [explained]))
    left = weakref.ref(predict), weakref.ref(explained)
    del predict, explained
    gc.collect()
    assert [reference() for reference in left] == [None, None]
