"""Heads: what is pooled, where it is in space, and how much each slice counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medcls.errors import UsageError
from medcls.networks.heads import SequenceHead, TokenHead

torch.manual_seed(0)
SLICES = torch.randn(2, 5, 8)


def test_the_class_token_alone_or_the_mean_of_the_patches_reaches_the_score() -> None:
    tokens = torch.randn(2, 1 + 12, 8)
    of_class, of_mean = TokenHead(8, 3, (16, 16)), TokenHead(8, 3, (16, 16), pool="mean")
    assert torch.equal(of_class.pool(tokens), tokens[:, 0])
    torch.testing.assert_close(of_mean.pool(tokens), tokens[:, 1:].mean(1))
    assert set(of_class.state_dict()) == {"weight", "bias"}


def test_tokens_lie_on_the_grid_of_their_patches() -> None:
    images = torch.arange(48 * 64.0).reshape(1, 1, 48, 64)
    patches = torch.nn.functional.avg_pool2d(images, 16)  # as a patch embedding has them
    tokens = torch.cat([torch.zeros(1, 1, 1), patches.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(TokenHead(1, 2, (16, 16)).maps(tokens, (48, 64)), patches)
    with pytest.raises(UsageError, match="12 tokens do not fill"):
        TokenHead(1, 2, (16, 16)).maps(tokens, (64, 64))


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_slices_have_weights_of_sum_one_and_a_cell_each(pool: Any) -> None:
    head = SequenceHead(8, 3, pool=pool)
    weights = head.slice_weights(SLICES)
    assert weights.shape == (2, 5)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert head(head.pool(SLICES)).shape == (2, 3)
    maps = head.maps(SLICES, (32, 32, 5))
    assert maps.shape == (2, 8, 1, 1, 5)
    assert torch.equal(maps[1, :, 0, 0, 3], SLICES[1, 3])


def test_mean_and_maximum_over_slices() -> None:
    torch.testing.assert_close(SequenceHead(8, 3, pool="mean").pool(SLICES), SLICES.mean(1))
    assert torch.equal(SequenceHead(8, 3, pool="max").pool(SLICES), SLICES.amax(1))


def test_gated_attention_is_that_of_the_paper() -> None:
    head = SequenceHead(8, 3, hidden=4)
    for one in SLICES:
        v, u = head.content, head.gate
        scores = [
            head.attention(torch.tanh(v.weight @ h + v.bias) * torch.sigmoid(u.weight @ h + u.bias)).item() for h in one
        ]
        expected = torch.tensor(scores).exp() / torch.tensor(scores).exp().sum()
        torch.testing.assert_close(head.slice_weights(one[None])[0], expected)
        torch.testing.assert_close(head.pool(one[None])[0], (expected[:, None] * one).sum(0))


def test_of_the_maximum_a_slice_counts_for_the_features_that_it_gives() -> None:
    features = torch.zeros(1, 3, 4)
    features[0, 2, :3] = features[0, 0, 3] = 1.0
    torch.testing.assert_close(SequenceHead(4, 2, pool="max").slice_weights(features), torch.tensor([[0.25, 0, 0.75]]))
