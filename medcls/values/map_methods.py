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


def map_method(name: str, layer: str | None = None) -> MapMethodName:
    """The method of a name.

    Args:
        name: Of the method.
        layer: The block of the network that it is to look at.

    Raises:
        UsageError: There is none, or it looks at the image alone, and a layer is given.
    """
    known = next((one for one in MAP_METHODS if one == name), None)
    if known is None:
        raise UsageError(f"there is no method '{name}' of explanation", remedy=one_of(name, MAP_METHODS, "Methods"))
    if layer is not None and not MAP_METHODS[known].of_layer:
        layered = ", ".join(one for one, told in MAP_METHODS.items() if told.of_layer)
        raise UsageError(
            f"{MAP_METHODS[known].title} looks at the image alone, not at a layer",
            remedy=f"Leave the layer out, or choose {layered}",
        )
    return known
