"""HiResCAM: what each cell of the explained layer itself adds to the score."""

from __future__ import annotations

from medcls.explanation.methods.layer import cam
from medcls.explanation.methods.question import Attribution, Question, method


@method
def hires_cam(asked: Question) -> Attribution:
    """Features times their own gradients, summed over features.

    Draelos and Carin, 'Use HiResCAM instead of Grad-CAM' (arXiv 2011.08891): ``L = sum_k dy/dA_k * A_k``, cell by
    cell. Where the score is linear in the last feature map, it is what the cell adds, and the very map of Grad-CAM. What is
    below 0, against the target, is cut.
    """
    return cam(asked, lambda features, slopes: (features * slopes).sum(dim=1))
