"""Normals have length 1 in any number format."""

from __future__ import annotations

import pytest
import torch

from mtljobs.models.predictions import normalise_normals


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_normal_of_length_0_stays_0_and_all_others_get_length_1_in(dtype):
    # In the columns: nothing, a vector whose squares vanish in float16, 3-4-0.
    raw = torch.tensor([[0.0, 1e-4, 300.0], [0.0, 0.0, 400.0], [0.0, 0.0, 0.0]])
    raw = raw.to(dtype)[None, :, None, :].requires_grad_()
    normals = normalise_normals({"normals": raw})["normals"]
    normals.sum().backward()
    expected = torch.tensor([[0.0, 1.0, 0.6], [0.0, 0.0, 0.8], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(normals[0, :, 0].float(), expected, atol=1e-4, rtol=0)
    assert raw.grad.isfinite().all()
    assert not raw.grad[0, :, 0, 0].any()
