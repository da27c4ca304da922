"""What an experiment explains: no method, but which of them it takes."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED
from mtljobs.settings.explain import (
    IROF,
    QUANTUS_SUPERPIXELS,
    SLIC,
    FaithfulnessChoice,
    Forward,
    GradCAM,
    QuantusIROF,
    SaliencyChoice,
    SuperpixelsChoice,
)


@dataclass(**DECLARED)
class Explain:
    """Which images are explained, how, and what is kept.

    Attributes:
        images: How many images of the test split, spread evenly over it.
        block: Images per shard; None: the largest divisor of `images` up to 64, or 64.
        saliency: The method whose maps are judged.
        superpixels: What one step removes.
        faithfulness: How maps are judged.
        forward: How the images that it needs are computed.
        segments_max: Room for superpixels in the store; None: 1.5 * n_segments, rounded up to 8.
        maps: Which maps are kept: "native" every one at the layer's resolution, "subset" those of
            the first `map_images`, "half" every one in half precision and in shares of its
            maximum, to look at, "scores" none.
        map_images: Images whose maps "subset" keeps.
        previews: Images kept in the store, for the report to lay maps over.
    """

    images: Annotated[int, Field(ge=1)]
    block: Annotated[int, Field(ge=1)] | None = None
    saliency: SaliencyChoice = GradCAM(name="grad_cam")
    superpixels: SuperpixelsChoice = SLIC(name="slic")
    faithfulness: FaithfulnessChoice = IROF(name="irof")
    forward: Forward = Forward()
    segments_max: Annotated[int, Field(ge=2, le=65_535)] | None = None
    maps: Literal["native", "subset", "half", "scores"] = "native"
    map_images: Annotated[int, Field(ge=1)] = 24
    previews: Annotated[int, Field(ge=0)] = 4

    @model_validator(mode="after")
    def _quantus_makes_its_own_superpixels(self) -> Explain:
        own = self.superpixels == QUANTUS_SUPERPIXELS
        if isinstance(self.faithfulness, QuantusIROF) and not own:
            raise ValueError(
                "irof_quantus cannot be given superpixels: Quantus makes 100 of compactness 10; "
                f"received {self.superpixels.n_segments} of {self.superpixels.compactness:g}. "
                'Leave superpixels away, or take faithfulness = { name = "irof" }'
            )
        return self

    @model_validator(mode="after")
    def _previews_are_of_images_with_maps(self) -> Explain:
        if self.maps == "subset" and self.map_images < self.previews:
            raise ValueError(
                f"the report lays maps over the {self.previews} preview images, and map_images = "
                f"{self.map_images} keeps the maps of fewer: raise map_images or lower previews"
            )
        return self

    def block_size(self) -> int:
        """Images per shard, resolved."""
        if self.block is not None:
            return min(self.block, self.images)
        divisors = [size for size in range(1, 65) if self.images % size == 0]
        return divisors[-1] if divisors[-1] > 8 or self.images <= 64 else 64

    def mapped_images(self) -> int:
        """Images whose maps are kept, from the front."""
        kept = {"subset": min(self.map_images, self.images), "scores": 0}
        return kept.get(self.maps, self.images)

    def segments_room(self) -> int:
        """Length of the store's `segment` axis, resolved."""
        return self.segments_max or 8 * math.ceil(1.5 * self.superpixels.n_segments / 8)
