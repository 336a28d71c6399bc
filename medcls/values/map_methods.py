"""The methods that explain a prediction by a map, as configs, titles and files call them.

What they compute is in :mod:`medcls.explanation.methods`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medcls.errors import UsageError
from medcls.nearest import one_of

MapMethodName = Literal[
    "grad-cam",
    "grad-cam++",
    "hirescam",
    "layercam",
    "score-cam",
    "integrated-gradients",
    "smoothgrad",
    "occlusion",
    "lime",
    "kernel-shap",
]


@dataclass(frozen=True)
class MapMethod:
    """How a method is told.

    Attributes:
        title: Its proper name.
        shows: What its maps show, as in 'the maps show …'.
        of_layer: Whether it looks at a layer of the network, and not at the image alone.
    """

    title: str
    shows: str
    of_layer: bool = False


_RAISED = "which regions raised the probability of a label above 0.5"
_HIDDEN = "which regions lower the score of a label when they are hidden"
MAP_METHODS: Mapping[MapMethodName, MapMethod] = {
    "grad-cam": MapMethod("Grad-CAM", _RAISED, of_layer=True),
    "grad-cam++": MapMethod("Grad-CAM++", "which regions have features that raise the score of a label", of_layer=True),
    "hirescam": MapMethod("HiResCAM", _RAISED, of_layer=True),
    "layercam": MapMethod("LayerCAM", "which regions have features that raise the score of a label", of_layer=True),
    "score-cam": MapMethod(
        "Score-CAM", "which regions keep the score of a label high when they alone are seen", of_layer=True
    ),
    "integrated-gradients": MapMethod("Integrated gradients", "which voxels raised the score of a label"),
    "smoothgrad": MapMethod("SmoothGrad", "where small changes of the image change the score of a label, up or down"),
    "occlusion": MapMethod("Occlusion", _HIDDEN),
    "lime": MapMethod("LIME", _HIDDEN),
    "kernel-shap": MapMethod("Kernel SHAP", _HIDDEN),
}


@dataclass(frozen=True)
class MapChoice:
    """Which map explains a prediction.

    Attributes:
        method: What makes it.
        layer: The block of the network that it is of; ``None``: the last, or the method looks at the image alone.

    Raises:
        UsageError: There is no such method, or it looks at the image alone, and a layer is given.
    """

    method: MapMethodName = "grad-cam"
    layer: str | None = None

    def __post_init__(self) -> None:
        if self.method not in MAP_METHODS:
            raise UsageError(
                f"there is no method '{self.method}' of explanation", remedy=one_of(self.method, MAP_METHODS, "Methods")
            )
        if self.layer is not None and not self.told.of_layer:
            layered = ", ".join(name for name, told in MAP_METHODS.items() if told.of_layer)
            raise UsageError(
                f"{self.told.title} looks at the image alone, not at a layer",
                remedy=f"Leave the layer out, or choose {layered}",
            )

    @property
    def told(self) -> MapMethod:
        """How the method is told."""
        return MAP_METHODS[self.method]

    @property
    def title(self) -> str:
        """The method's proper name, and the block that it looks at where that is not the last: ``LayerCAM at block3``."""
        return self.told.title + (f" at {self.layer}" if self.layer else "")

    @property
    def stem(self) -> str:
        """The same in names of files: ``layercam-block3``."""
        return self.method + (f"-{self.layer}" if self.layer else "")


GRAD_CAM = MapChoice()
