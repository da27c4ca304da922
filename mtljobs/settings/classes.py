"""The classes of published data sets, in the order of their labels."""

from __future__ import annotations

NYU13_CLASSES = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects",
    "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
"""NYUv2's 13 classes in the order of their labels 0 to 12.

Source: Couprie et al., Indoor Semantic Segmentation using depth information (arXiv:1301.3572).
"""

NYU40_CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
"""NYUv2's 40 classes in the order of their labels 0 to 39.

Source: Gupta et al., Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images
(CVPR 2013), and the `classMapping40.mat` of its authors.
"""

NYU13_OF_40 = (
    11, 4, 5, 0, 3, 8, 9, 11, 12, 5, 7, 5, 12, 9, 5, 12, 5, 6, 6, 4,
    6, 2, 1, 5, 10, 6, 6, 6, 6, 6, 6, 5, 6, 6, 6, 6, 6, 6, 5, 6,
)  # fmt: skip
"""Position in `NYU13_CLASSES` of each of `NYU40_CLASSES`, as `class13Mapping.mat` has it."""

CITYSCAPES19_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
"""Cityscapes' 19 evaluated classes in the order of their trainIds 0 to 18.

Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding
(arXiv:1604.01685), and the `labels.py` that comes with it.
"""

CITYSCAPES7_CLASSES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
"""The categories of `CITYSCAPES19_CLASSES`."""

CITYSCAPES7_OF_19 = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6)
"""Position in `CITYSCAPES7_CLASSES` of each of `CITYSCAPES19_CLASSES`."""
