"""LayerCAM: for layers of any depth, features weighed cell by cell by the gradients that are positive."""

from __future__ import annotations

from medcls.explanation.methods.layer import cam
from medcls.explanation.methods.question import Attribution, Question, method


@method
def layer_cam(asked: Question) -> Attribution:
    """Features times their own positive gradients, summed over features.

    Jiang et al., 'LayerCAM: Exploring Hierarchical Class Activation Maps for Localization' (IEEE TIP 2021), section III:
    ``L = ReLU(sum_k ReLU(dy/dA_k) * A_k)``. Features that speak against the target take nothing away.
    """
    return cam(asked, lambda features, slopes: (features * slopes.relu()).sum(dim=1))
