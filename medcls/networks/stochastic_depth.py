"""Stochastic depth: Huang et al., 'Deep Networks with Stochastic Depth' (ECCV 2016)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class StochasticDepth(nn.Dropout):
    """Dropout of whole branches: in training, some images go through a residual block's shortcut alone.

    A branch that is kept is made larger, so that its mean over many steps is what evaluation computes. The paper scales in
    evaluation instead, and draws once for a batch.

    A Dropout, so that it is known by its type as a layer that draws by chance.

    Args:
        p: Probability that the branch is dropped, for each image by itself.
    """

    def forward(self, branch: Tensor) -> Tensor:
        """The branch ``(B, ...)``, 0 for the images that it is dropped for."""
        if not self.training or not self.p:
            return branch
        each = branch.new_ones(len(branch), *(1,) * (branch.ndim - 1))
        return branch * functional.dropout(each, self.p)


def rising(last: float, blocks: int) -> tuple[float, ...]:
    """Probabilities that rise evenly from block to block: late ones are dropped more often, as all others build on the early.

    Equation 4 of the paper, but that the first block is never dropped.

    Args:
        last: Of the last block.
        blocks: How many there are.

    Returns:
        From 0 for the first block to ``last``.
    """
    return tuple(last * block / max(1, blocks - 1) for block in range(blocks))
