"""The names that ``model.name`` takes, known without torch: those that are shipped, and those that installed packages add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from medcls.plugins import installed

SHIPPED: Mapping[str, tuple[str, ...]] = {
    "densenet": ("densenet121", "densenet169", "densenet201", "densenet264"),
    "efficientnet": (
        *("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3"),
        *("efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7"),
        *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3", "efficientnet_lite4"),
    ),
    "resnet": ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
    "i3resnet": ("i3resnet152",),
    "vgg": ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    "convnext": ("convnext_tiny", "convnext_small"),
    "vit": ("vit_s_16", "vit_b_16", "vit_s_14", "vit_b_14", "vit_s_14_reg", "vit_b_14_reg"),
    "swin": ("swin_t",),
    "senet": ("seresnet50", "seresnet101", "seresnet152", "seresnext50", "seresnext101", "senet154"),
    "mobilenet": ("mobilenet_v3_small", "mobilenet_v3_large"),
    "googlenet": ("googlenet",),
    "inception": ("inception_v3",),
    "allcnn": ("allcnn",),
    "smallcnn": ("smallcnn", "smallcnn_strided"),
}
"""Each module of :mod:`medcls.networks.families`, with the networks that it builds."""
NAMES = tuple(name for names in SHIPPED.values() for name in names)
TRUSTED: Mapping[int, str] = {2: "resnet18", 3: "resnet10"}
"""The smallest that the field trusts, by the number of axes."""
GIVEN = "from-python"
"""Stands for a network that was given as an object."""
GROUP = "medcls.networks"
"""Entry points of installed packages: from the name of a network to its family."""
NAMED_WEIGHTS = ("imagenet", "radimagenet", "medicalnet", "astra")
AUTO = "auto"
"""In ``model.weights``: the best that is on this machine."""


def is_known(name: object) -> bool:
    """Whether a network of this name is shipped, was given as an object, or is of an installed package."""
    return name in NAMES or name == GIVEN or name in installed(GROUP)


def _checked(name: str) -> str:
    if not is_known(name):
        raise PydanticKnownError("literal_error", {"expected": ", ".join((*NAMES, *sorted(installed(GROUP))))})
    return name


NetworkName = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"anyOf": [{"enum": list(NAMES)}, {"type": "string"}]}),
]
