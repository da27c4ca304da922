"""IROF by the Quantus library itself: slow, and the judge of our own engine.

Quantus is told to do nothing but its own work: which superpixel goes when is settled before it is
called, and each score that it asks for is kept, as it hands back the area alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.errors import GridError, UserError
from mtljobs.explain.guards import OK, clean_scores, judge, make_curve, unfit
from mtljobs.explain.removal import segment_means

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Integer

    Rate = Callable[[Float[Tensor, "image channel row column"]], Float[Tensor, "image"]]

AREA_TOLERANCE = 1e-9
"""Relative; Quantus's area and the recorded curve's are sums of the same float64 numbers."""


class QuantusIROF:
    """Curves that Quantus's `IROF` goes through, most salient superpixel first.

    Args:
        epsilon: A clean score at or below it gives no curve.
        batch: Not used: Quantus is given one item per call, and so is the network. With more it
            would fill in a mean over all images of the call, and one bad map would spoil all.

    Source: Quantus 0.6, `quantus.metrics.faithfulness.irof`, as released. Handed in through its
        interface: the maps, constant on each superpixel and falling by 1 with its rank, so that
        ties go in the order of their labels; and the fill, which as in 0.5.3 is the mean of the
        image as it is (0.6 cannot mask an image of three channels).
    """

    def __init__(self, *, epsilon: float, batch: int) -> None:
        del batch
        self._epsilon = epsilon
        # One for all calls: Quantus's caches keep what they were called with for ever.
        self._network = _RecordingNetwork().eval()

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Iterable[Explained],
    ) -> Iterator[list[Curve]]:
        """One curve per group, for one image after the other.

        Raises:
            GridError: Quantus does not divide an image into the superpixels given.
            UserError: The installed Quantus computes something else than the area of its curve.
        """
        for one in explained:
            yield self._curves_of_image(predict, score, one)

    def _curves_of_image(
        self, predict: Callable[[Tensor], Tensor], score: Score, explained: Explained
    ) -> list[Curve]:
        part_scores = segment_means(explained.maps.cpu().numpy(), explained.segments)
        orders = np.argsort(-part_scores, axis=1, kind="stable")
        scores = np.full((len(orders), orders.shape[1] + 1), np.nan)
        status = unfit(explained, parts=orders.shape[1])
        # Clean scores first, as in our own engine: an item that fails there costs no call.
        fit = np.flatnonzero(status == OK)
        scores[fit, 0] = clean_scores(explained, fit, score, batch=1)
        status[fit] = judge(scores[fit, :1], epsilon=self._epsilon)
        fit = np.flatnonzero(status == OK)
        if len(fit):
            _require_superpixels(explained)
        for group in fit:
            rate = _rate_item(predict, score, explained, int(group))
            scores[group] = self._scores(rate, explained, orders[group])
        status[fit] = judge(scores[fit], epsilon=self._epsilon)
        return [
            make_curve(own, order=order, part_scores=means, status=code)
            for own, order, means, code in zip(
                scores, orders, part_scores, status.tolist(), strict=True
            )
        ]

    def _scores(
        self, rate: Rate, explained: Explained, order: Int[np.ndarray, "step"]
    ) -> Float64[np.ndarray, "step_from_clean"]:
        """Scores of one item from step 0 on, as Quantus asks for them."""
        with self._network.rating(rate) as scores:
            area = _area_of_quantus(self._network, explained, order)
        found = np.array(scores)
        _require_area(area, found, steps=len(order))
        return found


class _RecordingNetwork(nn.Module):
    """What Quantus takes for a network of one class: images in, their item's score out."""

    def __init__(self) -> None:
        super().__init__()
        self._rate: Rate | None = None
        self._scores: list[float] = []

    @contextmanager
    def rating(self, rate: Rate) -> Iterator[list[float]]:
        """A context in which images are rated so, and the list of all scores given in it."""
        self._rate, self._scores = rate, []
        try:
            yield self._scores
        finally:
            self._rate = None

    def forward(
        self, images: Float32[Tensor, "image channel row column"]
    ) -> Float64[Tensor, "image class_"]:
        """The images' scores, which are kept."""
        if self._rate is None:
            raise RuntimeError("images are rated inside of `rating`")
        scores = self._rate(images).double()
        self._scores += scores.tolist()
        return scores[:, None]


def _rate_item(
    predict: Callable[[Tensor], Tensor], score: Score, explained: Explained, group: int
) -> Rate:
    """How well a prediction holds on one group's pixels."""
    clean, mask = explained.clean[None], explained.masks[group : group + 1]
    index = torch.tensor([group], device=mask.device)
    dtype = explained.image.dtype
    # Quantus computes in float32, whatever the image is in.
    return lambda images: score(predict(images.to(dtype)), clean=clean, mask=mask, group=index)


def _area_of_quantus(
    network: nn.Module, explained: Explained, order: Int[np.ndarray, "step"]
) -> float:
    """The one number that Quantus gives for an item."""
    with _quiet_quantus():
        # Here, since it takes seconds and few need it.
        from quantus.metrics.faithfulness.irof import IROF  # noqa: PLC0415

        metric = IROF(
            normalise=False,
            perturb_func=_fill_with_mean,
            return_aggregate=False,
            disable_warnings=True,
        )
        ranks = np.argsort(order)
        [area] = metric(
            model=network,
            x_batch=explained.image[None].float().cpu().numpy(),
            y_batch=np.zeros(1, dtype=int),
            a_batch=(len(order) - ranks).astype(np.float64)[explained.segments][None, None],
            channel_first=True,
            softmax=False,
            device=str(explained.image.device),
            batch_size=1,
        )
    return float(area)


def _fill_with_mean(
    arr: Float32[np.ndarray, "image channel row column"],
    mask: Bool[np.ndarray, "image one row column"],
    perturb_baseline: str,
) -> Float32[np.ndarray, "image channel row column"]:
    """Quantus's `perturb_func`: each image's own mean where the mask is, in all channels."""
    del perturb_baseline  # "mean", which is what this is
    means = arr.mean(axis=(1, 2, 3), keepdims=True)
    return np.where(mask, means, arr)


@contextmanager
def _quiet_quantus() -> Iterator[None]:
    """A context without the warnings that Quantus's own code gives of numpy, and of no change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="quantus")
        yield


def _require_superpixels(explained: Explained) -> None:
    """Refuse an image that Quantus, which takes no superpixels, would divide otherwise."""
    with _quiet_quantus():
        from quantus.helpers.utils import get_superpixel_segments  # noqa: PLC0415

    image = explained.image.permute(1, 2, 0).double().cpu().numpy()
    theirs: Integer[np.ndarray, "row column"] = get_superpixel_segments(image, "slic")
    if not np.array_equal(theirs, explained.segments):
        raise GridError(
            f"Quantus divides this image into {theirs.max() + 1} superpixels of its own, received "
            f"{int(explained.segments.max()) + 1} others: it takes none, and asks SLIC for 100 of "
            'compactness 10. Give it these (superpixels = { name = "slic" } in a grid), or take '
            'the engine that takes any (faithfulness = { name = "irof" }).'
        )


def _require_area(
    area: float, scores: Float64[np.ndarray, "step_from_clean"], *, steps: int
) -> None:
    """Refuse a Quantus that returns something else than the area over the curve it went through.

    That area is over steps 1 to L, in steps, and by the trapezoidal rule.
    """
    is_finite = np.isfinite(scores).all()
    expected = steps - np.trapezoid(scores[1:] / scores[0]) if is_finite else np.nan
    is_same = not is_finite or np.isclose(area, expected, rtol=AREA_TOLERANCE, atol=AREA_TOLERANCE)
    if is_same and len(scores) == steps + 1:
        return
    raise UserError(
        f"Quantus {metadata.version('quantus')} gave an item the score {area:.9g} after "
        f"{len(scores)} scores of the network; expected {expected:.9g}, the area over their "
        f"curve, and {steps + 1} scores, one per superpixel and one before. This is not the "
        "Quantus that mtljobs was tested with: install 'quantus>=0.6,<0.7', or take the engine "
        'that needs none (faithfulness = { name = "irof" }).'
    )
