"""Every family: what must hold of all networks, tried on the first of each."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
import safetensors.torch
import torch

from medcls.config.network_names import SHIPPED
from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks, layouts
from medcls.networks.families import FAMILIES

torch.set_num_threads(1)

FIRST = {family: names[0] for family, names in SHIPPED.items()}
EVERY = [
    pytest.param(one, marks=() if one in FIRST.values() else pytest.mark.slow)
    for row in SHIPPED.values()
    for one in row
]


def make(name: str, dimensions: int = 2) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(ModelSettings(name=name), dimensions=dimensions, channels=2, classes=3).eval()


def on_meta(name: str, dimensions: int = 2) -> ClassificationNetwork:
    """Shapes without the arithmetic."""
    with torch.device("meta"):
        return make(name, dimensions)


made = functools.cache(make)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_smallest_images_have_scores_and_a_map_and_smaller_ones_are_refused(name: str, dimensions: int) -> None:
    network = on_meta(name, dimensions)
    size = (network.smallest,) * dimensions
    images = torch.empty(2, 2, *size, device="meta")
    features = network.features(images)
    assert network(images).shape == (2, 3)
    assert network.head.maps(features, size).ndim == dimensions + 2
    if network.smallest > 1:
        smaller = images[..., 1:]
        with pytest.raises(UsageError, match=f"at least {network.smallest} voxels"):
            network(smaller)
        with pytest.raises(RuntimeError):
            network.backbone(smaller)


@pytest.mark.parametrize("name", FIRST.values())
def test_gradients_reach_every_parameter(name: str) -> None:
    network = made(name)
    network(torch.randn(1, 2, *(max(64, network.smallest),) * 2)).square().sum().backward()
    assert [key for key, one in network.named_parameters() if one.grad is None or not one.grad.any()] == []
    network.zero_grad()


@pytest.mark.parametrize("name", FIRST.values())
def test_is_explained_in_closed_form_where_that_is_the_same_as_by_gradients(name: str) -> None:
    network = made(name)
    images = torch.randn(1, 2, *(max(64, network.smallest),) * 2)
    found = grad_cam(network, images, [1])
    assert found.maps.shape[1:] == network.head.maps(network.features(images), images.shape[2:]).shape[2:]
    torch.testing.assert_close(found.logits, network(images).detach())
    if network.head.linear_over_mean:
        network.head.linear_over_mean = False
        torch.testing.assert_close(grad_cam(network, images, [1]).maps, found.maps, atol=1e-5, rtol=1e-4)
        network.head.linear_over_mean = True


@pytest.mark.parametrize("name", FIRST.values())
def test_is_after_saving_what_it_was(name: str) -> None:
    network, again = made(name), on_meta(name)
    again.load_state_dict(safetensors.torch.load(safetensors.torch.save(network.state_dict())), assign=True)
    images = torch.randn(1, 2, *(max(32, network.smallest),) * 2)
    with torch.no_grad():
        assert torch.equal(again(images), network(images))


@pytest.mark.parametrize("name", EVERY)
def test_blocks_are_frozen_from_the_input_on_and_hold_the_whole_backbone(name: str) -> None:
    network = on_meta(name)
    left = len(list(network.parameters()))
    for count in range(1, len(network.blocks) + 1):
        freeze_blocks(network, count)
        trained = [key for key, one in network.named_parameters() if one.requires_grad]
        assert len(trained) < left
        left = len(trained)
    assert all(key.startswith("head.") for key in trained)


# Parameters with 3 channels and 1000 classes, as torchvision, timm and DINOv2 document them; of EfficientNet-Lite those in
# its files.
COUNTS = {
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "seresnet50": 28_088_024,
    "seresnet101": 49_326_872,
    "seresnet152": 66_821_848,
    "seresnext50": 27_559_896,
    "seresnext101": 48_955_416,
    "senet154": 115_088_984,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "googlenet": 6_624_904,
    "inception_v3": 27_161_264,
    "vit_s_16": 22_050_664,
    "vit_b_16": 86_567_656,
    "vit_s_14": 22_056_576,
    "vit_b_14": 86_580_480,
    "swin_t": 28_288_354,
}
LARGE = {name for name, count in COUNTS.items() if count > 40_000_000} - set(FIRST.values())
# What ours have more: the three fully connected layers of VGG are one, there are no auxiliary classifiers, and DINOv2's files
# have a token for masks, and no head.
MORE = {
    **dict.fromkeys(SHIPPED["vgg"], 513_000 - 123_642_856),
    "inception_v3": -3_326_696,
    "vit_s_14": 385_000 - 384,
    "vit_b_14": 769_000 - 768,
}


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.slow if one in LARGE else ()) for one in COUNTS])
def test_has_as_many_parameters_as_the_published_network(name: str) -> None:
    with torch.device("meta"):
        network = build_network(ModelSettings(name=name), dimensions=2, channels=3, classes=1000)
    assert sum(one.numel() for one in network.parameters()) == COUNTS[name] + MORE.get(name, 0)


def test_all_cnn_has_the_weights_of_its_paper() -> None:
    with torch.device("meta"):
        network = build_network(ModelSettings(name="allcnn"), dimensions=2, channels=3, classes=10)
    norms = sum(one.num_features for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d))
    # each of its biases is the shift of a batch norm, which has a scale besides
    assert sum(one.numel() for one in network.parameters()) == 1_369_738 + norms


@pytest.mark.parametrize(
    ("name", "dimensions", "size"),
    [("smallcnn", 2, 0.65), ("smallcnn", 3, 1.94), ("smallcnn_strided", 2, 0.16), ("smallcnn_strided", 3, 0.49)],
)
def test_the_small_cnns_leave_seven_cells_of_28_pixels(name: str, dimensions: int, size: float) -> None:
    network = on_meta(name, dimensions)
    features = network.features(torch.empty(1, 2, *(28,) * dimensions, device="meta"))
    assert features.shape[2:] == (7,) * dimensions
    assert sum(one.numel() for one in network.parameters()) / 1e6 == pytest.approx(size, abs=0.01)


INCEPTION = "1a_3x3 2a_3x3 2b_3x3 pool 3b_1x1 4a_3x3 pool 5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split()  # noqa: SIM905  # short
# What a published file calls the tensors of a network: its layout, the network, and rules from its names to the file's.
PUBLISHED: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "torchvision VGG": ("vgg13_bn", [("^backbone", "features"), ("^head.*", "")]),
    "torchvision ConvNeXt": (
        "convnext_tiny",
        [
            ("^backbone", "features"),
            (r"\.block\.6\.weight", ".layer_scale"),
            (r"^head\.norm", "classifier.0"),
            ("^head", "classifier.2"),
        ],
    ),
    "MONAI SENet": ("seresnet50", [(r"^backbone\.", ""), ("^head", "last_linear")]),
    "timm SENet": (
        "senet154",
        [
            (r"^backbone\.", ""),
            ("^head", "last_linear"),
            (r"\.conv(\d)\.conv\.", r".conv\1."),
            (r"\.conv(\d)\.adn\.N\.", r".bn\1."),
            (r"\.se_layer\.fc\.0", ".se_module.fc1"),
            (r"\.se_layer\.fc\.2", ".se_module.fc2"),
            (r"\.project\.conv", ".downsample.0"),
            (r"\.project\.adn\.N", ".downsample.1"),
        ],
    ),
    "torchvision MobileNetV3": (
        "mobilenet_v3_small",
        [("^backbone", "features"), (r"^head\.hidden", "classifier.0"), ("^head", "classifier.3")],
    ),
    "torchvision GoogLeNet": ("googlenet", [(r"^backbone\.", ""), ("^head", "fc")]),
    "RadImageNet ResNet": (
        "resnet50",
        [
            (r"^backbone\.conv1", "backbone.0"),
            (r"^backbone\.bn1", "backbone.1"),
            (r"^backbone\.layer(\d)", lambda found: f"backbone.{int(found[1]) + 3}"),
            ("^head.*", ""),
        ],
    ),
    "RadImageNet DenseNet": (
        "densenet121",
        [("^backbone", "backbone.0"), (r"\.layers\.", "."), ("^head.*", "")],
    ),
    "RadImageNet Inception v3": (
        "inception_v3",
        [
            ("^head.*", ""),
            (r"(branch\w+)\.(\d)(?:\.([abc]))?\.(conv|bn)", r"\1_\2\3.\4"),
            ("branch_pool_1", "branch_pool"),
            (r"(Conv2d|Mixed)_(\w+)", lambda found: str(INCEPTION.index(found[2]))),
        ],
    ),
    "torchvision Inception v3": (
        "inception_v3",
        [
            (r"^backbone\.", ""),
            ("^head", "fc"),
            (r"(branch\w+)\.(\d)(?:\.([abc]))?\.(conv|bn)", r"\1_\2\3.\4"),
            ("branch_pool_1", "branch_pool"),
        ],
    ),
}


@pytest.mark.parametrize("layout", PUBLISHED)
def test_a_published_layout_names_every_tensor(layout: str) -> None:
    name, rules = PUBLISHED[layout]
    axes = {key: one.ndim for key, one in on_meta(name).state_dict().items()}
    theirs = {}
    for key in axes:
        told = key
        for pattern, text in rules:
            told = re.sub(pattern, text, told)
        if told:
            theirs[told] = key
    names = {told: axes[key] for told, key in theirs.items()}
    every = [one for family in FAMILIES.values() for one in family.layouts]
    known = [one for one in every if one.recognises(names)]
    assert [one.name for one in known] == [layout]
    assert {told: known[0].translate(told) for told in theirs} == theirs


@pytest.mark.parametrize("name", FIRST.values())
def test_no_published_layout_takes_a_file_of_medcls_for_its_own(name: str) -> None:
    names = {key: one.ndim for key, one in on_meta(name).state_dict().items()}
    assert layouts.OWN.recognises(names)
    assert not any(one.recognises(names) for family in FAMILIES.values() for one in family.layouts)


@pytest.mark.parametrize(
    ("name", "part"), [("convnext_tiny", ".block.6.weight"), ("seresnet50", ".se_layer.fc.0.weight")]
)
def test_what_a_file_has_with_axes_of_one_cell_loses_them(name: str, part: str) -> None:
    own = {key: one for key, one in on_meta(name).state_dict().items() if key.endswith(part)}
    translated = {key: (key, one[..., None, None]) for key, one in own.items()}
    layout = FAMILIES[next(row for row, names in SHIPPED.items() if name in names)].layouts[-1]
    assert layout.fold(translated) == {}
    assert own
    assert {key: one.shape for key, (_, one) in translated.items()} == {key: one.shape for key, one in own.items()}
