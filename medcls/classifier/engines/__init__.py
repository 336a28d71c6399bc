"""Engines: a classifier's network compiled for a CPU by OpenVINO, and whether it still answers as the network does.

Nothing of OpenVINO is imported unless an engine is wanted; without the package everything is computed by torch.
"""

from medcls.classifier.engines.agreement import EngineCheck, EngineName, Precision
from medcls.classifier.engines.choosing import check_engines, with_engine

__all__ = ["EngineCheck", "EngineName", "Precision", "check_engines", "with_engine"]
