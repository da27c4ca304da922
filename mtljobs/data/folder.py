"""A user's own images, labels, depth and normals, as a small TOML describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from mtljobs.contracts import DatasetInfo, Progress, Sample, Split
from mtljobs.data.cache import SampleCache
from mtljobs.data.description import Description, find_ids, read_description
from mtljobs.data.rasters import read_depth, read_image, read_labels, read_normals
from mtljobs.data.resizing import resize
from mtljobs.errors import DataError
from mtljobs.settings.base import canonical, digest


class Folder:
    """One split of a folder of images at the experiment's size.

    Files are resized as `mtljobs.data.resizing` says. The first 512 MiB of samples stay in memory.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the settings' field)
        size: tuple[int, int],
        info: DatasetInfo,
        split: Split,
        root: Path | None,
    ) -> None:
        """A split as it was prepared; files are opened when a sample is asked for.

        Raises:
            DataError: No folder is given, or there is none.
        """
        if root is None:
            raise DataError(
                f'the grid does not say where the images of {id!r} are: add {id} = "FOLDER" to '
                "[resources.data]."
            )
        if not root.is_dir():
            raise DataError(f"[resources.data] says that {id!r} is in {root}, which is no folder.")
        self._root, self._size, self._ids = root, size, info.splits[split]
        self._described = TypeAdapter(Description).validate_python(info.description["toml"])
        self._digests: Mapping[str, str] = info.description["digests"]
        self._cache = SampleCache(len(self._ids))

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, index: int) -> Sample:
        return self._cache.get(index, self._load)

    def _load(self, index: int) -> Sample:
        name = self._ids[index]
        files = read_files(self._described, self._root, name)
        sample = decode(self._described, files)
        if digest_of(files) != self._digests[name]:
            paths = ", ".join(str(path) for path, _ in files.values())
            raise DataError(
                f"the files of image {name!r} ({paths}) are not those that were prepared: restore "
                "them, or run `mtljobs data prepare` again, which makes another data set of them."
            )
        described = self._described
        camera = described.camera if described.computes_normals else None
        return resize(sample, self._size, camera=camera, reach=described.normals.reach)


def prepare(description: Path, root: Path, *, progress: Progress | None = None) -> DatasetInfo:
    """What plans and shards need to know of a folder; reads and checks every file once.

    Args:
        description: A TOML file; see `mtljobs.data.description`.
        root: The folder that its patterns count from.

    Raises:
        DataError: The description or a file is not what it should be, or a split is empty.
    """
    described = read_description(description)
    ids = find_images(described, root)
    try:
        splits = described.split.assign(ids)
    except DataError as error:
        error.add_note(f"[split] is in {description}; the {len(ids)} images are in {root}.")
        raise
    digests, sizes = {}, {}
    for done, name in enumerate(ids):
        files = read_files(described, root, name)
        sizes[name] = decode(described, files)["image"].shape[1:]
        digests[name] = digest_of(files)
        if progress is not None:
            progress(done + 1, len(ids), name)
    toml = canonical(described)
    return DatasetInfo(
        id=described.id,
        splits=splits,
        class_names=described.segmentation.classes if described.segmentation else (),
        tasks=described.tasks(),
        size=_common_size(described, sizes),
        depth_unit=described.depth.unit if described.depth else "m",
        depth_scale=described.depth.max if described.depth else 1.0,
        sha256=digest([toml, digests]),
        description={"name": "folder", "toml": toml, "digests": digests},
        preview_allowed=described.preview_allowed,
    )


def find_images(described: Description, root: Path) -> tuple[str, ...]:
    """Ids of the images in a folder, sorted.

    Raises:
        DataError: There is no folder, or no image in it.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; --root is where the images of {described.id!r} are.")
    ids = find_ids(described.image.files, root)
    if not ids:
        raise DataError(
            f"no file below {root} matches {described.image.files!r}, the pattern of [image]; "
            "{id} stands for any part of a path, and the pattern counts from --root."
        )
    return ids


def _common_size(
    described: Description, sizes: Mapping[str, tuple[int, int]]
) -> tuple[int, int] | None:
    """The (rows, columns) of all images; None where they differ.

    Raises:
        DataError: They differ, and normals are computed with the intrinsics of one camera.
    """
    (first, size), *others = sizes.items()
    for name, other in others:
        if other == size:
            continue
        if described.computes_normals:
            raise DataError(
                f"image {name!r} has {other[0]} x {other[1]} pixels, image {first!r} {size[0]} x "
                f"{size[1]}; [camera] holds for one size: describe each camera's images in a TOML "
                "of their own, or leave [camera] out."
            )
        return None
    return size


Files = Mapping[str, tuple[Path, bytes]]
"""Field -> where it was read, and the file's content."""


def read_files(described: Description, root: Path, name: str) -> Files:
    """The files of one image, unopened.

    Raises:
        DataError: One is missing or unreadable.
    """
    return {field: read_file(described, root, name, field) for field in described.patterns()}


def read_file(described: Description, root: Path, name: str, field: str) -> tuple[Path, bytes]:
    """One of the files of an image, unopened.

    Raises:
        DataError: It is missing or unreadable.
    """
    pattern = described.patterns()[field]
    path = root / pattern.replace("{id}", name)
    try:
        return path, path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); [{field}] files = {pattern!r} promises "
            f"such a file for every image, here for {name!r}."
        ) from error


def digest_of(files: Files) -> str:
    """SHA-256 of the contents of one image's files."""
    contents = {field: hashlib.sha256(content).hexdigest() for field, (_, content) in files.items()}
    return digest(contents)


def decode(described: Description, files: Files) -> Sample:
    """The fields of one image at native size; without normals that must be computed.

    Raises:
        DataError: A file is not what the description says, or not of the image's size.
    """
    sample = {field: decode_field(described, field, *file) for field, file in files.items()}
    rows, columns = sample["image"].shape[1:]
    for field, values in sample.items():
        if values.shape[-2:] != (rows, columns):
            raise DataError(
                f"{files[field][0]} has {values.shape[-2]} x {values.shape[-1]} pixels (rows x "
                f"columns), its image {files['image'][0]} {rows} x {columns}; they must agree."
            )
    return sample


def decode_field(described: Description, field: str, path: Path, content: bytes) -> np.ndarray:
    """What a file holds, in the conventions of `mtljobs.contracts`.

    Raises:
        DataError: It is not what the description says.
    """
    if field == "segmentation" and described.segmentation:
        return read_labels(path, content, described.segmentation)
    if field == "depth" and described.depth:
        return read_depth(path, content, described.depth)
    if field == "normals":
        return read_normals(path, content, described.normals)
    return read_image(path, content, described.image)
