"""Scores and curves of Quantus 0.5.3, unmodified, for items that another process prepared.

python quantus_053.py QUANTUS CASE..., QUANTUS the folder that 0.5.3 is installed in. A case is a
folder with `item.json` (network, task, group), `weights.safetensors` and `arrays.npz` (image,
clean, masks, map); `scores.npz` comes to lie beside them (area, scores from step 0 on).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn


class Item(nn.Module):
    """One image in, the item's score out; every score is kept."""

    def __init__(self, case: Path) -> None:
        from networks import build_network, build_tasks

        super().__init__()
        item = json.loads((case / "item.json").read_text())
        arrays = np.load(case / "arrays.npz")
        self.task = item["task"]
        self.network = build_network(item["network"])
        self.network.load_state_dict(load_file(case / "weights.safetensors"))
        self.score = build_tasks()[self.task].score
        self.given = {
            "clean": torch.tensor(arrays["clean"])[None],
            "mask": torch.tensor(arrays["masks"])[item["group"]][None],
            "group": torch.tensor([item["group"]]),
        }
        self.kept = []

    def forward(self, images):
        score = self.score(self.network(images, (self.task,))[self.task], **self.given)
        self.kept.append(score.item())
        return score.double()[:, None]


def judge(case: Path) -> None:
    from quantus import IROF

    arrays = np.load(case / "arrays.npz")
    item = Item(case).eval()
    [area] = IROF(return_aggregate=False, disable_warnings=True)(
        model=item,
        x_batch=arrays["image"][None],
        y_batch=np.zeros(1, dtype=int),
        a_batch=arrays["map"][None, None],
        channel_first=True,
        softmax=False,
        device="cpu",
    )
    np.savez(case / "scores.npz", area=area, scores=np.array(item.kept))


if __name__ == "__main__":
    # numpy 2 is newer than 0.5.3, which still may call what will be removed.
    warnings.simplefilter("ignore")
    quantus, *cases = map(Path, sys.argv[1:])
    sys.path.insert(0, str(quantus))
    import quantus as found

    assert found.__version__ == "0.5.3", found.__file__
    assert Path(found.__file__).is_relative_to(quantus), found.__file__
    torch.set_num_threads(1)
    for case in cases:
        judge(case)
