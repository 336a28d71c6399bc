"""Networks by family, in two and three dimensions, their heads, pretrained weights, and what of them is frozen."""

from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.build import build_network
from medcls.networks.freezing import freeze_blocks
from medcls.networks.pretrained.report import WeightsReport
from medcls.networks.pretrained.weights import load_weights

__all__ = ["ClassificationNetwork", "WeightsReport", "build_network", "freeze_blocks", "load_weights"]
