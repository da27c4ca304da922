"""IROF of a small dense network: against one image at a time, and bit by bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mtljobs.contracts import Explained
from mtljobs.explain.grad_cam import GradCAM
from mtljobs.explain.irof import IROF
from mtljobs.explain.maps import divide_by_max, upsample
from mtljobs.explain.superpixels import SLIC

TASKS = ("segmentation", "depth", "normals")


@dataclass
class Case:
    """What a stage has in hand of one image and task when it asks for curves."""

    predict: object
    score: object
    explained: Explained

    def curves(self, *, batch, groups=slice(None)):
        shown = replace(
            self.explained,
            masks=self.explained.masks[groups],
            maps=self.explained.maps[groups],
        )
        irof = IROF(epsilon=1e-6, order="stable", fill="drifting", batch=batch)
        return next(irof.curves(self.predict, self.score, [shown]))


@pytest.fixture(params=TASKS)
def case(request, net, tasks, image):
    """Grad-CAM of every group of one task of the small network."""
    name, task = request.param, tasks[request.param]
    seen = {}

    def evidence(images):
        prediction = net(images, tasks=(name,))[name]
        seen["clean"] = prediction.detach()
        seen["masks"] = task.group_masks(seen["clean"])
        return {name: task.evidence(prediction, seen["masks"])}

    images = torch.as_tensor(image)[None]
    cams = GradCAM(layer="trunk.2").maps(net, images, evidence=evidence)[name]
    maps, _ = divide_by_max(upsample(cams, (24, 32)))
    explained = Explained(
        image=images[0],
        clean=seen["clean"][0],
        masks=seen["masks"][0],
        maps=maps[0],
        segments=SLIC(n_segments=30, compactness=10.0).segments(image),
    )
    return Case(
        predict=lambda batch: net(batch, tasks=(name,))[name], score=task.score, explained=explained
    )


def one_at_a_time(case, group, order):
    """The curve by the definition: remove a superpixel, predict, score, and again."""
    current = case.explained.image.clone()
    scores = []
    for segment in [None, *order]:
        if segment is not None:
            grey = current.double().mean().float()
            current[:, torch.as_tensor(case.explained.segments == segment)] = grey
        with torch.no_grad():
            prediction = case.predict(current[None])
        score = case.score(
            prediction,
            clean=case.explained.clean[None],
            mask=case.explained.masks[group][None],
            group=torch.tensor([group]),
        )
        scores.append(score.item())
    return np.array(scores) / scores[0]


def test_curves_equal_removal_one_at_a_time(case):
    curves = case.curves(batch=7)
    fit = [group for group, curve in enumerate(curves) if curve.status == 1]
    assert fit
    for group in fit:
        means = [
            case.explained.maps[group].double().numpy()[case.explained.segments == segment].mean()
            for segment in range(case.explained.segments.max() + 1)
        ]
        assert curves[group].segment_score == pytest.approx(means)
        assert curves[group].order.tolist() == np.argsort(-np.array(means), kind="stable").tolist()
        expected = one_at_a_time(case, group, curves[group].order)
        assert curves[group].scores == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_every_curve_starts_at_one_and_moves(case):
    scores = [curve.scores for curve in case.curves(batch=16) if curve.status == 1]
    assert all(values[0] == 1.0 for values in scores)
    assert all(np.ptp(values) > 0.001 for values in scores)


def same_bits(one, other):
    return one.status == other.status and one.scores.tobytes() == other.scores.tobytes()


def test_bits_of_a_curve_do_not_depend_on_the_groups_that_share_its_batches(case):
    together = case.curves(batch=8)
    for group, curve in enumerate(together):
        index = torch.tensor([group])

        def score(prediction, *, clean, mask, group, own=index):
            return case.score(prediction, clean=clean, mask=mask, group=own.expand_as(group))

        (alone,) = replace(case, score=score).curves(batch=8, groups=index)
        assert same_bits(alone, curve)


def test_bits_of_a_prediction_depend_neither_on_its_place_nor_on_its_company(case):
    images = torch.rand(8, 3, 24, 32)
    images[4:, :, :12] = 0.4
    with torch.inference_mode():
        before = case.predict(images)
        moved = case.predict(images.flip(0)).flip(0)
        among_others = case.predict(torch.cat([images[:1], torch.rand(7, 3, 24, 32)]))
    assert torch.equal(before, moved)
    assert torch.equal(before[0], among_others[0])


def test_batch_size_changes_no_more_than_rounding(case):
    small, large = case.curves(batch=1), case.curves(batch=64)
    for one, other in zip(small, large, strict=True):
        assert one.status == other.status
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-5)
