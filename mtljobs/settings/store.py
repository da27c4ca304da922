"""Where arrays are kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Store:
    """The backend of a run's results; chosen by a run's first plan, for ever.

    Attributes:
        backend: "zarr" is Zarr v3 in a folder, a file per chunk. "hdf5" is one netCDF-4 file, for
            tools that read no Zarr: a merge copies the store whole and needs the room for both, and
            damage between its chunks may cost them all.
    """

    implementations: ClassVar[dict[str, str]] = {
        "zarr": "mtljobs.store.zarr_store:ZarrStore",
        "hdf5": "mtljobs.store.hdf5_store:Hdf5Store",
    }

    backend: Literal["zarr", "hdf5"] = "zarr"
