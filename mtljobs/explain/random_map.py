"""Random maps: the control that shows which area over a curve is chance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.explain.gradients import require_evaluation
from mtljobs.explain.layers import run_from_layer

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


class RandomMap:
    """Noise in [0, 1) for every group of every task, as coarse as the maps of a layer.

    A map depends on its image, the name of its task, the number of its group and the seed: never
    on weights, on other images or on the order of work. All networks of an experiment are so
    compared with one control, and every device draws the same bytes.

    Args:
        layer: Name of the module whose resolution the maps have.
        seed: Each makes another control.

    Source: A random counterpart is the usual control of an explanation, see Evaluate with the
        Inverse (arXiv:2502.15403). Departure: noise per position of a layer, not per pixel, so
        that a control is as smooth as the maps that it is compared with.
    """

    def __init__(self, *, layer: str, seed: int) -> None:
        self._layer = layer
        self._seed = seed

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "image channel row column"],
        *,
        evidence: Callable[[Tensor], Mapping[str, Float[Tensor, "image group"]]],
    ) -> dict[str, Float[Tensor, "image group cam_row cam_column"]]:
        """One map per image and group of each task, of groups without pixels too.

        One forward pass, which says no more than how many groups and positions there are.

        Raises:
            GridError: The layer is no module of the model, runs more or less than once, or has no
                output `image channel row column`.
            ValueError: The model is in training mode.
        """
        require_evaluation(model)
        with torch.no_grad():
            scalars, activations = run_from_layer(model, self._layer, lambda: evidence(images))
        rows, columns = activations.shape[-2:]
        keys = [_key(image) for image in images.detach().float().cpu().numpy()]

        def draw(task: str, groups: int) -> Tensor:
            maps = [
                [
                    noise(self._seed, key, task, group, size=(rows, columns))
                    for group in range(groups)
                ]
                for key in keys
            ]
            return torch.from_numpy(np.array(maps)).to(images.device)

        return {task: draw(task, values.shape[1]) for task, values in scalars.items()}


def _key(image: Float32[np.ndarray, "channel row column"]) -> str:
    return hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()


def noise(*purpose: int | str, size: tuple[int, int]) -> Float32[np.ndarray, "cam_row cam_column"]:
    """Uniform numbers in [0, 1), a function of what they are for.

    Example:
        >>> noise(0, "depth", size=(1, 2)).tolist() == noise(0, "depth", size=(1, 2)).tolist()
        True
    """
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
    return generator.random(size, dtype=np.float32)
