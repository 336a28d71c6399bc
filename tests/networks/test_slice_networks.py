"""2-D networks over the slices of volumes: what they see, what joins it, and what fits them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import safetensors.torch
import torch

from medcls.config.sections.slices import SlicePooling, SliceSettings
from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, UsageError, WeightsError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import ClassificationNetwork, build_network, load_weights
from medcls.networks.volumes.planes import added, cut, joined
from medcls.networks.volumes.pooling import GatedAttention, MaximumOverSlices, pooling_of

torch.set_num_threads(1)

POOLINGS = get_args(SlicePooling)


def over_slices(name: str = "smallcnn", channels: int = 1, **slices: Any) -> Any:
    torch.manual_seed(0)
    settings = ModelSettings(name=name, slices=SliceSettings(**slices))
    return build_network(settings, dimensions=3, channels=channels, classes=2).eval()


def plain(name: str = "smallcnn", channels: int = 1) -> ClassificationNetwork:
    torch.manual_seed(1)
    return build_network(ModelSettings(name=name), dimensions=2, channels=channels, classes=2).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_upright_and_maps_on_them_find_back(axis: int) -> None:
    volumes = noise(2, 1, 3, 4, 5)
    slices = cut(volumes, axis)
    first, second = (other for other in range(3) if other != axis)
    assert slices.shape == (2 * volumes.shape[2 + axis], 1, volumes.shape[2 + second], volumes.shape[2 + first])
    assert torch.equal(joined(slices[:, 0], axis, 2), volumes[:, 0])
    # In a volume of R, A, S the top left pixel is the patient's right, front and head, as far as the slice has them.
    highest = [volumes.shape[2 + other] - 1 for other in (0, 1, 2)]
    highest[axis] = 1
    assert slices[1, 0, 0, 0] == volumes[0, 0, highest[0], highest[1], highest[2]]


def test_neighbours_are_channels_and_the_last_slices_are_repeated() -> None:
    volumes = noise(1, 2, 4, 4, 3)
    plainly, with_neighbours = cut(volumes, 2), cut(volumes, 2, 1)
    assert with_neighbours.shape == (3, 6, 4, 4)
    for middle, (before, after) in enumerate([(0, 1), (0, 2), (1, 2)]):
        expected = torch.cat([plainly[before], plainly[middle], plainly[after]])
        assert torch.equal(with_neighbours[middle], expected)


@pytest.mark.parametrize("plane", ["x", "y", "z"])
def test_with_the_mean_the_score_is_that_of_the_2d_network_over_all_slices(plane: str) -> None:
    network, flat, volumes = over_slices(plane=plane, pooling="mean"), plain(), noise(2, 1, 12, 8, 10)
    network.load_state_dict(flat.state_dict())  # the very names
    scores = flat(cut(volumes, "xyz".index(plane)))
    torch.testing.assert_close(network(volumes), scores.unflatten(0, (2, -1)).mean(1))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_trains_and_takes_any_number_of_slices(pooling: str) -> None:
    network = over_slices(pooling=pooling, plane="three").train()
    for depth in (5, 9):
        assert network(noise(2, 1, 8, 8, depth)).shape == (2, 2)
    network(noise(2, 1, 8, 8, 6)).square().sum().backward()
    idle = [key for key, one in network.named_parameters() if one.grad is None or not one.grad.any()]
    assert [key for key in idle if not key.endswith("attention.bias")] == []  # which softmax takes away


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_batch_gives_what_its_volumes_give_and_what_training_would(pooling: str) -> None:
    network, volumes = over_slices(pooling=pooling), noise(3, 1, 8, 8, 6)
    with torch.no_grad():
        one_by_one = torch.cat([network(one[None]) for one in volumes])
        torch.testing.assert_close(network(volumes), one_by_one)
    torch.testing.assert_close(network(volumes).detach(), one_by_one)  # where gradients are kept, all slices at once


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_the_order_of_slices_counts_for_sequences_alone(pooling: str) -> None:
    volumes = noise(1, 1, 8, 8, 6)
    turned = volumes[..., [4, 2, 0, 1, 5, 3]]
    network = over_slices(pooling=pooling)
    torch.testing.assert_close(network(volumes), network(turned))
    for of_sequence in ("gru", "lstm", "transformer"):
        network = over_slices(pooling=of_sequence)
        assert (network(volumes) - network(turned)).abs().max() > 1e-6


def test_gated_attention_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    slices, pooling = noise(2, 5, 8), GatedAttention(8, hidden=4)
    for one in slices:
        v, u = pooling.content, pooling.gate
        scores = [
            pooling.attention(torch.tanh(v.weight @ h + v.bias) * torch.sigmoid(u.weight @ h + u.bias)).item()
            for h in one
        ]
        expected = torch.tensor(scores).exp() / torch.tensor(scores).exp().sum()
        torch.testing.assert_close(pooling.shares(one[None])[0], expected)
        torch.testing.assert_close(pooling(one[None])[0], (expected[:, None] * one).sum(0))


def test_shares_of_the_maximum_count_the_features_that_each_slice_gives() -> None:
    features = torch.tensor([[[5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0]]])
    torch.testing.assert_close(MaximumOverSlices().shares(features), torch.tensor([[0.25, 0, 0.75]]))
    assert pooling_of("mean", 4).shares(features) is None


@pytest.mark.parametrize("name", ["convnext_tiny", "mobilenet_v3_small", "densenet121"])
def test_every_head_pools_slices_and_is_explained_on_them(name: str) -> None:
    network = over_slices(name, plane="y", neighbours=1)
    found = grad_cam(network, noise(1, 1, 64, 3, 96), [1])
    assert found.maps.shape[2] == 3
    assert found.maps.shape[3] * 2 == found.maps.shape[1] * 3  # as high and wide as the slices


def test_maps_of_all_depths_join_in_each_slice_as_in_a_picture() -> None:
    torch.manual_seed(0)
    settings = ModelSettings(name="smallcnn", depths="all", slices=SliceSettings(pooling="mean"))
    network = build_network(settings, dimensions=3, channels=1, classes=2).eval()
    flat = build_network(ModelSettings(name="smallcnn", depths="all"), dimensions=2, channels=1, classes=2).eval()
    flat.load_state_dict(network.state_dict())
    volume = noise(1, 1, 8, 8, 3)
    torch.testing.assert_close(network(volume), flat(cut(volume, 2)).mean(0, keepdim=True))
    flat_maps = grad_cam(flat, cut(volume, 2), [1, 1, 1]).maps
    torch.testing.assert_close(grad_cam(network, volume, [1]).maps, joined(flat_maps, 2, 1) / 3)


def test_weights_of_a_2d_network_fit_with_its_channels_taken_into_neighbours(tmp_path: Any) -> None:
    flat = plain(channels=3)
    file = tmp_path / "flat.safetensors"
    safetensors.torch.save_file(flat.state_dict(), file)
    network = over_slices(channels=1, neighbours=1, pooling="mean")
    report = load_weights(network, file)
    assert (report.missing, report.unused) == ((), ())
    # Three slices are three channels here, whose weights are as they were where all are grey.
    grey = noise(1, 1, 8, 8, 1).expand(-1, -1, -1, -1, 4)
    torch.testing.assert_close(network(grey), flat(cut(grey, 2)[:1].expand(-1, 3, -1, -1)))
    solid = build_network(ModelSettings(name="smallcnn"), dimensions=3, channels=1, classes=2)
    safetensors.torch.save_file(solid.state_dict(), file)
    with pytest.raises(WeightsError, match="of a 3-D network, and this one is 2-D"):
        load_weights(network, file)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("plane", ["x", "y", "z", "three"])
def test_the_map_is_hot_where_the_lesion_is(plane: str, pooling: str) -> None:
    """A network whose one feature is brightness, cell by cell."""
    network = over_slices(plane=plane, pooling=pooling)
    network.backbone = torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Conv2d(1, 192, 1, bias=False))
    with torch.no_grad():
        network.backbone[1].weight.fill_(1.0)
        network.head.weight.copy_(torch.tensor([[0.0], [1.0]]).expand(-1, 192))
        for parameter in network.pooling.parameters():
            parameter.mul_(0.1)
    volumes = torch.zeros(2, 1, 8, 12, 10)
    volumes[0, 0, 6, 2, 7] = 1.0
    volumes[1, 0, 1, 9, 4] = 1.0
    maps = grad_cam(network, volumes, [1, 1]).maps
    for one, place in zip(maps, [(6, 2, 7), (1, 9, 4)], strict=True):
        cells = [int(index) for index in torch.unravel_index(one.argmax(), one.shape)]
        steps = [side // cells_of for side, cells_of in zip((8, 12, 10), one.shape, strict=True)]
        assert steps.count(1) == (3 if plane == "three" else 1)
        assert [abs(cell - at // step) <= 1 for cell, at, step in zip(cells, place, steps, strict=True)] == [True] * 3
        if plane != "three":
            assert cells == [at // step for at, step in zip(place, steps, strict=True)]


def test_maps_of_several_planes_keep_their_sum() -> None:
    fine, coarse = noise(1, 4, 4, 8), noise(1, 8, 2, 4)
    torch.testing.assert_close(added([fine]), fine)
    ones = added([torch.ones(1, 4, 4, 8), torch.ones(1, 8, 2, 4)])
    assert ones.shape == (1, 8, 4, 8)
    torch.testing.assert_close(ones.sum(), torch.tensor(128.0 + 64.0))
    assert added([fine, coarse]).shape == (1, 8, 4, 8)


def test_slices_need_volumes_whose_slices_are_large_enough() -> None:
    with pytest.raises(ConfigError, match=r"model\.slices: it takes volumes"):
        build_network(ModelSettings(slices=SliceSettings()), dimensions=2, channels=1, classes=2)
    network = over_slices(plane="z")
    network(noise(1, 1, 4, 4, 1))  # one slice is enough
    with pytest.raises(UsageError, match="at least 4"):
        network(noise(1, 1, 4, 3, 8))
