"""Every seam of mtljobs on one page: the values that rooms exchange and the Protocols they meet by.

Axes go by name, never by number. The same words stand in signatures, in xarray dimensions and in
the store:

    sparsity, seed, image, group, step, segment, row, column, cam_row, cam_column,
    metric, layer, channel

Images are float32 in [0, 1], `channel row column`, channels red, green, blue. Targets, per task:

    segmentation  int64   `row column`          class index, -1 where void
    depth         float32 `1 row column`        metres (or the data set's unit), 0 where invalid
    normals       float32 `3 row column`        unit vectors, x right, y down, z away from the
                                                camera; all three 0 where invalid
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int, Integer
    from torch import Tensor, nn

Sample = Mapping[str, "np.ndarray"]
"""One image with its targets: key "image" and a key per task, shapes as above."""

Batch = Mapping[str, "Tensor"]
"""Samples stacked along a first axis `image`."""

Split = Literal["train", "validation", "test"]
PhaseKind = Literal["train", "cut", "tune"]
Stage = Literal["segment", "train", "prune", "evaluate", "explain", "reduce"]

STATUS = {
    0: "not run",
    1: "ok",
    2: "group empty",
    3: "map all zero",
    4: "map not finite",
    5: "clean score <= eps",
    6: "one superpixel",
    7: "output not finite",
    8: "input unreadable",
}
"""What became of an item; `status` in the store. Codes are only ever appended."""

WEIGHT_MASK = "weight_mask"
"""Buffer of a masked convolution, bool, as its weight: False where a weight is gone, exactly 0."""

MASK_AGREEMENT = "mask_agreement"
"""Buffer of a masked convolution: how far the tasks agreed on its mask, a scalar in [0, 1]; NaN
where there is nothing to agree on, as in a layer of one task."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a plan knows of a data set without opening an image.

    Attributes:
        id: Name that `[resources.data]` maps to a folder.
        splits: Image ids per split; "train" and "test" are never empty.
        class_names: In the order of the label values; empty without segmentation.
        tasks: The targets that every sample has.
        size: Native (rows, columns); None where images differ.
        depth_unit: What one unit of depth is, "m" or "disparity".
        depth_scale: Depth that the explanation's bins map to 1.
        sha256: Of everything that samples are made from; None while only published counts are
            known, which makes every identity provisional.
        description: What the data set's own loader needs to find its files.
        preview_allowed: False where the licence forbids copies of the images in a result store.
    """

    id: str
    splits: Mapping[str, tuple[str, ...]]
    class_names: tuple[str, ...]
    tasks: tuple[str, ...]
    size: tuple[int, int] | None
    depth_unit: str
    depth_scale: float
    sha256: str | None
    description: Mapping[str, Any] = field(default_factory=dict)
    preview_allowed: bool = True


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of a network that live and die together: a cut takes an index from every member.

    Attributes:
        name: Of the group, stable across widths and releases.
        width: Number of channels before any cut.
        producers: Convolutions whose filters carry the group's evidence; a ReLU follows.
        followers: Convolutions tied to the same indices that carry none of their own (gates).
        normalised: Whether a batch norm stands behind every producer; a method that reads its
            scales leaves the other groups whole.
    """

    name: str
    width: int
    producers: tuple[str, ...]
    followers: tuple[str, ...] = ()
    normalised: bool = True


@dataclass(frozen=True)
class Phase:
    """One step of a recipe: what makes a network from its parent.

    The first phase of a recipe has no parent and starts from an initialisation.

    Attributes:
        kind: "train" teaches a network from the beginning, "cut" removes weights, "tune" trains a
            network on that has been trained.
        method: Canonical settings of the pruning method as far as this phase depends on them, the
            rest at their defaults; None where it does not depend on the method.
        sparsity: What a cut, or a training that prunes as it goes, aims at, in [0, 1); None
            elsewhere.
        iterations: Length of a train or tune phase; None: as `training` says.
        learning_rate: Of a train or tune phase at its start; None: as `training` says.
    """

    kind: PhaseKind
    method: Mapping[str, Any] | None = None
    sparsity: float | None = None
    iterations: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Shard:
    """One line of a plan: the unit of work and of commit.

    Attributes:
        name: `<stage>-<12 hex>` where shared, else
            `<stage>-<experiment>-<sparsity>-<seed>[-<block>]-<12 hex>`.
        stage: Which function computes it.
        identity: SHA-256, 64 hex digits, of `spec` and the identities of its inputs.
        shared: Committed to the workspace's `shared/` for all runs, not to the run.
        parents: Names of the shards that must be done first.
        inputs: Role of an input ("parent", "network", "segments", "data") -> identity.
        spec: Fully resolved settings: all that the result depends on besides the inputs.
        place: Where the results go in the store: experiment, sparsity and seed index, image block.
    """

    name: str
    stage: Stage
    identity: str
    shared: bool
    parents: tuple[str, ...]
    inputs: Mapping[str, str]
    spec: Mapping[str, Any]
    place: Mapping[str, Any]


@dataclass(frozen=True)
class TaskLayout:
    """What one task adds to an experiment's part of the store.

    Attributes:
        groups: Labels of the `group` axis.
        metrics: Labels of the `metric` axis.
        lower_is_better: The metrics that are errors.
        arrays: Further arrays of the task -> their axes after `sparsity, seed`; an axis is as
            long as `groups`.
    """

    groups: tuple[str, ...]
    metrics: tuple[str, ...]
    lower_is_better: tuple[str, ...]
    arrays: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class ExperimentLayout:
    """Shapes and labels of one experiment's part of the store, as a plan fixes them.

    Only `sparsities` and `seeds` ever grow, at their ends; everything else is fixed by the first
    plan of the experiment.

    Attributes:
        sparsities: Labels of the `sparsity` axis in the order of their arrival, fractions.
        seeds: Labels of the `seed` axis in the order of their arrival.
        images: Ids of the explained images; the `image` axis.
        block: Images per shard, and per chunk.
        size: (rows, columns) of the images.
        cam_size: (rows, columns) of the saliency maps.
        segments_max: Length of the `segment` axis; `step` is one longer.
        tasks: Task name -> its layout.
        layers: Convolutions of the network; the `layer` axis.
        maps: How saliency maps are kept: "native", "subset", "half" or "scores".
        map_images: Of how many of the images, from the front.
        previews: How many of the images are kept, from the front.
        inputs: Identity of the superpixels in `shared/inputs`.
        settings: The experiment's canonical settings, for readers.
    """

    sparsities: tuple[float, ...]
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    block: int
    size: tuple[int, int]
    cam_size: tuple[int, int]
    segments_max: int
    tasks: Mapping[str, TaskLayout]
    layers: tuple[str, ...]
    maps: str
    map_images: int
    previews: int
    inputs: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """Proof that a shard is done: written last, moved by the merge, edited by nobody.

    Holds no times and no hosts, so that two undisturbed runs write the same bytes.

    Attributes:
        shard: Name.
        identity: As in the plan.
        files: Path inside the shard's folder -> (sha256, size in bytes).
        versions: Software that computed it.
    """

    shard: str
    identity: str
    files: Mapping[str, tuple[str, int]]
    versions: Mapping[str, str]


class Dataset(Protocol):
    """One split of a data set at the experiment's image size."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """The sample at a position of `DatasetInfo.splits[split]`.

        Raises:
            DataError: Names the file and what is wrong with it.
        """
        ...


class Meter(Protocol):
    """Metrics of one task, pooled over every pixel that it was shown."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch of predictions (`image channel row column`) and targets."""
        ...

    def compute(self) -> Mapping[str, float]:
        """Value of every metric of the task; NaN where no valid pixel was seen."""
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """What the task's settings page lists under `arrays`, such as a confusion matrix."""
        ...


@runtime_checkable  # for the tests that check types and shapes
class Score(Protocol):
    """How well a prediction still holds on its item's pixels, before division by step 0."""

    def __call__(
        self,
        prediction: Float[Tensor, "item channel row column"],
        *,
        clean: Float[Tensor, "item channel row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        """Each item's score on its own.

        Args:
            clean: The prediction on the image with nothing removed.
            mask: The pixels of the item's group on the clean image; not empty.
            group: Index of the item's group.
        """
        ...


class Task(Protocol):
    """What is predicted: loss, metrics, and the groups and scores that explanations are about."""

    name: str
    channels: int

    def loss(
        self, prediction: Float[Tensor, "image channel row column"], target: Tensor
    ) -> Float[Tensor, ""]:
        """Mean over the batch's valid pixels; 0 with a gradient of 0 where none is valid."""
        ...

    def meter(self) -> Meter:
        """A new, empty meter."""
        ...

    def constant(self, targets: Iterable[Tensor]) -> Float[Tensor, "channel"]:
        """The best prediction that ignores the image, from the targets of the training split."""
        ...

    def group_masks(
        self, prediction: Float[Tensor, "image channel row column"]
    ) -> Bool[Tensor, "image group row column"]:
        """The pixels of each group, read off a prediction on clean images."""
        ...

    def evidence(
        self,
        prediction: Float[Tensor, "image channel row column"],
        masks: Bool[Tensor, "image group row column"],
    ) -> Float[Tensor, "image group"]:
        """The differentiable scalar that a saliency map explains."""
        ...

    def score(
        self,
        prediction: Float[Tensor, "item channel row column"],
        *,
        clean: Float[Tensor, "item channel row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        """The task's `Score`."""
        ...


class Model(Protocol):
    """A network (`nn.Module`) that computes the tasks that it is asked for, and no other.

    Modules that belong to one task alone lie under `branches.<task>`; all others are shared.

    Attributes:
        tasks: All that it was built for.
    """

    tasks: tuple[str, ...]

    def __call__(
        self, images: Float[Tensor, "image channel row column"], tasks: Sequence[str]
    ) -> dict[str, Float[Tensor, "image channel row column"]]:
        """Raw predictions of the tasks asked for: logits, depths, unit vectors.

        Rows and columns are the model's own, which may be coarser than the images'.
        """
        ...

    def widths(self) -> dict[str, int]:
        """Channels that each channel group has now; with the settings, enough to rebuild it."""
        ...

    def norms(self) -> dict[str, tuple[nn.BatchNorm2d, ...]]:
        """Batch norms behind each normalised group's producers; those of followers are left out."""
        ...

    def feature_maps(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules whose outputs are what each channel group's producers give, after the ReLU."""
        ...

    def traceable(self) -> AbstractContextManager[None]:
        """A context in which a tracer of gradients sees every coupling between channels."""
        ...


@dataclass(frozen=True)
class Step:
    """What a hook may know of the iteration that it is called in.

    Attributes:
        iteration: Count of optimiser steps before this one.
        epoch: Count of whole passes over the images before this one.
        learning_rate: In force for this step.
        losses: Computes the losses per task of this step's batch again, with the weights as they
            are: a mapping for each part of the batch, one after the other, so that a part's graph
            may be freed before the next is made. There is one part unless the training
            accumulates gradients over several; all are of the same size.
    """

    iteration: int
    epoch: int
    learning_rate: float
    losses: Callable[[], Iterable[Mapping[str, Tensor]]]


class TrainingHook(Protocol):
    """What pruning and weighting add to a training step; they never see the loop."""

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Gradients are there, the optimiser has not moved yet."""
        ...

    def after_step(self, model: nn.Module, step: Step) -> None:
        """The optimiser has moved."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed run needs: tensors and plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        ...


class Weighting(TrainingHook, Protocol):
    """How task losses are balanced; its state is part of the checkpoint."""

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """The scalar to back-propagate; called once for each part of a step's batch."""
        ...


class Pruner(Protocol):
    """Which weights go."""

    def hooks(
        self, kind: PhaseKind, model: nn.Module, *, sparsity: float | None, iterations: int
    ) -> Sequence[TrainingHook]:
        """What this method adds to a train or tune phase.

        Args:
            model: About to be trained; what a hook adds to it must be there before a checkpoint
                is loaded.
            sparsity: The phase's, for a method that prunes as it trains.
            iterations: Length of the phase.
        """
        ...

    def cut(
        self,
        model: nn.Module,
        *,
        sparsity: float,
        groups: Sequence[ChannelGroup],
        batches: Iterable[Batch],
        losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
    ) -> None:
        """Remove weights from `model`, in place, until `sparsity` is reached.

        Args:
            sparsity: In [0, 1), of the axis that the method names; reachable, as planned.
            groups: The model's prunable channel groups.
            batches: Training images in a fixed order, as many as the method asks for, and as many
                in each as its settings say by a field `batch`, if they have one.
            losses: Loss per task of a model on a batch.
        """
        ...


class Superpixels(Protocol):
    """The parts of an image that faithfulness removes."""

    def segments(
        self, image: Float[np.ndarray, "channel row column"]
    ) -> Integer[np.ndarray, "row column"]:
        """Superpixel of each pixel, 0 to L - 1 without gaps; a function of the image alone.

        Raises:
            DataError: The image is not finite.
        """
        ...


class Saliency(Protocol):
    """Where the evidence for a score lies."""

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "image channel row column"],
        *,
        evidence: Callable[[Tensor], Mapping[str, Float[Tensor, "image group"]]],
    ) -> dict[str, Float[Tensor, "image group cam_row cam_column"]]:
        """One map per image and group of each task, >= 0, at the method's own resolution.

        Args:
            model: In evaluation mode.
            evidence: The scalars to explain per task, computed from the images through `model`;
                called once.
        """
        ...


@dataclass(frozen=True)
class Curve:
    """How a score falls while parts of the image go, for one item.

    Parts are superpixels for IROF. Other measures take as many, L, so that all curves have one
    axis, and number them by the step that takes them.

    Attributes:
        scores: Step 0 to L, divided by step 0; NaN where `status` is not 1.
        order: Part removed at each step, most salient first.
        segment_score: Mean saliency of each part.
        status: A key of `STATUS`.
    """

    scores: Float[np.ndarray, "step"]
    order: Int[np.ndarray, "segment"]
    segment_score: Float[np.ndarray, "segment"]
    status: int


@dataclass(frozen=True)
class Explained:
    """One image with the maps that are judged on it, all of one task.

    Attributes:
        image: As the network sees it.
        clean: The task's prediction on `image`; its resolution may be coarser than the image's.
        masks: The pixels of each group, at the prediction's resolution.
        maps: Saliency of each group, at the image's resolution.
        segments: Superpixel of each pixel, 0 to L - 1.
    """

    image: Float[Tensor, "channel row column"]
    clean: Float[Tensor, "output out_row out_column"]
    masks: Bool[Tensor, "group out_row out_column"]
    maps: Float[Tensor, "group row column"]
    segments: Integer[np.ndarray, "row column"]


class Faithfulness(Protocol):
    """Whether a map's evidence holds when it is taken away."""

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Iterable[Explained],
    ) -> Iterator[list[Curve]]:
        """One curve per group, for one image after the other.

        No image's curves depend on which others there are. An image is taken when it is needed,
        which may be before the one ahead of it is finished.

        Args:
            predict: Images -> one task's prediction.
            score: The task's score.
        """
        ...


StopFlag = Callable[[], bool]
"""True once the worker was asked to stop: checkpoint at once, then raise `StopRequested`."""

Progress = Callable[[int, int, str], None]
"""Report (done, total, what), at any rate; the worker decides what is shown or written."""
