from __future__ import annotations

import pytest
import torch

from mtljobs.pruning.ranks import numerical_ranks


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def of_rank(rank: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """Matrices without a negative value, as behind a ReLU, of at most that rank."""
    maps, rows, columns = shape
    return draw(maps, rows, rank, seed=seed).abs() @ draw(maps, rank, columns, seed=seed + 1).abs()


def diagonal(*values: float) -> torch.Tensor:
    """A 12 x 16 map of single precision with those singular values, exactly."""
    maps = torch.zeros(12, 16)
    maps.diagonal()[: len(values)] = torch.tensor(values)
    return maps


def test_ranks_of_matrices_that_show_theirs():
    maps = torch.tensor(
        [
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]],
            [[1.0, 0.0, 0.0], [0.0, 0.0, 5.0]],
            [[0.0, 0.0, 0.0], [0.0, 1e-30, 0.0]],
        ]
    )
    assert numerical_ranks(maps).ranks.tolist() == [0, 1, 2, 1]
    assert numerical_ranks(maps.mT).ranks.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("size", [(24, 32), (32, 24), (18, 18), (1, 7), (96, 128)])
def test_random_and_rectified_maps_have_the_rank_that_torch_finds(size):
    maps = draw(32, *size)
    sparse = (maps - 2).relu()  # 2 % are not 0
    for some in (maps, maps.relu(), sparse, 1e-12 * maps, 1e12 * maps):
        assert torch.equal(numerical_ranks(some).ranks, torch.linalg.matrix_rank(some))
    assert len(set(numerical_ranks(sparse).ranks.tolist())) > 1


@pytest.mark.parametrize("rank", [0, 1, 5, 20])
@pytest.mark.parametrize("size", [(24, 32), (32, 24)])
def test_maps_that_are_products_have_the_rank_of_their_factors(rank, size):
    found = numerical_ranks(of_rank(rank, 16, *size))
    assert found.ranks.tolist() == [rank] * 16
    assert found.by_svd == 0


def test_maps_of_a_network_have_the_ranks_that_torch_finds(lived_in):
    network = lived_in()
    images = draw(2, 3, 64, 96).sigmoid()
    found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def compare(_, inputs, output):
        maps = output.flatten(0, 1)
        found.append((numerical_ranks(maps).ranks, torch.linalg.matrix_rank(maps)))

    for modules in network.feature_maps().values():
        for module in modules:
            module.register_forward_hook(compare)
    with torch.no_grad():
        network(images, network.tasks)

    assert len(found) == 26 + 10 * 3 + 10 * 3  # the attention blocks once for each task
    ours, theirs = (torch.cat(ranks) for ranks in zip(*found, strict=True))
    assert torch.equal(ours, theirs)
    assert {0, 1, 64} <= set(ours.tolist())  # dead, nearly dead and whole


TOLERANCE = 16 * 2.0**-23
"""Of 12 x 16 in single precision, as a part of the largest singular value."""


@pytest.mark.parametrize("largest", [1.0, 0.25, 2.0**-50])
@pytest.mark.parametrize(
    ("distance", "by_svd"),
    [(1e-2, 0), (1e-5, 2)],  # squares are known to 28 * 2.2e-16: 1e-3 of the tolerance
)
def test_value_counts_above_the_tolerance_of_single_precision(largest, distance, by_svd):
    above = diagonal(1.0, 0.5, (1 + distance) * TOLERANCE)
    below = diagonal(1.0, 0.5, (1 - distance) * TOLERANCE)
    found = numerical_ranks(largest * torch.stack([above, below]))
    assert (found.ranks.tolist(), found.by_svd) == ([3, 2], by_svd)


def test_maps_in_double_precision_have_the_rank_that_torch_finds():
    maps = torch.cat([of_rank(5, 4, 24, 32).double(), draw(4, 24, 32).double().relu()])
    exact = of_rank(5, 4, 24, 32, seed=7).double().round()
    assert torch.equal(numerical_ranks(maps).ranks, torch.linalg.matrix_rank(maps))
    assert torch.equal(numerical_ranks(exact).ranks, torch.linalg.matrix_rank(exact))


def test_rank_of_a_map_does_not_depend_on_its_neighbours():
    maps = torch.cat([draw(6, 12, 16).relu(), of_rank(3, 6, 12, 16), torch.zeros(2, 12, 16)])
    alone = [int(numerical_ranks(one[None]).ranks) for one in maps]
    assert numerical_ranks(maps).ranks.tolist() == alone
