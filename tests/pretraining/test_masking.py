"""A network over visible patches alone: what is masked is never seen, and what is visible is computed as if sparse."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.layers import SpatialMean
from medcls.pretraining.masking import draw_visible, on_map, patch_grid, visible_alone, visible_maps
from medcls.pretraining.spark import SparK, masked_loss, pixels_of_cells

Place = tuple[int, int]


def network(name: str, dimensions: int = 2) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(ModelSettings(name=name), dimensions=dimensions, channels=1, classes=1)


def draws(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, one]) for one in range(count)]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("smallcnn", (28, 28)), ("smallcnn", (8, 8, 16)), ("resnet10", (64, 64)), ("densenet121", (64, 64))),
        *(("vgg11_bn", (64, 64)), ("convnext_tiny", (64, 96)), ("mobilenet_v3_small", (64, 64))),
    ],
)
def test_what_is_masked_never_reaches_the_maps(name: str, size: tuple[int, ...]) -> None:
    net = network(name, len(size)).train()
    net.dropout.p = 0
    grid = patch_grid(net, size)
    visible = draw_visible(grid, 0.6, draws(2))
    shown = on_map(visible, size)
    assert shown is not None
    one = torch.rand(2, 1, *size)
    other = torch.where(shown, one, torch.rand(2, 1, *size) * 9 - 4)
    with torch.no_grad():
        torch.manual_seed(1)  # stochastic depth
        first = visible_maps(net, one, visible)
        torch.manual_seed(1)
        second = visible_maps(net, other, visible)
        torch.manual_seed(1)
        third = visible_maps(net, torch.where(shown, 1 - one, one), visible)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, third, strict=True))  # what is visible does


def test_a_network_in_front_of_and_behind_a_mask_is_the_plain_one() -> None:
    net, images = network("smallcnn").eval(), torch.rand(1, 1, 28, 28)
    before = net.features(images)
    with visible_alone(net.backbone, torch.ones(1, 1, 7, 7, dtype=torch.bool)):
        assert torch.allclose(net.features(images), before, atol=1e-6)  # all is visible
    assert torch.equal(net.features(images), before)


def test_means_over_an_image_are_over_its_visible_part() -> None:
    images, visible = torch.rand(2, 3, 4, 4), draw_visible((2, 2), 0.75, draws(2))
    shown = on_map(visible, (4, 4))
    assert shown is not None
    wanted = torch.stack([image[:, mask[0]].mean(dim=1) for image, mask in zip(images, shown, strict=True)])
    for layer in (SpatialMean(), nn.AdaptiveAvgPool2d(1)):
        with visible_alone(layer, visible):
            assert torch.allclose(layer(images).flatten(1), wanted)


class Sparse:
    """The oracle: a map as a table of visible positions, and layers over what stands in it."""

    def __init__(self, image: Tensor, shown: Tensor) -> None:
        places = map(tuple, shown.nonzero().tolist())
        self.cells: dict[Place, Tensor] = {place: image[:, place[0], place[1]] for place in places}

    def convolve(self, weight: Tensor) -> None:
        def at(place: Place) -> Tensor:
            total = torch.zeros(len(weight), dtype=weight.dtype)
            for row, column in product(range(3), repeat=2):
                neighbour = self.cells.get((place[0] + row - 1, place[1] + column - 1))
                if neighbour is not None:
                    total = total + weight[:, :, row, column] @ neighbour
            return total

        self.cells = {place: at(place) for place in self.cells}

    def normalise(self, others: list[Sparse]) -> None:
        rows = torch.stack([cell for one in others for cell in one.cells.values()])
        mean, deviation = rows.mean(0), (rows.var(0, correction=0) + 1e-5).sqrt()
        self.normed = {place: ((cell - mean) / deviation).relu() for place, cell in self.cells.items()}

    def pool(self) -> None:
        found: dict[Place, list[Tensor]] = {}
        for (row, column), cell in self.cells.items():
            found.setdefault((row // 2, column // 2), []).append(cell)
        self.cells = {place: torch.stack(cells).amax(0) for place, cells in found.items()}


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.25, 0.5, 0.75]))
def test_masked_maps_are_those_of_a_sparse_network(seed: int, share: float) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
    ).double()
    images, visible = torch.rand(2, 2, 8, 8).double(), draw_visible((2, 2), share, draws(2, seed))
    with visible_alone(net, visible), torch.no_grad():
        dense = net(images)
    first, second = net[0].weight.detach(), net[4].weight.detach()
    shown = on_map(visible, (8, 8))
    assert shown is not None
    sparse = [Sparse(image, mask[0]) for image, mask in zip(images, shown, strict=True)]
    for one in sparse:
        one.convolve(first)
    for one in sparse:
        one.normalise(sparse)
    for number, one in enumerate(sparse):
        one.cells = one.normed
        one.pool()
        one.convolve(second)
        for (row, column), cell in one.cells.items():
            assert torch.allclose(dense[number, :, row, column], cell)
    rows = torch.cat([torch.stack(list(one.normed.values())) for one in sparse])
    assert len(rows) == int(shown.sum())


@given(
    grid=st.lists(st.integers(1, 6), min_size=2, max_size=3).filter(lambda one: np.prod(one) > 1),
    share=st.floats(0.01, 0.99),
)
def test_as_many_patches_of_each_image_are_masked(grid: list[int], share: float) -> None:
    hidden = (~draw_visible(grid, share, draws(3))).flatten(1).sum(1).tolist()
    assert len(set(hidden)) == 1
    assert 1 <= hidden[0] < np.prod(grid)
    assert abs(hidden[0] - share * np.prod(grid)) <= 1


def test_a_size_that_cannot_be_parted_is_told_one_that_can() -> None:
    with pytest.raises(ConfigError, match=r"at 32 x 32 x 32 .* or preprocessing\.size: \[64, 64, 64\]"):
        patch_grid(network("resnet10", dimensions=3), (32, 32, 32))
    assert patch_grid(network("resnet10", dimensions=3), (64, 64, 64)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("vit_s_16", (32, 32), "needs a convolutional network"),
        ("resnet10", (40, 40), "at 40 x 40 its maps cannot be parted"),
        ("allcnn", (32, 32), "cannot be parted"),
    ],
)
def test_a_network_that_cannot_be_masked_is_one_line(name: str, size: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} cannot be pretrained by spark: .*{words}.*Choose simsiam"):
        patch_grid(network(name), size)


@given(seed=st.integers(0, 100), axes=st.sampled_from([2, 3]))
def test_only_masked_patches_count_and_each_by_its_own_mean_and_spread(seed: int, axes: int) -> None:
    torch.manual_seed(seed)
    images, drawn = torch.rand(2, 2, *(4,) * axes), torch.rand(2, 2, *(4,) * axes)
    visible = draw_visible((2,) * axes, 0.5, draws(2, seed))
    errors = []
    for number, place in product(range(2), product(range(2), repeat=axes)):
        if not visible[(number, 0, *place)]:
            part = (number, slice(None), *(slice(2 * one, 2 * one + 2) for one in place))
            wanted = (images[part] - images[part].mean()) / (images[part].var(correction=0) + 1e-6).sqrt()
            errors.append((drawn[part] - wanted).square().mean())
    assert torch.isclose(masked_loss(drawn, images, visible), torch.stack(errors).mean())
    shown = on_map(visible, (4,) * axes)
    assert shown is not None
    assert torch.equal(
        masked_loss(torch.where(shown, drawn + 7, drawn), images, visible), masked_loss(drawn, images, visible)
    )


def test_pixels_of_cells_are_laid_out_as_by_torch() -> None:
    values = torch.rand(2, 3 * 4, 5, 6)
    assert torch.equal(pixels_of_cells(values, (2, 2)), nn.functional.pixel_shuffle(values, 2))
    assert pixels_of_cells(torch.rand(1, 2 * 3, 4, 4, 5), (1, 1, 3)).shape == (1, 2, 4, 4, 15)


def test_spark_draws_what_it_was_shown_in_a_few_steps() -> None:
    torch.manual_seed(0)
    learner = SparK(network("smallcnn"), (16, 16), 0.5)
    rows = torch.linspace(0, 12, 16)
    images = torch.sin(rows[:, None] + rows)[None, None].repeat(4, 1, 1, 1)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for _ in range(25):
        loss, _figures = learner([images], draws(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    last = float(loss.detach())
    assert learner.doubt({"loss": 1.0}).startswith("pretraining LEARNT NOTHING")
    assert last < 0.7
    assert learner.doubt({"loss": last}) == ""
