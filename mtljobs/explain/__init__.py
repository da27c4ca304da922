"""Where the evidence for a prediction lies, and whether it holds when it is taken away.

The names below are functions for anybody's torch model. `grad_cam` and `irof` are modules of this
room too, found by `from mtljobs.explain.irof import IROF`.
"""

from mtljobs.explain.library import Curves, grad_cam, irof

__all__ = ["Curves", "grad_cam", "irof"]
