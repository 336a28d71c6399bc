"""Grad-CAM, in closed form and by gradients, held against Captum's and MONAI's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks
from medcls.networks.heads import TokenHead

torch.set_num_threads(1)

SHAPES = [(name, axes, size) for name in ("densenet121", "resnet18", "resnet50") for axes, size in ((2, 64), (3, 32))]


def make(name: str = "resnet10", dimensions: int = 2, classes: int = 3) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(
        ModelSettings(name=name, dropout=0.4, first_pool=False), dimensions=dimensions, channels=2, classes=classes
    ).eval()


def noise(dimensions: int = 2, size: int = 64, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 2, *(size,) * dimensions, generator=torch.Generator().manual_seed(1))


class Difference(torch.nn.Module):
    """Of two scores, each less the other: what softmax over them sees."""

    def __init__(self, network: ClassificationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.network(images)
        return scores - scores.flip(1)


@pytest.mark.parametrize(("name", "dimensions", "size"), SHAPES)
@pytest.mark.parametrize("classes", [2, 3])
def test_equals_captum(name: str, dimensions: int, size: int, classes: int) -> None:
    from captum.attr import LayerGradCam

    network, images = make(name, dimensions, classes), noise(dimensions, size)
    whole = Difference(network).eval() if classes == 2 else network
    targets = torch.tensor([1, 0])
    peer = LayerGradCam(whole, network.backbone).attribute(images, targets, relu_attributions=True).squeeze(1)
    result = grad_cam(network, images, targets)
    assert result.maps.max() > 0
    torch.testing.assert_close(result.maps, peer.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize(("name", "dimensions", "size"), SHAPES)
def test_equals_the_raw_map_of_monai(name: str, dimensions: int, size: int) -> None:
    from monai.visualize import GradCAM

    network, images = make(name, dimensions), noise(dimensions, size, batch=1)
    peer = GradCAM(network, target_layers="backbone").compute_map(images, class_idx=2)
    torch.testing.assert_close(grad_cam(network, images, [2]).maps, peer[:, 0], atol=1e-5, rtol=1e-5)


def test_several_labels_at_once_are_explained_one_by_one() -> None:
    network, images = make(classes=2), noise()
    maps = grad_cam(network, images, [1, 1], multilabel=True).maps
    features = network.features(images).detach()
    expected = torch.einsum("bkxy,k->bxy", features, network.head.weight[1].detach()).relu() / features[0, 0].numel()
    torch.testing.assert_close(maps, expected)
    assert not torch.allclose(maps, grad_cam(network, images, [1, 1]).maps)


def test_without_the_relu_the_map_sums_to_the_score() -> None:
    network, images = make(), noise()
    torch.nn.init.uniform_(network.head.weight, 0, 1)  # so that the ReLU takes nothing away
    torch.nn.init.zeros_(network.head.bias)
    result = grad_cam(network, images, [0, 2])
    chosen = result.logits[torch.arange(2), torch.tensor([0, 2])]
    torch.testing.assert_close(result.maps.flatten(1).sum(1), chosen)


def test_a_map_does_not_depend_on_the_rest_of_the_batch() -> None:
    network, images = make(), noise(batch=4)
    targets = torch.tensor([2, 0, 1, 2])
    together = grad_cam(network, images, targets)
    for i in range(4):
        alone = grad_cam(network, images[i : i + 1], targets[i : i + 1])
        torch.testing.assert_close(alone.maps[0], together.maps[i], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(alone.logits[0], together.logits[i], atol=1e-5, rtol=1e-4)


def test_needs_no_gradient_and_leaves_none() -> None:
    network = make()
    network.requires_grad_(False)
    with torch.inference_mode():
        result = grad_cam(network, noise(), [0, 1])
    assert not result.maps.requires_grad
    network.requires_grad_(True)
    grad_cam(network, noise(), [0, 1])
    assert all(one.grad is None for one in network.parameters())


def test_the_mode_of_the_network_and_autocast_do_not_matter() -> None:
    network, images = make(), noise()
    freeze_blocks(network, 2)
    expected = grad_cam(network.eval(), images, [0, 1])
    modes = [module.training for module in network.train().modules()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = grad_cam(network, images, [0, 1])
    assert torch.equal(actual.maps, expected.maps)
    assert torch.equal(actual.logits, expected.logits)
    assert actual.maps.dtype == actual.logits.dtype == torch.float32
    assert [module.training for module in network.modules()] == modes


def test_costs_one_pass() -> None:
    network, passes = make(), []
    network.backbone.register_forward_hook(lambda *_: passes.append(1))
    grad_cam(network, noise(), [0, 1])
    assert len(passes) == 1


def test_a_planted_feature_is_found_where_it_is() -> None:
    network = make(classes=2)
    features = torch.zeros(1, network.head.in_features, 8, 8)
    features[0, 5, 2, 6] = 1.0
    network.features = lambda images: features  # type: ignore[method-assign]
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.weight[1, 5] = 3.0
        network.head.weight[0, 5] = -1.0
    maps = grad_cam(network, noise(batch=1), [1]).maps
    assert maps[0, 2, 6].item() == pytest.approx(4.0 / 64)
    assert maps.count_nonzero() == 1
    assert not grad_cam(network, noise(batch=1), [0]).maps.any()


@pytest.mark.parametrize("targets", [[0], [0, 3], [-1, 0]])
def test_wrong_targets_are_refused(targets: list[int]) -> None:
    with pytest.raises(UsageError):
        grad_cam(make(), noise(), targets)


@pytest.mark.parametrize(("name", "dimensions", "size"), SHAPES)
@pytest.mark.parametrize("classes", [2, 3])
def test_by_gradients_is_the_closed_form(name: str, dimensions: int, size: int, classes: int) -> None:
    network, images = make(name, dimensions, classes), noise(dimensions, size)
    exact = grad_cam(network, images, [1, 0])
    network.head.linear_over_mean = False
    with torch.inference_mode():
        found = grad_cam(network, images, [1, 0])
    assert exact.maps.max() > 0
    torch.testing.assert_close(found.maps, exact.maps, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.logits, exact.logits)
    assert not found.maps.requires_grad
    assert all(one.grad is None for one in network.parameters())


class Patches(torch.nn.Module):
    """A small transformer: patches of 8 x 8, a class token, two layers of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Conv2d(2, 16, 8, stride=8)
        self.first = torch.nn.Parameter(torch.randn(1, 1, 16))
        self.layers = torch.nn.Sequential(
            *(torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        out: torch.Tensor = self.layers(torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1))
        return out


@pytest.mark.parametrize(("pool", "explained"), [("mean", "backbone"), ("class", "backbone.layers.0")])
def test_tokens_are_explained_on_their_grid_as_captum_does(pool: Any, explained: str) -> None:
    from captum.attr import LayerGradCam

    torch.manual_seed(0)
    network = ClassificationNetwork(
        Patches(), TokenHead(16, 3, (8, 8), pool=pool), name="tokens", dimensions=2, channels=2, classes=3, blocks={},
        explained=explained,
    ).eval()  # fmt: skip
    images = torch.randn(2, 2, 32, 48)
    layer = network.get_submodule(explained)
    on_grid = torch.nn.Sequential(layer, OnGrid((4, 6)))
    peer = LayerGradCam(replaced(network, explained, on_grid), on_grid[1].map).attribute(
        images, torch.tensor([1, 2]), relu_attributions=True
    )
    result = grad_cam(network, images, [1, 2])
    assert result.maps.shape == (2, 4, 6)
    assert result.maps.max() > 0
    torch.testing.assert_close(result.maps, peer.detach()[:, 0], atol=1e-5, rtol=1e-4)


class OnGrid(torch.nn.Module):
    """Tokens to a map of their grid and back, so that there is a layer that Captum can look at."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.map = grid, torch.nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        laid = self.map(tokens[:, 1:].transpose(1, 2).unflatten(2, self.grid))
        return torch.cat([tokens[:, :1], laid.flatten(2).transpose(1, 2)], dim=1)


def replaced(network: ClassificationNetwork, name: str, layer: torch.nn.Module) -> torch.nn.Module:
    """The network with another module in the place of one of its own."""
    whole = copy.deepcopy(network)
    whole.set_submodule(name, layer)
    return whole


@pytest.mark.parametrize("name", ["resnet10", "convnext_tiny"])
def test_a_network_that_mirrors_is_explained_on_the_image_as_it_is(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(ModelSettings(name=name), dimensions=2, channels=1, classes=2).eval()
    images = torch.randn(1, 1, 64, 64)
    expected = grad_cam(network, images, [1]).maps
    network.mirrorings = ((), (3,))
    torch.testing.assert_close(grad_cam(network, images, [1]).maps, expected)
