"""2-D networks made 3-D: what they give is told by the 2-D ones, and the weights of these fit."""

from __future__ import annotations

from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, WeightsError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks, load_weights
from medcls.networks.given import given_network
from medcls.networks.volumes.inflation import InflatedAverage, InflatedConvolution, PlanarConvolution, inflate

torch.set_num_threads(1)


def make(name: str, dimensions: int, channels: int = 1, seed: int = 0, **options: Any) -> ClassificationNetwork:
    torch.manual_seed(seed)
    settings = ModelSettings(name=name, **options)
    return build_network(settings, dimensions=dimensions, channels=channels, classes=2).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def constant(picture: torch.Tensor, depth: int) -> torch.Tensor:
    """A volume whose every slice is the picture."""
    return picture[..., None].expand(*[-1] * picture.ndim, depth)


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet10", 40), ("densenet121", 32), ("convnext_tiny", 32), ("mobilenet_v3_small", 40), ("smallcnn", 8)],
)
def test_a_volume_that_is_constant_has_the_scores_and_the_map_of_its_slice(name: str, size: int) -> None:
    flat, solid = make(name, 2), make(name, 3, inflate="i3d")
    for one in (flat, solid):
        torch.manual_seed(2)
        one.head.load_state_dict({key: torch.randn(value.shape) for key, value in flat.head.state_dict().items()})
    picture = noise(1, 1, size, size + 8)
    volume = constant(picture, size)
    torch.testing.assert_close(solid(volume), flat(picture), atol=1e-4, rtol=1e-4)
    expected, found = grad_cam(flat, picture, [1]).maps, grad_cam(solid, volume, [1]).maps
    torch.testing.assert_close(found, constant(expected / found.shape[3], found.shape[3]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2},
        {"padding": 2, "dilation": 2, "bias": False},
        {"padding": 3, "groups": 8},
        {"padding": 1, "groups": 4},
        {"padding": 1, "groups": 2},
        {},
    ],
)
def test_each_third_of_the_channels_is_the_2d_convolution_of_its_view(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    kernel = 7 if options.get("padding") == 3 else 3
    flat = nn.Conv2d(8, 16, kernel, **options)
    found = PlanarConvolution(flat)(volume := noise(2, 8, 9, 10, 11))
    stride, padding = options.get("stride", 1), options.get("padding", 0)
    reach = options.get("dilation", 1) * (kernel // 2)
    views = []
    for across in (2, 3, 4):
        slices = volume.movedim(across, 1)
        seen = flat(slices.flatten(0, 1)).unflatten(0, slices.shape[:2])
        # Across its plane a kernel sees the slice at its middle.
        middles = range(reach - padding, slices.shape[1] - (reach - padding), stride)
        views.append(seen[:, list(middles)].movedim(1, across))
    groups = options.get("groups", 1)
    parts = torch.arange(16).tensor_split(3) if groups == 1 else None
    if parts is None:
        of_groups = torch.arange(groups).tensor_split(3)
        parts = tuple(
            torch.cat([torch.arange(16).reshape(groups, -1)[g] for g in some]) if len(some) else some
            for some in of_groups
        )
    assert sum(len(part) for part in parts) == 16
    for part, view in zip(parts, reversed(views), strict=True):  # axial, coronal, sagittal
        torch.testing.assert_close(found[:, part], view[:, part], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, (1, 7), padding=(0, 3), stride=2)])
def test_kernels_add_up_to_what_they_were(layer: nn.Conv2d) -> None:
    solid = InflatedConvolution(layer)
    torch.testing.assert_close(solid.weight.sum(4), layer.weight)
    picture = noise(1, 2, 12, 12)
    found = solid(constant(picture, 6))
    torch.testing.assert_close(found, constant(layer(picture), found.shape[4]))


def test_means_over_windows_do_not_see_beyond_the_ends() -> None:
    layer, picture = nn.AvgPool2d(3, stride=2, padding=1), noise(1, 2, 8, 8)
    torch.testing.assert_close(InflatedAverage(layer)(constant(picture, 8)), constant(layer(picture), 4))


@pytest.mark.parametrize("name", ["resnet10", "seresnet50", "mobilenet_v3_small", "smallcnn"])
def test_acs_has_the_tensors_of_the_2d_network(name: str) -> None:
    with torch.device("meta"):
        flat, planar = make(name, 2), make(name, 3, inflate="acs")
        shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (flat, planar)]
        assert shapes[0] == shapes[1]
        features = planar.features(torch.empty(1, 1, 64, 96, 64))
        assert features.shape[2:] == (2, 3, 2) if name != "smallcnn" else (16, 24, 16)


@pytest.mark.parametrize("kind", ["i3d", "acs"])
def test_weights_of_a_2d_network_fit_and_are_inflated(kind: str, tmp_path: Any) -> None:
    flat, file = make("smallcnn", 2, channels=3, seed=1), tmp_path / "flat.safetensors"
    safetensors.torch.save_file(flat.state_dict(), file)
    solid = make("smallcnn", 3, inflate=kind)
    report = load_weights(solid, file)
    assert (report.missing, report.unused) == ((), ())
    assert len(report.adapted) == (6 if kind == "i3d" else 1)  # each convolution, or the channels of the first
    picture = noise(1, 1, 8, 8)
    if kind == "i3d":
        torch.testing.assert_close(solid(constant(picture, 8)), flat(picture.expand(-1, 3, -1, -1)))
    again = tmp_path / "solid.safetensors"
    safetensors.torch.save_file(solid.state_dict(), again)
    assert load_weights(make("smallcnn", 3, inflate=kind), again).adapted == ()
    with pytest.raises(WeightsError, match="of a 2-D network, and this one is 3-D"):
        load_weights(make("smallcnn", 3), file)


def test_it_trains_and_freezes_as_any_other() -> None:
    for kind in ("i3d", "acs"):
        network = make("smallcnn", 3, inflate=kind).train()
        freeze_blocks(network, 1)
        network(noise(2, 1, 8, 8, 8)).square().sum().backward()
        moved = {key for key, one in network.named_parameters() if one.grad is not None and one.grad.any()}
        assert moved == {key for key, _ in network.named_parameters() if not key.startswith("backbone.0.")}


def test_what_cannot_be_made_3d_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="has a layer Conv3d"), torch.device("meta"):
        make("i3resnet152", 3, inflate="acs")
    with pytest.raises(ConfigError, match="has a layer InstanceNorm2d"):
        inflate(nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2)), "i3d", 1, 16)
    with pytest.raises(ConfigError, match="its padding is 'same'"):
        inflate(nn.Sequential(nn.Conv2d(1, 2, 3, padding="same")), "acs", 1, 16)
    with pytest.raises(ConfigError, match="cannot take volumes"):
        inflate(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(7, 2)), "i3d", 1, 16)
    with pytest.raises(ConfigError, match=r"model\.inflate: it takes volumes"):
        make("smallcnn", 2, inflate="i3d")
    with given_network(nn.Conv2d(1, 2, 1)), pytest.raises(ConfigError, match="begins with the mean"):
        make("from-python", 3, inflate="i3d")
    with pytest.raises(ValueError, match="give one of them"):
        ModelSettings(inflate="i3d", slices={})
