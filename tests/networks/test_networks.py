"""Networks: the published shapes, what is pooled, and what is frozen."""

from __future__ import annotations

import pytest
import torch

from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, UsageError
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks

torch.set_num_threads(1)

ALL = [
    *("densenet121", "densenet169", "densenet201", "densenet264"),
    *("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
]


def make(
    name: str = "resnet10", dimensions: int = 2, channels: int = 1, classes: int = 2, **options: object
) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(ModelSettings(name=name, **options), dimensions=dimensions, channels=channels, classes=classes)


def noise(network: ClassificationNetwork, size: int = 64, batch: int = 2) -> torch.Tensor:
    shape = (batch, network.channels, *(size,) * network.dimensions)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "dimensions"), [*((name, 2) for name in ALL), ("densenet121", 3), ("resnet34", 3), ("resnet50", 3)]
)
def test_every_network_maps_images_to_scores(name: str, dimensions: int) -> None:
    with torch.device("meta"):  # shapes without the arithmetic
        network = make(name, dimensions, channels=4, classes=5).eval()
        images = torch.empty(2, 4, *(64,) * dimensions)
        assert network(images).shape == (2, 5)
        assert network.features(images).shape == (2, network.head.in_features, *(2,) * dimensions)


@pytest.mark.parametrize(("name", "dimensions", "size"), [("densenet121", 2, 64), ("resnet10", 3, 32)])
def test_the_score_is_linear_in_the_mean_of_the_features(name: str, dimensions: int, size: int) -> None:
    network = make(name, dimensions, classes=3, dropout=0.5).eval()
    images = noise(network, size)
    features = network.features(images)
    expected = features.flatten(2).mean(2) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(images), expected)
    assert features.min() >= 0  # what is pooled has passed its ReLU


def test_agrees_with_monai_when_it_is_told_to_build_the_published_network() -> None:
    from monai.networks.nets import DenseNet121, resnet18

    dense, dense_peer = make("densenet121", 2, 1, 2).eval(), DenseNet121(spatial_dims=2, in_channels=1, out_channels=2)
    residual, residual_peer = (
        make("resnet18", 3, 1, 2).eval(),
        resnet18(spatial_dims=3, n_input_channels=1, num_classes=2, conv1_t_stride=2, bias_downsample=False),
    )
    for network, peer, size in ((dense, dense_peer, 64), (residual, residual_peer, 32)):
        peer.load_state_dict(dict(zip(peer.state_dict(), network.state_dict().values(), strict=True)))
        images = noise(network, size)
        torch.testing.assert_close(network(images), peer.eval()(images))


@pytest.mark.parametrize(("stride", "pool", "cells"), [(2, True, 2), (1, True, 4), (2, False, 4), (1, False, 8)])
def test_first_stride_and_pool_set_how_fine_the_features_are(stride: int, pool: bool, cells: int) -> None:
    network = make("resnet10", 2, first_stride=stride, first_pool=pool).eval()
    assert network.features(noise(network, 64)).shape[2:] == (cells, cells)


def test_names_of_tensors_are_those_that_saved_classifiers_rely_on() -> None:
    dense, residual = make("densenet121").state_dict(), make("resnet18").state_dict()
    assert {"backbone.conv0.weight", "backbone.denseblock1.denselayer1.layers.norm1.weight"} <= set(dense)
    assert {"backbone.norm5.running_var", "head.weight", "head.bias"} <= set(dense)
    assert {"backbone.conv1.weight", "backbone.layer2.0.downsample.1.weight", "head.weight"} <= set(residual)
    assert all(key.startswith(("backbone.", "head.")) for key in (*dense, *residual))


def test_names_of_tensors_do_not_depend_on_dropout_stride_or_pool() -> None:
    other = make("resnet18", dropout=0.3, first_stride=1, first_pool=False)
    assert list(other.state_dict()) == list(make("resnet18").state_dict())


def test_dropout_is_before_the_head_and_only_in_training() -> None:
    network = make("resnet10", dropout=0.5)
    features = network.features(noise(network))
    assert not torch.equal(network.classify(features), network.classify(features))
    network.eval()
    assert torch.equal(network.classify(features), network.classify(features))


def test_gradients_pass_the_shortcuts_without_weights() -> None:
    network = make("resnet18", 3, weights="medicalnet").eval()
    assert not any("downsample" in key for key in network.state_dict())
    block = network.backbone.get_submodule("layer2.0")
    torch.nn.init.zeros_(block.bn2.weight)  # so that only the shortcut is left
    features = torch.rand(1, 64, 4, 4, 4, requires_grad=True)
    out = block(features)
    torch.testing.assert_close(out[:, :64], features[:, :, ::2, ::2, ::2])
    assert not out[:, 64:].any()
    out.sum().backward()
    assert features.grad is not None
    assert features.grad[:, :, ::2, ::2, ::2].min() == 1


def test_a_densenet_says_when_images_are_too_small() -> None:
    with torch.device("meta"):
        network = make("densenet121").eval()
        for size in (1, 20, 28):
            with pytest.raises(UsageError, match="at least 29 voxels"):
                network(torch.empty(1, 1, size, 40))
        for size in (29, 30, 31, 33):
            assert network.features(torch.empty(1, 1, size, size)).shape[2:] == (1, 1)


@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (1, 1, 64, 64, 64), (1, 64, 64)])
def test_images_of_another_shape_are_one_clear_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"\(batch, 1, x, y\)"):
        make()(torch.zeros(shape))


@pytest.mark.parametrize("wrong", [{"dimensions": 4}, {"channels": 0}, {"classes": 0}])
def test_impossible_networks_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        make("resnet10", **wrong)


@pytest.mark.parametrize("name", ["resnet10", "densenet121"])
@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_frozen_blocks_do_not_move_in_training_and_others_do(name: str, count: int) -> None:
    network = make(name)
    frozen = freeze_blocks(network, count)
    assert frozen == ("stem", "block1", "block2", "block3", "block4")[:count]
    network.eval()
    network.train()  # as every epoch does
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], lr=0.1)
    network(noise(network, 64)).square().sum().backward()
    optimizer.step()
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    still = tuple(f"backbone.{child}." for block in frozen for child in network.blocks[block])
    assert not {key for key in moved if still and key.startswith(still)}
    for block in network.blocks:
        if block not in frozen:
            own = tuple(f"backbone.{child}." for child in network.blocks[block])
            assert {key for key in moved if key.startswith(own) and key.endswith("running_mean")}
            assert {key for key in moved if key.startswith(own) and key.endswith("weight")}
    assert "head.weight" in moved


def test_freezing_fewer_blocks_thaws_the_others() -> None:
    network = make()
    freeze_blocks(network, 5)
    freeze_blocks(network, 0)
    assert all(one.requires_grad for one in network.parameters())
    assert all(module.training for module in network.train().modules())


def test_more_blocks_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match="0 to 5"):
        freeze_blocks(make(), 6)


@pytest.mark.parametrize(("dimensions", "mirror"), [(2, ["x"]), (2, ["x", "y"]), (3, ["z"])])
def test_mirroring_is_the_mean_over_mirrored_images_and_for_evaluation_alone(
    dimensions: int, mirror: list[str]
) -> None:
    plain, mirrored = make(dimensions=dimensions), make(dimensions=dimensions, mirror=mirror)
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in mirrored.named_parameters()]
    images = noise(plain, 32)
    torch.testing.assert_close(mirrored(images), plain(images))  # in training
    plain.eval(), mirrored.eval()
    axes = {"x": 3 if dimensions == 2 else 2, "y": 2 if dimensions == 2 else 3, "z": 4}
    all_ways = [images]
    for name in mirror:
        all_ways += [one.flip(axes[name]) for one in all_ways]
    torch.testing.assert_close(mirrored(images), torch.stack([plain(one) for one in all_ways]).mean(0))
    for one in all_ways:
        torch.testing.assert_close(mirrored(one), mirrored(images))
    assert not torch.allclose(mirrored(images), plain(images))


def test_only_axes_that_are_there_are_mirrored() -> None:
    with pytest.raises(UsageError, match="no z axis"):
        make(mirror=["z"])
