"""All depths: every block's map joins the last on its grid, and what is linear in the mean stays so."""

from __future__ import annotations

import copy

import pytest
import torch

from medcls.classifier.forward import torch_features, torch_scores
from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.families import family_of

torch.set_num_threads(1)
NAMES = (("resnet10", 2), ("resnet10", 3), ("densenet121", 2), ("efficientnet_lite0", 2), ("smallcnn", 3))


def make(name: str = "resnet10", dimensions: int = 2, **more: object) -> ClassificationNetwork:
    torch.manual_seed(0)
    settings = ModelSettings.model_validate({"name": name, "depths": "all", **more})
    return build_network(settings, dimensions=dimensions, channels=1, classes=2).eval()


def noise(dimensions: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(2, 1, *(size,) * dimensions, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "dimensions"), NAMES)
def test_what_the_head_pools_are_the_means_of_every_map_and_its_spread_within_cells(name: str, dimensions: int) -> None:
    network, images = make(name, dimensions), noise(dimensions, max(32, family_of(name).smallest))
    axes = tuple(range(2, dimensions + 2))
    maps: list[torch.Tensor] = []
    for children in list(network.blocks.values())[:-1]:
        network.backbone.get_submodule(children[-1]).register_forward_hook(lambda _m, _i, out: maps.append(out))
    with torch.no_grad():
        last = network.backbone(images)
        parts = [last.mean(axes)]
        for one in maps:
            sides = [found // wanted for found, wanted in zip(one.shape[2:], last.shape[2:], strict=True)]
            assert [side * wanted for side, wanted in zip(sides, last.shape[2:], strict=True)] == list(one.shape[2:])
            cells = one
            for axis, side in zip(axes, sides, strict=True):
                cells = cells.unfold(axis, side, side)
            cells = cells.flatten(dimensions + 2)
            parts.append(one.mean(axes))
            if cells.shape[-1] > 1:
                parts.append(cells.std(-1, correction=0).mean(axes))
        pooled = network.head.pool(network.features(images))
    assert pooled.shape[1] == network.head.in_features
    torch.testing.assert_close(pooled, torch.cat(parts, dim=1), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "dimensions"), NAMES[:2])
def test_maps_are_in_closed_form_and_sum_to_the_score(name: str, dimensions: int) -> None:
    network, images = make(name, dimensions), noise(dimensions)
    torch.nn.init.uniform_(network.head.weight[:1], 0, 1)  # so that the ReLU takes nothing away
    with torch.no_grad():
        network.head.weight[1] = 0
    result = grad_cam(network, images, [0, 0], multilabel=True)
    with torch.no_grad():
        torch.testing.assert_close(result.maps.flatten(1).sum(1), network(images)[:, 0], atol=1e-4, rtol=1e-4)
    network.explained = "depths"  # the layer that joins the maps
    network.head.linear_over_mean = False  # so that gradients are taken
    by_gradients = grad_cam(network, images, [0, 0], multilabel=True)
    torch.testing.assert_close(by_gradients.maps, result.maps, atol=1e-5, rtol=1e-4)


def test_texture_that_the_last_map_cannot_tell_is_seen() -> None:
    """Two images whose last maps are the same: the blocks before differ by a pattern that later layers do not pass on."""
    network = make("smallcnn")
    with torch.no_grad():
        for parameter in network.backbone.get_submodule(list(network.blocks.values())[-1][0]).parameters():
            parameter.zero_()
    one, other = noise()[:1], noise()[1:]
    plain, deep = (network.head.pool(features) for features in (network.backbone(one), network.features(one)))
    assert torch.equal(network.backbone(one), network.backbone(other))
    assert not torch.equal(deep, network.head.pool(network.features(other)))
    assert plain.shape[1] < deep.shape[1]


def test_a_copy_is_a_network_of_its_own() -> None:
    network, images = make(), noise()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        expected = network(images)
        for parameter in twin.parameters():
            parameter.zero_()
        twin(images)
        assert torch.equal(network(images), expected)


def test_mirrored_features_are_means_and_their_scores_those_of_the_network() -> None:
    network, images = make(mirror=["x", "y"]), noise().numpy()
    pooled = torch.from_numpy(torch_features(network)(images))
    with torch.no_grad():
        scores = network.head(pooled)
    torch.testing.assert_close(scores, torch.from_numpy(torch_scores(network)(images)), atol=1e-5, rtol=1e-5)
    plain = torch.from_numpy(torch_features(make())(images))
    assert not torch.allclose(plain, pooled)
    torch.testing.assert_close(torch.from_numpy(torch_features(network)(images[..., ::-1].copy())), pooled)


def test_with_reduced_numbers_the_spread_keeps_its_digits() -> None:
    """On maps far from zero the difference of squares is lost in bfloat16: it is taken in float32."""
    depths, map_ = make().depths, 100 + noise(size=16)
    assert depths is not None
    exact = depths._on_grid(map_.bfloat16().float(), torch.zeros(2, 1, 4, 4), True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = depths._on_grid(map_.bfloat16(), torch.zeros(2, 1, 4, 4), True)
    assert torch.equal(found, exact)
    assert found[:, 1].min() > 0.3


def test_a_network_without_such_maps_is_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.depths"):
        make("convnext_tiny")
