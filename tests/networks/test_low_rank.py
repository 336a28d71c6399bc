"""Low-rank adaptation: begins as the network, adds no more than its rank, and is merged into the plain network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medcls.config import load_config
from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks
from medcls.networks.heads import MeanLinearHead
from medcls.networks.low_rank import adapt, merge

torch.set_num_threads(1)


class Attentive(nn.Module):
    """A convolution, and torch's attention over its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        found = self.conv(images)
        tokens = found.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].transpose(1, 2).reshape(found.shape)


def made(name: str, dimensions: int = 2) -> ClassificationNetwork:
    torch.manual_seed(0)
    if name == "attention":
        shape: dict[str, Any] = {"dimensions": 2, "channels": 1, "classes": 2}
        return ClassificationNetwork(
            Attentive(),
            MeanLinearHead(8, 2),
            name="attentive",
            blocks={"stem": ("conv",), "block1": ("attention",)},
            **shape,
        )
    return build_network(ModelSettings(name=name), dimensions=dimensions, channels=1, classes=2)


def learn(network: ClassificationNetwork, images: Tensor) -> None:
    """Some steps on anything."""
    network.train()
    optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "dimensions"), [("resnet10", 2), ("resnet10", 3), ("mobilenet_v3_small", 2), ("attention", 2)]
)
def test_it_begins_as_the_network_and_adds_no_more_than_its_rank(name: str, dimensions: int) -> None:
    if (name, dimensions) == ("attention", 3):
        pytest.skip("it is of pictures")
    network = made(name, dimensions)
    images = torch.randn(3, 1, *(32,) * dimensions)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with torch.no_grad():
        first = network.eval()(images)
        trained = adapt(network, rank=2, alpha=4, seed=0)
        assert torch.equal(network(images), first)
    assert 0 < trained < sum(tensor.numel() for tensor in before.values()) / 2
    learn(network, images)
    with torch.no_grad():
        learnt = network.eval()(images)
        merge(network)
        assert torch.equal(network(images), learnt)
    assert not torch.allclose(learnt, first)
    after = network.state_dict()
    assert after.keys() == before.keys()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert {"head.weight", "head.bias"} < moved
    for key in {key for key in moved if not key.startswith("head.")}:
        added = (after[key] - before[key]).flatten(1)
        strengths = torch.linalg.svdvals(added.double())
        assert added.ndim == 2
        assert (strengths[2:] < 1e-4 * strengths[0] + 1e-6).all(), key  # sums are rounded
    statistics = {key for key in before if "running" in key or ".bn" in key}
    assert not statistics & moved


def test_frozen_blocks_stay_and_the_same_seed_gives_the_same() -> None:
    found = []
    for _ in range(2):
        network = made("attention")
        before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        freeze_blocks(network, 1)
        adapt(network, rank=2, alpha=4, seed=7)
        learn(network, torch.ones(3, 1, 16, 16))
        merge(network)
        assert torch.equal(network.state_dict()["backbone.conv.weight"], before["backbone.conv.weight"])
        assert not torch.equal(
            network.state_dict()["backbone.attention.in_proj_weight"], before["backbone.attention.in_proj_weight"]
        )
        found.append(network.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_what_makes_no_sense_is_refused() -> None:
    network = made("attention")
    freeze_blocks(network, 2)
    with pytest.raises(ConfigError, match=r"train\.lora: .*no layer"):
        adapt(network, rank=2, alpha=4, seed=0)
    with pytest.raises(ConfigError, match="leave one out"):
        load_config(None, (), {"train": {"lora": {}, "unfreeze": 2}})
