from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mtljobs.models.resizing import enlarge, halve


def torchs_own(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)


def test_corners_stay_and_steps_are_a_third_between_two_values():
    # 2 x 2 becomes 4 x 4: rows at 0, 1/3, 2/3, 1 of the way from 0 to 3, columns from 0 to 6.
    features = torch.tensor([[0.0, 6.0], [3.0, 9.0]]).reshape(1, 1, 2, 2)
    expected = [[row + column for column in (0, 2, 4, 6)] for row in (0, 1, 2, 3)]
    torch.testing.assert_close(enlarge(features)[0, 0], torch.tensor(expected).float())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (9, 12), (18, 24), (36, 48), (144, 192)])
def test_values_and_gradients_are_torchs_own(size):
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(2, 3, *size, generator=generator)
    weights = torch.rand(2, 3, 2 * size[0], 2 * size[1], generator=generator)
    found = []
    for function in (enlarge, torchs_own):
        leaf = features.clone().requires_grad_()
        enlarged = function(leaf)
        (enlarged * weights).sum().backward()
        found.append((enlarged.detach(), leaf.grad))
    for ours, theirs in zip(*found, strict=True):
        # Gradients add up four weights of about a half: their rounding is that much larger.
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_parameters_learn_behind_features_that_were_enlarged_without_gradients():
    with torch.inference_mode():
        enlarge(torch.ones(1, 1, 3, 3))
    features = torch.ones(1, 1, 3, 3, requires_grad=True)
    enlarge(features).sum().backward()
    assert features.grad.sum().item() == pytest.approx(36.0)  # each of 36 outputs has weight 1


def test_layout_stays_where_no_gradient_is_asked_for():
    features = torch.rand(2, 3, 4, 6).contiguous(memory_format=torch.channels_last)
    enlarged = enlarge(features)
    assert enlarged.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(enlarged, enlarge(features.contiguous()), atol=1e-6, rtol=0)


class TestHalve:
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    def test_values_and_gradients_are_those_of_max_pooling(self, layout):
        generator = torch.Generator().manual_seed(3)
        features = torch.rand(2, 3, 8, 12, generator=generator).contiguous(memory_format=layout)
        weights = torch.rand(2, 3, 4, 6, generator=generator)
        found = []
        for function in (halve, lambda leaf: functional.max_pool2d(leaf, 2)):
            leaf = features.clone().requires_grad_()
            halved = function(leaf)
            (halved * weights).sum().backward()
            found.append((halved, leaf.grad))
        for ours, theirs in zip(*found, strict=True):
            assert torch.equal(ours, theirs)
        assert found[0][0].is_contiguous(memory_format=layout)

    def test_value_that_is_not_finite_stays_one(self):
        features = torch.zeros(1, 1, 2, 4)
        features[0, 0, 1, 2] = torch.nan
        assert halve(features)[0, 0, 0].isnan().tolist() == [False, True]
