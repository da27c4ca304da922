"""Networks and tasks that two processes build alike: the test's, and the oracle's."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from mtljobs.contracts import DatasetInfo
from mtljobs.settings import build
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN
from mtljobs.tasks.depth import Depth
from mtljobs.tasks.normals import Normals
from mtljobs.tasks.segmentation import Segmentation

INFO = DatasetInfo(
    id="small",
    splits={},
    class_names=("wall", "floor", "chair", "lamp"),
    tasks=("segmentation", "depth", "normals"),
    size=None,
    depth_unit="m",
    depth_scale=1.0,
    sha256=None,
)
WIDTH = 1 / 16


def build_tasks():
    tasks = Segmentation(info=INFO), Depth(bins=3, info=INFO), Normals(info=INFO)
    return {task.name: task for task in tasks}


class Classifier(nn.Module):
    """A ResNet of torchvision's; a class's probability is the logit of the only pixel."""

    tasks = ("segmentation",)

    def __init__(self) -> None:
        super().__init__()
        self.layers = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=len(INFO.class_names))

    def forward(self, images: Tensor, tasks: tuple[str, ...]) -> dict[str, Tensor]:
        shares = self.layers(images).softmax(dim=1)
        return dict.fromkeys(tasks, shares[:, :, None, None])


def build_network(name: str) -> nn.Module:
    """The network in evaluation mode, with weights that the caller replaces or seeded."""
    if name == "classifier":
        return Classifier().eval()
    choice = {
        "deeplab": DeepLabResNet(name="deeplab_resnet", width=WIDTH),
        "segnet": SegNetMTAN(name="segnet_mtan", width=WIDTH),
    }[name]
    channels = {name: task.channels for name, task in build_tasks().items()}
    return build(choice, channels=channels, widths=None).eval()
