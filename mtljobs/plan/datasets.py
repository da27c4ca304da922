"""What a plan knows of a data set: `dataset.json`, or what a synthetic set's settings say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import GridError, UserError
from mtljobs.ledger.files import replace_file, to_json
from mtljobs.ledger.paths import Workspace, create_folder
from mtljobs.settings.data import DataChoice, Published, Synthetic


def info_path(workspace: Workspace, dataset_id: str) -> Path:
    """Where `mtljobs data prepare` writes."""
    return workspace.data / dataset_id / "dataset.json"


def write_info(workspace: Workspace, info: DatasetInfo) -> Path:
    """Write `dataset.json`; replaces an older one.

    Raises:
        UserError: The older one is of another kind of data set.
    """
    prepared_before(workspace, info.id, prepared_as(info))
    path = info_path(workspace, info.id)
    create_folder(path.parent)
    replace_file(path, to_json(dataclasses.asdict(info)))
    return path


def prepared_before(workspace: Workspace, dataset_id: str, name: str) -> DatasetInfo | None:
    """What an earlier `mtljobs data prepare` wrote for an id; None where nothing is to be kept.

    Args:
        name: What is being prepared now.

    Raises:
        UserError: The id is another kind of data set's.
    """
    path = info_path(workspace, dataset_id)
    try:
        info = read_info(path) if path.is_file() else None
    except GridError:
        return None  # damaged: written anew
    if info is not None and prepared_as(info) != name:
        raise UserError(
            f"{path} describes a data set that was prepared as {prepared_as(info)!r}, not "
            f"{name!r}: choose another id, or remove that folder first."
        )
    return info


def prepared_as(info: DatasetInfo) -> str:
    """The `name` that a grid gives a prepared data set."""
    name: str = info.description.get("name", "folder")
    return name


def read_info(path: Path) -> DatasetInfo:
    """The `DatasetInfo` that `write_info` wrote.

    Raises:
        GridError: The file is not one of ours.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["splits"] = {split: tuple(ids) for split, ids in values["splits"].items()}
        values["class_names"] = tuple(values["class_names"])
        values["tasks"] = tuple(values["tasks"])
        values["size"] = values["size"] and tuple(values["size"])
        return DatasetInfo(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_ours(path, error) from error


def _not_ours(path: Path, error: Exception) -> GridError:
    return GridError(
        f"{path} is no description of a data set ({error!r}); write it again with "
        "`mtljobs data prepare`."
    )


def dataset_info(choice: DataChoice, workspace: Workspace) -> DatasetInfo:
    """What may be known of a grid's data set without opening an image.

    Raises:
        GridError: The set must be prepared first, or was prepared as something else.
    """
    if isinstance(choice, Synthetic):
        return choice.info()
    path = info_path(workspace, choice.id)
    if path.is_file():
        return _prepared_info(choice, path)
    if isinstance(choice, Published):
        return choice.published()
    raise GridError(
        f"the data set {choice.id!r} is not prepared in the workspace {workspace.root}: "
        "`mtljobs data prepare DESCRIPTION.toml --root FOLDER` reads its files once and "
        f"writes {path}."
    )


def _prepared_info(choice: DataChoice, path: Path) -> DatasetInfo:
    info = read_info(path)
    name = prepared_as(info)
    if name != choice.name:
        raise GridError(
            f"{path} describes a data set that was prepared as {name!r}; the grid says name = "
            f"{choice.name!r}. Give each data set an id of its own."
        )
    if not isinstance(choice, Published):
        return info
    try:
        return choice.seen(info)
    except KeyError as error:
        raise _not_ours(path, error) from error


def data_folder(
    choice: DataChoice, workspace: Workspace, folders: Mapping[str, str]
) -> Path | None:
    """Where the files are that samples are read from.

    Args:
        folders: `[resources.data]`; for a set that was prepared whole, it may name a copy of the
            prepared folder on a faster disk.
    """
    if isinstance(choice, Published) and choice.id not in folders:
        return info_path(workspace, choice.id).parent
    return Path(folders[choice.id]) if choice.id in folders else None
