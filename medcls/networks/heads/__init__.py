"""What turns a backbone's features into scores: one linear layer, over what the head pools."""

from medcls.networks.heads.head import Head
from medcls.networks.heads.mean_linear import MeanLinearHead
from medcls.networks.heads.token import TokenHead, patches_of

__all__ = ["Head", "MeanLinearHead", "TokenHead", "patches_of"]
