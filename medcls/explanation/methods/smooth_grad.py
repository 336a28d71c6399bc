"""SmoothGrad: how strongly the score depends on each voxel, over noisy copies of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from medcls.explanation.methods.question import Attribution, Question, method, one_by_one

COPIES = 32
NOISE = 0.15
"""Standard deviation, in parts of the image's range; the paper finds 0.1 to 0.2 good."""
_SEED = 0


@method
@one_by_one
def smooth_grad(asked: Question) -> Attribution:
    """The size of the mean gradient over noisy copies, the largest of the channels.

    Its sign is dropped, as by Simonyan et al. (arXiv 1312.6034, section 3.1): a gradient says that a change of the voxel would
    change the score, not that the voxel argues for the label.
    """
    return Attribution(mean_gradient(asked).abs().amax(dim=1), asked.logits(asked.images))


def mean_gradient(asked: Question) -> Tensor:
    """The mean gradient of the score by the one image over noisy copies, ``(1, C, *spatial)``.

    Smilkov et al., 'SmoothGrad' (arXiv 1706.03825), 'Smoothing noisy gradients'. The noise
    is the same for images of one shape, on every device.
    """
    generator = torch.Generator().manual_seed(_SEED)
    deviation = NOISE * (asked.images.max() - asked.images.min())
    total = torch.zeros_like(asked.images)
    for part in asked.parts(COPIES, "SmoothGrad", gradients=True):
        noise = torch.stack([torch.randn(asked.images.shape[1:], generator=generator) for _ in part])
        total += asked.slopes(asked.images + deviation * noise.to(asked.images)).sum(dim=0)
    return (total / COPIES).float()
