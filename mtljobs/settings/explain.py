"""Explanations. Context of `build`: `batch` for faithfulness, `network` and `example` for forward.

A saliency method is built as `resolved` gives it, with the name of a module in place of an alias
of the model, such as "last_shared".
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED
from mtljobs.settings.models import ModelChoice


@dataclass(**DECLARED)
class GradCAM:
    """Grad-CAM at one layer, for one group of a dense prediction at a time.

    Attributes:
        layer: "last_shared", "bottleneck", or the name of any module of the network.

    Source: Selvaraju et al. (arXiv:1610.02391); for dense predictions Vinogradova et al.,
        Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping
        (arXiv:2002.11434).
    """

    implementation: ClassVar[str] = "mtljobs.explain.grad_cam:GradCAM"
    version: ClassVar[int] = 1

    name: Literal["grad_cam"]
    layer: str = "last_shared"

    def resolved(self, model: ModelChoice) -> GradCAM:
        """Itself, the layer named as in the network instead of by an alias."""
        return replace(self, layer=model.layers.get(self.layer, self.layer))

    def map_size(self, model: ModelChoice, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the maps of images of a size.

        Raises:
            GridError: The model has no such layer to explain.
        """
        return model.layer_size(self.resolved(model).layer, size)


@dataclass(**DECLARED)
class InputGradient:
    """How strongly the evidence for a group answers to each pixel, at the image's resolution.

    The gradient is not multiplied by the image: that would call black pixels unimportant, where
    faithfulness greys pixels out. It runs through the whole network and costs as much memory as a
    training step of one image.

    Attributes:
        reduce: What a pixel's channels give together: the largest absolute gradient ("max", as
            published) or the sum of them ("sum", as Quantus takes it).

    Source: Simonyan et al., Deep Inside Convolutional Networks: Visualising Image Classification
        Models and Saliency Maps (arXiv:1312.6034), section 3.1.
    """

    implementation: ClassVar[str] = "mtljobs.explain.input_gradient:InputGradient"
    version: ClassVar[int] = 1

    name: Literal["input_gradient"]
    reduce: Literal["max", "sum"] = "max"

    def resolved(self, model: ModelChoice) -> InputGradient:
        """Itself: the image is no layer."""
        return self

    def map_size(self, model: ModelChoice, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the maps: the images' own."""
        return size


@dataclass(**DECLARED)
class RandomMap:
    """The control: noise that no network had a part in, whose curves show what chance achieves.

    Attributes:
        layer: As of `grad_cam`: the maps are as coarse as those of this layer, so that a control
            is like the maps it is compared with.
        seed: Each makes another control; with the image, the task and the group it decides the
            map.

    Source: no paper's own; that an explanation is judged by a random counterpart is the practice
        which Evaluate with the Inverse (arXiv:2502.15403) starts from.
    """

    implementation: ClassVar[str] = "mtljobs.explain.random_map:RandomMap"
    version: ClassVar[int] = 1

    name: Literal["random"]
    layer: str = "last_shared"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    def resolved(self, model: ModelChoice) -> RandomMap:
        """Itself, the layer named as in the network instead of by an alias."""
        return replace(self, layer=model.layers.get(self.layer, self.layer))

    def map_size(self, model: ModelChoice, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the maps of images of a size.

        Raises:
            GridError: The model has no such layer.
        """
        return model.layer_size(self.resolved(model).layer, size)


SaliencyChoice = Annotated[GradCAM | InputGradient | RandomMap, Field(discriminator="name")]


@dataclass(**DECLARED)
class SLIC:
    """SLIC superpixels as Quantus calls scikit-image: on the input that the network sees.

    Attributes:
        n_segments: Superpixels asked for; an image gets more or fewer.
        compactness: Weight of position against colour.

    Source: Achanta et al., SLIC Superpixels Compared to State-of-the-Art Superpixel Methods (2012).
    """

    implementation: ClassVar[str] = "mtljobs.explain.superpixels:SLIC"
    version: ClassVar[int] = 1

    name: Literal["slic"]
    n_segments: Annotated[int, Field(ge=2, le=20_000)] = 100
    compactness: Annotated[float, Field(gt=0)] = 10.0


SuperpixelsChoice = SLIC


@dataclass(**DECLARED)
class IROF:
    """Iterative removal of features: the score while superpixels are greyed out, best first.

    Attributes:
        epsilon: A clean score at or below it gives no curve (status 5).
        order: How superpixels of equal saliency go: "stable" by their labels, the same on every
            machine; "numpy" as Quantus leaves them, to check against it.
        fill: What a superpixel is replaced with. "drifting": the mean over channels and pixels of
            the image as it is at that step; "clean": that mean of the clean image; "channels": the
            clean image's mean per channel.

    Source: Rieger & Hansen, IROF: a low resource evaluation metric for explanation methods
        (arXiv:2003.08747); fill and order as in Quantus 0.5.3.
    """

    implementation: ClassVar[str] = "mtljobs.explain.irof:IROF"
    version: ClassVar[int] = 1

    name: Literal["irof"]
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    order: Literal["stable", "numpy"] = "stable"
    fill: Literal["drifting", "clean", "channels"] = "drifting"


@dataclass(**DECLARED)
class QuantusIROF:
    """IROF as the Quantus library itself computes it, one forward pass at a time.

    The curves are those of `irof` up to rounding, and take as long as Quantus takes; superpixels
    must be `slic` as it is by default, since Quantus makes its own. `mtljobs compare-engines` sets
    the two side by side on a run.

    Attributes:
        epsilon: A clean score at or below it gives no curve (status 5).

    Source: Hedstrom et al., Quantus: An Explainable AI Toolkit for Responsible Evaluation of
        Neural Network Explanations and Beyond (arXiv:2202.06861), release 0.6.
    """

    implementation: ClassVar[str] = "mtljobs.explain.quantus_irof:QuantusIROF"
    version: ClassVar[int] = 1

    name: Literal["irof_quantus"]
    epsilon: Annotated[float, Field(gt=0)] = 1e-6


@dataclass(**DECLARED)
class PixelFlipping:
    """The score while single pixels are overwritten, most salient first.

    An image takes as many steps as it has superpixels, of equally many pixels, so that curves of
    all measures have one axis and one cost.

    Attributes:
        epsilon: A clean score at or below it gives no curve (status 5).
        fill: What a pixel is replaced with. "black" and "white": the image's lowest and highest
            value; "drifting", which Quantus calls "mean", "clean" and "channels": as of IROF.

    Source: Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
        Layer-Wise Relevance Propagation (doi 10.1371/journal.pone.0130140).
    """

    implementation: ClassVar[str] = "mtljobs.explain.pixel_flipping:PixelFlipping"
    version: ClassVar[int] = 1

    name: Literal["pixel_flipping"]
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    fill: Literal["drifting", "clean", "channels", "black", "white"] = "black"


@dataclass(**DECLARED)
class RegionPerturbation:
    """The score while squares of a grid are filled, most salient first.

    An image loses as many squares as it has superpixels, so that curves of all measures have one
    axis and one cost; the plan refuses a size without room for them.

    Attributes:
        edge: Rows, and columns, of a square in pixels.
        epsilon: A clean score at or below it gives no curve (status 5).
        fill: What a square is replaced with. "black" and "white": the image's lowest and highest
            value; "drifting", which Quantus calls "mean", "clean" and "channels": as of IROF.

    Source: Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned
        (arXiv:1509.06321); edge as in Quantus, where the paper has 9.
    """

    implementation: ClassVar[str] = "mtljobs.explain.region_perturbation:RegionPerturbation"
    version: ClassVar[int] = 1

    name: Literal["region_perturbation"]
    edge: Annotated[int, Field(ge=1)] = 8
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    fill: Literal["drifting", "clean", "channels", "black", "white"] = "black"

    def most_steps(self, size: tuple[int, int]) -> int:
        """Squares of an image of (rows, columns): what it may have superpixels at most."""
        return math.ceil(size[0] / self.edge) * math.ceil(size[1] / self.edge)


FaithfulnessChoice = Annotated[
    IROF | QuantusIROF | PixelFlipping | RegionPerturbation, Field(discriminator="name")
]

QUANTUS_SUPERPIXELS = SLIC(name="slic", n_segments=100, compactness=10.0)
"""What Quantus divides every image into; it cannot be told otherwise."""


@dataclass(**DECLARED)
class Forward:
    """How an explanation computes its perturbed images: by default as every stage computes.

    Maps, and the clean prediction that groups are read off, are always exact. The clean score that
    a curve is divided by is computed like the rest of the curve. `benchmarks/test_forward.py`
    prints what each choice gains and how far it moves a curve.

    Attributes:
        precision: "float32" is exact: TF32 off. "tf32" rounds the factors of products to 10 bits,
            on a GPU that can. "bfloat16" is torch's autocast: 8 bits.
        folded: Batch norms become part of the convolutions before them.
        channels_last: The channels of a pixel lie together in memory.
        compiled: By `torch.compile`, which needs a C++ compiler where it runs.
    """

    implementation: ClassVar[str] = "mtljobs.explain.forward:Forward"
    version: ClassVar[int] = 1

    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    folded: bool = False
    channels_last: bool = False
    compiled: bool = False
