"""Where arrays are kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Store:
    """The backend of a run's results; chosen by a run's first plan, for ever.

    Attributes:
        backend: "zarr" is Zarr v3 in a folder.
    """

    implementations: ClassVar[dict[str, str]] = {"zarr": "mtljobs.store.zarr_store:ZarrStore"}

    backend: Literal["zarr"] = "zarr"
