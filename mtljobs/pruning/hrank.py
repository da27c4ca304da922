"""HRank: filters whose feature maps have low ranks go, half of every group at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mtljobs.contracts import Batch, ChannelGroup, Model, PhaseKind, TrainingHook
from mtljobs.errors import MtljobsError
from mtljobs.pruning import surgery
from mtljobs.pruning.ranks import numerical_ranks
from mtljobs.settings.pruning import halvings

TiedScore = Literal["mean", "first"]
Evidence = tuple[Fraction, float]
"""What speaks for a filter: its score and, where scores are equal, its mean |activation|."""

_log = logging.getLogger(__name__)


class HRank:
    """Cut the filters whose post-ReLU maps have the lowest ranks, the same share of every group.

    Args:
        images: How many are ranked, fewer where the batches end before.
        tied_score: Whether the score of a group of several convolutions is the mean of theirs or
            that of the first, in the order of the module.
        map_side_max: Rows and columns that larger maps are averaged down to; None: any size.
        floor: Read by what is reachable, not here.
        tune_iterations: Read by the recipe, not here.

    Source:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map (arXiv:2002.10179).
        Departures: the network becomes narrow, batch norms included, instead of masked; all
        groups are cut at once, by halves, and ranked again before the next cut; channels that
        are tied have one score; equal ranks, of which there are many, are decided by activation.
        Gates are not ranked: they follow what they multiply.
    """

    def __init__(
        self,
        *,
        images: int,
        tied_score: TiedScore,
        map_side_max: int | None,
        floor: int,
        tune_iterations: int | None,
    ) -> None:
        self.images = images
        self.tied_score = tied_score
        self.map_side_max = map_side_max

    def hooks(
        self, kind: PhaseKind, model: nn.Module, *, sparsity: float | None, iterations: int
    ) -> Sequence[TrainingHook]:
        """None: training and tuning are plain."""
        return []

    def cut(
        self,
        model: nn.Module,
        *,
        sparsity: float,
        groups: Sequence[ChannelGroup],
        batches: Iterable[Batch],
        losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
    ) -> None:
        """Leave every group its best `width / 2^k` channels, rounded up, for 1 - 2^-k."""
        shown = (batch["image"] for batch in batches)
        first = next(shown)
        images = _limited(chain([first], shown), self.images)
        found = self._evidence(model, [group.name for group in groups], images)
        parts = 2 ** halvings(sparsity)
        keep = {group.name: -(-group.width // parts) for group in groups}
        _log_ties(found, keep)
        kept = {name: strongest(found[name], keep=count) for name, count in keep.items()}
        surgery.narrow(model, kept, groups=groups, images=first)

    @torch.no_grad()
    def _evidence(
        self, model: nn.Module, groups: Sequence[str], images: Iterable[Tensor]
    ) -> dict[str, list[Evidence]]:
        """What speaks for each filter of each group."""
        network = cast("Model", model)
        ranked = 1 if self.tied_score == "first" else None
        modules = {name: network.feature_maps()[name][:ranked] for name in groups}
        seen: dict[nn.Module, list[MapStatistics]] = {one: [] for one in chain(*modules.values())}
        training = model.training
        model.eval()
        with ExitStack() as hooks:
            for module, calls in seen.items():
                hooks.enter_context(module.register_forward_hook(self._recorder(calls)))
            for some in images:
                network(some, network.tasks)
        model.train(training)
        everything = list(chain(*seen.values()))
        _log.info(
            "ranked %d feature maps, %d of them by singular values: too close for a Gram matrix",
            sum(call.maps * len(call.ranks) for call in everything),
            sum(call.by_svd for call in everything),
        )
        return {name: evidence([seen[one] for one in modules[name]]) for name in groups}

    def _recorder(self, calls: list[MapStatistics]) -> Callable[[nn.Module, Any, Tensor], None]:
        """A forward hook that keeps what is counted of a module's output, not the output."""
        return lambda _, inputs, maps: calls.append(measure(maps, side_max=self.map_side_max))


@dataclass(frozen=True)
class MapStatistics:
    """What the feature maps of one call of a module are like.

    Attributes:
        ranks: Numerical rank, added over the maps of a channel.
        activation: Mean |value| of a map, added over the maps of a channel.
        maps: How many each channel has.
        highest: Rank that none can exceed.
        by_svd: Maps for which the quick way to a rank was not exact enough.
    """

    ranks: Int[Tensor, "channel"]
    activation: Float[Tensor, "channel"]
    maps: int
    highest: int
    by_svd: int


def measure(
    maps: Float[Tensor, "image channel row column"], *, side_max: int | None
) -> MapStatistics:
    """Ranks and activation of feature maps, after averaging over areas where they are too large.

    Raises:
        MtljobsError: A map is not finite, as after a training that diverged.
    """
    activation = maps.double().abs().mean(dim=(-2, -1)).sum(dim=0)
    if not activation.isfinite().all():
        raise MtljobsError(
            "feature maps are not finite: the training before this cut diverged; look at its "
            "losses, and lower the learning rate"
        )
    if side_max is not None:
        sides = min(maps.shape[-2], side_max), min(maps.shape[-1], side_max)
        maps = functional.adaptive_avg_pool2d(maps, sides)
    found = numerical_ranks(maps.flatten(0, 1))
    return MapStatistics(
        ranks=found.ranks.view(maps.shape[:2]).sum(dim=0).cpu(),
        activation=activation.cpu(),
        maps=len(maps),
        highest=min(maps.shape[-2:]),
        by_svd=found.by_svd,
    )


def evidence(producers: Sequence[Sequence[MapStatistics]]) -> list[Evidence]:
    """What speaks for each channel of a group: means over its producers, and over their calls.

    A rank counts as a fraction of the highest possible, exactly: rounding makes and breaks no tie.

    Args:
        producers: The calls of each; one that several tasks share has several for an image.
    """
    means: list[Evidence] = []
    for channel in zip(*map(_own_evidence, producers), strict=True):
        scores, activations = zip(*channel, strict=True)
        means.append(
            (sum(scores, Fraction()) / len(channel), math.fsum(activations) / len(channel))
        )
    return means


def strongest(found: Sequence[Evidence], *, keep: int) -> list[int]:
    """The best channels of a group, ascending; of those equal in all, the lower index stays.

    Example:
        >>> found = [(Fraction(1, 2), 0.1), (Fraction(1), 0.0), (Fraction(1, 2), 0.2)]
        >>> strongest(found, keep=2)
        [1, 2]
    """
    return sorted(_by_strength(found)[:keep])


def _own_evidence(calls: Sequence[MapStatistics]) -> list[Evidence]:
    """What speaks for each channel of one producer."""
    maps = sum(call.maps for call in calls)
    ranks = torch.stack([call.ranks for call in calls]).sum(dim=0).tolist()
    activation = torch.stack([call.activation for call in calls]).sum(dim=0) / maps
    scores = [Fraction(rank, maps * calls[0].highest) for rank in ranks]
    return list(zip(scores, activation.tolist(), strict=True))


def _by_strength(found: Sequence[Evidence]) -> list[int]:
    """Channels, best first."""
    return sorted(range(len(found)), key=lambda channel: found[channel], reverse=True)


def _log_ties(found: Mapping[str, Sequence[Evidence]], keep: Mapping[str, int]) -> None:
    """How often the ranks left it open which filters go."""
    by_activation = by_index = 0
    for name, channels in found.items():
        order = _by_strength(channels)
        if keep[name] < len(order):
            worst_kept, best_gone = (channels[order[keep[name] + k]] for k in (-1, 0))
            by_activation += worst_kept[0] == best_gone[0]
            by_index += worst_kept == best_gone
    _log.info(
        "in %d of %d channel groups the cut fell between equal ranks: mean activation decided, and "
        "in %d of them the lower index",
        by_activation,
        len(found),
        by_index,
    )


def _limited(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Batches until `count` images are seen; the last one is cut short."""
    for images in batches:
        yield images[:count]
        count -= len(images)
        if count <= 0:
            return
