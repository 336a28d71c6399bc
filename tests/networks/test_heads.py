"""Heads: what is pooled, and where it is in space."""

from __future__ import annotations

import pytest
import torch

from medcls.errors import UsageError
from medcls.networks.heads import TokenHead

torch.manual_seed(0)


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
