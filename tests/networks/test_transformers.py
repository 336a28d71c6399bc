"""Vision transformers: what torch's encoder and a dense attention compute, published files, and images of any size."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError, WeightsError
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.families.swin import WindowAttention
from medcls.networks.heads import TokenHead
from medcls.networks.pretrained.tensor_files import TensorFile
from medcls.networks.pretrained.weights import fit_tensors

torch.set_num_threads(1)


def make(
    name: str, dimensions: int = 2, *, channels: int = 3, classes: int = 5, **settings: Any
) -> ClassificationNetwork:
    torch.manual_seed(0)
    model = ModelSettings(name=name, **settings)
    return build_network(model, dimensions=dimensions, channels=channels, classes=classes).eval()


def file_of(tensors: dict[str, Tensor]) -> TensorFile:
    return TensorFile("weights.pth", "0" * 64, tensors)


Rules = tuple[tuple[str, str], ...]


def names_of(network: ClassificationNetwork, rules: Rules) -> dict[str, str]:
    """What another calls the network's tensors; without those that no rule takes."""
    return {
        key: re.sub(f"^{rule}$", to, key)
        for key in network.state_dict()
        for rule, to in rules
        if re.fullmatch(rule, key)
    }


def file_by(network: ClassificationNetwork, rules: Rules) -> dict[str, Tensor]:
    """Tensors of the network's shapes, other than they are, as another names them."""
    random = torch.Generator().manual_seed(1)
    state = network.state_dict()
    return {
        theirs: state[own] + 0.01 * torch.randn(state[own].shape, generator=random)
        for own, theirs in names_of(network, rules).items()
    }


TORCHVISION: Rules = (
    (r"backbone\.embed\.class_token", "class_token"),
    (r"backbone\.embed\.positions", "encoder.pos_embedding"),
    (r"backbone\.embed\.proj\.(.*)", r"conv_proj.\1"),
    (r"backbone\.layers\.(\d+)\.norm(\d)\.(.*)", r"encoder.layers.encoder_layer_\1.ln_\2.\3"),
    (r"backbone\.layers\.(\d+)\.attn\.(.*)", r"encoder.layers.encoder_layer_\1.self_attention.\2"),
    (r"backbone\.layers\.(\d+)\.mlp\.0\.(.*)", r"encoder.layers.encoder_layer_\1.mlp.linear_1.\2"),
    (r"backbone\.layers\.(\d+)\.mlp\.2\.(.*)", r"encoder.layers.encoder_layer_\1.mlp.linear_2.\2"),
    (r"backbone\.norm\.(.*)", r"encoder.ln.\1"),
    (r"head\.(.*)", r"heads.head.\1"),
)
DINO: Rules = (
    (r"backbone\.embed\.class_token", "cls_token"),
    (r"backbone\.embed\.positions", "pos_embed"),
    (r"backbone\.embed\.registers", "register_tokens"),
    (r"backbone\.embed\.proj\.(.*)", r"patch_embed.proj.\1"),
    (r"backbone\.layers\.(\d+)\.norm(\d)\.(.*)", r"blocks.\1.norm\2.\3"),
    (r"backbone\.layers\.(\d+)\.attn\.in_proj_(.*)", r"blocks.\1.attn.qkv.\2"),
    (r"backbone\.layers\.(\d+)\.attn\.out_proj\.(.*)", r"blocks.\1.attn.proj.\2"),
    (r"backbone\.layers\.(\d+)\.mlp\.0\.(.*)", r"blocks.\1.mlp.fc1.\2"),
    (r"backbone\.layers\.(\d+)\.mlp\.2\.(.*)", r"blocks.\1.mlp.fc2.\2"),
    (r"backbone\.layers\.(\d+)\.ls(\d)\.weight", r"blocks.\1.ls\2.gamma"),
    (r"backbone\.norm\.(.*)", r"norm.\1"),
)
SWIN: Rules = (
    (r"backbone\.8\.(.*)", r"norm.\1"),
    (r"backbone\.(.*)\.mlp\.2\.(.*)", r"features.\1.mlp.3.\2"),
    (r"backbone\.(.*)", r"features.\1"),
    (r"head\.(.*)", r"head.\1"),
)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_vit_computes_what_torchs_own_encoder_does(dimensions: int) -> None:
    network = make("vit_s_16", dimensions)
    side = 224 if dimensions == 2 else 96
    fit_tensors(network, file_of(file_by(network, TORCHVISION)))
    layer = nn.TransformerEncoderLayer(
        384, 6, 1536, 0.0, functional.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, 12, nn.LayerNorm(384, eps=1e-6), enable_nested_tensor=False).eval()
    state = network.state_dict()
    rules = (
        (r"backbone\.layers\.(\d+)\.attn\.(.*)", r"layers.\1.self_attn.\2"),
        (r"backbone\.layers\.(\d+)\.mlp\.0\.(.*)", r"layers.\1.linear1.\2"),
        (r"backbone\.layers\.(\d+)\.mlp\.2\.(.*)", r"layers.\1.linear2.\2"),
        (r"backbone\.(layers\.\d+\.norm\d\..*|norm\..*)", r"\1"),
    )
    encoder.load_state_dict({theirs: state[own] for own, theirs in names_of(network, rules).items()})
    images = torch.rand(2, 3, *(side,) * dimensions)
    patches = images
    for axis in range(dimensions):
        patches = patches.unfold(2 + axis, 16, 16)
    patches = patches.movedim(1, 1 + dimensions).flatten(1, dimensions).flatten(2)
    weight, bias = state["backbone.embed.proj.weight"].flatten(1), state["backbone.embed.proj.bias"]
    tokens = torch.cat([state["backbone.embed.class_token"].expand(2, -1, -1), patches @ weight.T + bias], dim=1)
    with torch.no_grad():
        expected = encoder(tokens + state["backbone.embed.positions"])
        torch.testing.assert_close(network.features(images), expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network(images), network.head(expected[:, 0]), rtol=1e-3, atol=1e-3)
        assert expected[:, 0].std() > 0.01


@pytest.mark.parametrize(
    ("sides", "shifted"), [((14, 14), False), ((14, 14), True), ((10, 7), True), ((9, 8, 7), True)]
)
def test_windows_see_what_a_dense_attention_with_a_mask_sees(sides: tuple[int, ...], shifted: bool) -> None:
    torch.manual_seed(0)
    layer = WindowAttention(len(sides), 8, 2, shifted=shifted)
    nn.init.normal_(layer.relative_position_bias_table)
    cells = torch.randn(1, *sides, 8)
    padded = [-(-side // 7) * 7 for side in sides]
    moved = [3 if shifted and side > 7 else 0 for side in padded]
    places = torch.tensor(list(itertools.product(*map(range, padded))))
    whole = torch.zeros(len(places), 8)
    inside = (places < torch.tensor(sides)).all(dim=1)
    whole[inside] = cells.reshape(-1, 8)
    window = ((places - torch.tensor(moved)) % torch.tensor(padded)) // 7
    step = places[:, None] - places[None]
    together = (window[:, None] == window[None]).all(dim=2) & (step.abs() < 7).all(dim=2)
    code = ((step.clamp(-6, 6) + 6) * torch.tensor([13**axis for axis in reversed(range(len(sides)))])).sum(dim=2)
    queries, keys, values = layer.qkv(whole).reshape(-1, 3, 2, 4).permute(1, 2, 0, 3)
    scores = queries @ keys.transpose(1, 2) / 2 + layer.relative_position_bias_table[code].permute(2, 0, 1)
    seen = scores.masked_fill(~together, float("-inf")).softmax(dim=2) @ values
    expected = layer.proj(seen.transpose(0, 1).reshape(-1, 8))[inside].reshape(1, *sides, 8)
    torch.testing.assert_close(layer(cells), expected)


@pytest.mark.parametrize(
    ("name", "rules", "layout"),
    [
        ("vit_b_16", TORCHVISION, "torchvision ViT"),
        ("vit_s_14_reg", DINO, "timm and DINO ViT"),
        ("swin_t", SWIN, "torchvision Swin"),
    ],
)
def test_a_published_file_fits_whole(name: str, rules: Rules, layout: str) -> None:
    network = make(name)
    tensors = file_by(network, rules)
    headless = ("head.weight", "head.bias") if rules is DINO else ()
    beside = {"mask_token": torch.ones(1, 384)} if rules is DINO else {}
    if rules is SWIN:
        beside["features.1.0.attn.relative_position_index"] = torch.zeros(49 * 49, dtype=torch.long)
    report = fit_tensors(network, file_of(tensors | beside))
    assert (report.layout, report.adapted, set(report.unused)) == (layout, (), set(beside))
    assert report.missing == headless
    state = network.state_dict()
    names = names_of(network, rules)
    assert set(state) - set(names) == set(headless)
    assert all(torch.equal(state[own], tensors[theirs]) for own, theirs in names.items())


def test_embeddings_of_places_are_interpolated_to_another_grid() -> None:
    network = make("vit_s_16")
    file = file_by(network, DINO)
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    places = torch.stack([rows, columns], dim=2).reshape(1, 576, 2) / 24
    file["pos_embed"] = torch.cat([torch.full((1, 1, 384), 7.0), places.repeat(1, 1, 192)], dim=1)
    report = fit_tensors(network, file_of(file))
    assert report.adapted == (("backbone.embed.positions", "embeddings of places from 24 x 24 to 14 x 14"),)
    found = network.get_parameter("backbone.embed.positions").detach()
    assert (found[:, 0] == 7).all()
    inner = found[0, 1:, :2].reshape(14, 14, 2)[2:-2, 2:-2]
    middle = ((torch.arange(14) + 0.5) / 14 - 0.5 / 24)[2:-2]
    torch.testing.assert_close(inner[:, :, 0], middle[:, None].expand(10, 10), atol=3e-3, rtol=0)
    torch.testing.assert_close(inner[:, :, 1], middle[None].expand(10, 10), atol=3e-3, rtol=0)


@pytest.mark.parametrize(
    ("made_for", "network"),
    [("vit_s_14_reg", "vit_s_14"), ("vit_s_14", "vit_s_14_reg"), ("vit_s_16", "vit_b_16"), ("vit_s_14", "vit_s_16")],
)
def test_a_file_with_other_features_patches_or_registers_is_refused(made_for: str, network: str) -> None:
    with pytest.raises(WeightsError, match=r"of another network.*patches, and registers"):
        fit_tensors(make(network), file_of(file_by(make(made_for), DINO)))
    with pytest.raises(WeightsError, match="of a 2-D network, and this one is 3-D"):
        fit_tensors(make("vit_s_16", 3), file_of(file_by(make("vit_s_16"), DINO)))


@pytest.mark.parametrize("size", [(224, 224), (150, 231), (41, 9)])
def test_vit_takes_any_size_and_its_map_spans_the_image(size: tuple[int, int]) -> None:
    network = make("vit_s_16")
    images = torch.rand(1, 3, *size)
    grid = tuple(max(1, round(side / 16)) for side in size)
    with torch.no_grad():
        assert network.head.maps(network.features(images), size).shape == (1, 384, *grid)
        whole = functional.interpolate(images, size=[16 * side for side in grid], mode="bilinear")
        torch.testing.assert_close(network(images), network(whole))


def test_registers_are_no_patches() -> None:
    network = make("vit_s_14_reg")
    tokens = network.features(torch.rand(1, 3, 28, 42))
    assert tokens.shape == (1, 1 + 4 + 6, 384)
    assert torch.equal(network.head.maps(tokens, (28, 42))[0].flatten(1).T, tokens[0, 5:])
    assert isinstance(network.head, TokenHead)


def test_swin_can_show_the_maps_of_all_depths_and_vit_cannot() -> None:
    network = make("swin_t", depths="all")
    assert network.features(torch.rand(1, 3, 50, 70)).shape == (1, 768 + 2 * (96 + 96 + 192) + 384 * 2, 2, 3)
    with pytest.raises(UsageError, match="depths"):
        make("vit_s_16", depths="all")
