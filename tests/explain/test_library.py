"""Grad-CAM and IROF as a library: the examples of the docs, and what a user may get wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mtljobs.explain import grad_cam, irof

DOCS = Path(__file__).parents[2] / "docs" / "explain.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)


class Brightness(nn.Module):
    """Answers with the mean of each channel."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


MODEL = Brightness().eval()


def of_group(prediction, *, group, **_):
    return prediction[torch.arange(len(group)), group]


@pytest.fixture
def images():
    """One channel high, one low, one between, in four columns that differ."""
    columns = torch.tensor([8.0, 4.0, 2.0, 2.0])
    return torch.stack([columns, columns / 2, columns + 1]).view(1, 3, 1, 4).repeat(3, 1, 1, 1)


@pytest.fixture
def segments():
    return np.array([[[0, 0, 1, 2]]] * 3)


@pytest.fixture
def maps():
    return torch.tensor([1.0, 3.0, 3.0, 1.0]).expand(3, 2, 1, 4)


@pytest.mark.parametrize("example", EXAMPLES, ids=["classifier", "segmentation"])
def test_examples_of_the_docs_run(example, capsys):
    names = {}
    exec(compile(example, str(DOCS), "exec"), names)  # noqa: S102 (our own page)
    curves = names["curves"]
    ok = curves.status == 1
    assert ok.any()
    assert np.isfinite(curves.aoc()[ok]).all()
    assert (curves.scores[ok][:, 0] == 1).all()
    assert np.ptp(curves.scores[ok], axis=-1).max() > 0
    assert capsys.readouterr().out


def test_a_curve_is_worked_out_by_hand(images, maps, segments):
    curves = irof(MODEL, images, maps, score=of_group, segments=segments)
    # The sum of all channels is 16 + 8 + 20 = 44, a grey 44/12 = 11/3 takes superpixel 1: of the
    # first channel 8 + 4 + 11/3 + 2 are left.
    assert curves.scores[0, 0, 1] == pytest.approx((14 + 11 / 3) / 16)
    assert curves.order[0, 0].tolist() == [1, 0, 2]
    assert curves.n_segments.tolist() == [3, 3, 3]


def test_areas_follow_from_the_curves(images, maps, segments):
    curves = irof(MODEL, images, maps, score=of_group, segments=segments)
    (scores,) = curves.scores[:1, 1]
    assert curves.aoc()[0, 1] == pytest.approx(1 - np.trapezoid(scores) / 3)
    assert curves.quantus()[0, 1] == pytest.approx(3 - np.trapezoid(scores[1:]))


def test_a_broken_image_in_the_middle_costs_its_own_items_alone(images, maps):
    images = torch.rand(3, 3, 4, 5).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    maps = torch.rand(3, 2, 16, 20)
    whole = irof(MODEL, images, maps, score=of_group)
    images[1, 2, 3, 4] = torch.nan
    broken = irof(MODEL, images, maps, score=of_group)
    assert broken.status.tolist() == [[1, 1], [8, 8], [1, 1]]
    assert np.isnan(broken.aoc()[1]).all()
    assert broken.n_segments[1] == 0
    for index in (0, 2):
        length = whole.n_segments[index] + 1
        expected = whole.scores[index, :, :length]
        assert broken.scores[index, :, :length].tobytes() == expected.tobytes()


def test_images_with_fewer_superpixels_are_padded(images, maps, segments):
    segments[1] = [[0, 0, 1, 1]]
    curves = irof(MODEL, images, maps, score=of_group, segments=segments)
    assert np.isnan(curves.scores[1, :, 3]).all()
    assert np.isfinite(curves.scores[1, :, :3]).all()
    assert (curves.order[1, :, 2] == -1).all()
    assert curves.aoc()[1, 0] == pytest.approx(1 - np.trapezoid(curves.scores[1, 0, :3]) / 2)


def test_a_group_without_pixels_has_no_curve_and_harms_none(images, maps, segments):
    masks = torch.tensor([[[True], [False]]] * 3)
    curves = irof(MODEL, images, maps, score=of_group, segments=segments, masks=masks)
    assert curves.status.tolist() == [[1, 2]] * 3


def test_areas_of_images_none_of_which_is_finite_are_missing(images, maps):
    curves = irof(MODEL, images * torch.nan, maps, score=of_group)
    assert (curves.status == 8).all()
    assert np.isnan(curves.aoc()).all()
    assert np.isnan(curves.quantus()).all()


def test_images_and_maps_may_ask_for_gradients(images, maps, segments):
    asking = [tensor.clone().requires_grad_() for tensor in (images, maps)]
    expected = irof(MODEL, images, maps, score=of_group, segments=segments)
    found = irof(MODEL, *asking, score=of_group, segments=segments)
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert all(tensor.grad is None for tensor in asking)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_images_and_maps_may_be_of_another_precision(dtype):
    images = torch.rand(1, 3, 4, 5).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    images, maps = images.to(dtype), torch.rand(1, 2, 16, 20).to(dtype)
    expected = irof(MODEL, images.float(), maps.float(), score=of_group)
    found = irof(MODEL, images, maps, score=of_group)
    assert found.n_segments.tolist() == expected.n_segments.tolist()
    assert found.order.tolist() == expected.order.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.02)


def test_maps_may_be_whole_numbers(images, maps, segments):
    expected = irof(MODEL, images, maps, score=of_group, segments=segments)
    found = irof(MODEL, images, maps.int(), score=of_group, segments=segments)
    assert found.scores.tobytes() == expected.scores.tobytes()


def test_maps_are_enlarged_to_the_images(images, segments):
    coarse = torch.tensor([[[[2.0, 1.0]]]]).expand(3, 1, 1, 2)
    curves = irof(MODEL, images, coarse, score=of_group, segments=segments)
    # 2, 1.75, 1.25 and 1, divided by 2.
    assert curves.segment_scores[0, 0].tolist() == [0.9375, 0.625, 0.5]


def test_a_layer_before_a_linear_head_is_warned_of(images):
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(4, 2)).eval()
    model[0].weight.data.fill_(1.0)
    model[2].weight.data = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0]])
    with pytest.warns(UserWarning, match="one map at the layer '0', up to a factor, in 3 of 3"):
        grad_cam(model, images, layer="0", evidence=lambda output: output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": torch.rand(2, 2, 1, 4)}, r"received \(3, 3, 1, 4\) and \(2, 2, 1, 4\)"),
        ({"images": torch.rand(0, 3, 1, 4), "maps": torch.rand(0, 2, 1, 4)}, "at least one"),
        ({"masks": torch.ones(3, 1, 4, dtype=torch.bool)}, r"groups of the maps, \(3, 2\)"),
        ({"segments": np.zeros((3, 4, 1), dtype=int)}, r"here \(3, 1, 4\); received \(3, 4, 1\)"),
        ({"masks": torch.ones(3, 2, dtype=torch.bool)}, "rows and columns of the output"),
        ({"maps": torch.rand(3, 0, 1, 4)}, "a group at least"),
        ({"batch": 0}, "received batch = 0"),
        ({"score": lambda prediction, **_: prediction}, r"here \(16,\); received \(16, 3\)"),
        ({"score": lambda prediction, **_: prediction.mean()}, r"here \(16,\); received \(\)"),
        ({"predict": Brightness().train()}, r"call model.eval\(\) first"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(images, maps, segments, change, message):
    given = {"predict": MODEL, "images": images, "maps": maps, "segments": segments}
    given["score"] = of_group
    given |= change
    with pytest.raises(ValueError, match=message):
        irof(given.pop("predict"), given.pop("images"), given.pop("maps"), **given)


def test_a_model_that_gives_more_than_a_tensor_is_refused(images, maps, segments):
    with pytest.raises(TypeError, match="received a dict: hand over a function that picks one"):
        irof(lambda images: {"out": images}, images, maps, score=of_group, segments=segments)


def test_the_library_imports_nothing_of_ours_but_torch_numpy_and_scikit_image():
    project = tomllib.loads((DOCS.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    required = chain(project["dependencies"], *project["optional-dependencies"].values())
    needed = {re.match(r"[\w-]+", line)[0] for line in required}
    brought = packages_distributions()
    script = (
        "import sys, torch, skimage.segmentation; before = set(sys.modules)\n"
        "import mtljobs.explain\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "mtljobs" in loaded
    others = needed - {"torch", "numpy", "scikit-image", "scipy"}  # scikit-image brings scipy
    assert not {name for name in loaded if others & set(brought.get(name, ()))}
