"""Layouts: what the tensors of a network are called in the files that hold published weights.

A layout is recognised by the names in the file, and translates them to those of
:class:`~medcls.networks.architecture.ClassificationNetwork`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

# torch's DataParallel puts this before every name, as in the MedicalNet files.
_WRAPPER = "module."
# Before 2018 torchvision called the parts of a dense layer 'norm.1' and 'conv.2'; its densenet files still do.
_DENSE_PART = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")


@dataclass(frozen=True)
class Layout:
    """A way of naming tensors.

    Attributes:
        name: What a user would call it.
        translate: From a name in the file to a name in the network; ``None`` for a part that the network does not have.
    """

    name: str
    translate: Callable[[str], str | None]


def _keep(key: str) -> str | None:
    return key if key.startswith(("backbone.", "head.")) else None


def _from_torchvision_densenet(key: str) -> str | None:
    head, _, rest = key.partition(".")
    if head == "classifier":
        return f"head.{rest}"
    return "backbone." + _DENSE_PART.sub(r"\1.layers.\2\3.", rest) if head == "features" else None


def _from_monai_densenet(key: str) -> str | None:
    if key.startswith("class_layers.out."):
        return "head." + key.removeprefix("class_layers.out.")
    return "backbone." + key.removeprefix("features.") if key.startswith("features.") else None


def _from_resnet(key: str) -> str | None:
    head, _, rest = key.partition(".")
    if head == "fc":
        return f"head.{rest}"
    return f"backbone.{key}" if re.fullmatch(r"conv1|bn1|layer[1-4]", head) else None


OWN = Layout("medcls", _keep)
TORCHVISION_DENSENET = Layout("torchvision DenseNet", _from_torchvision_densenet)
MONAI_DENSENET = Layout("MONAI DenseNet", _from_monai_densenet)
MEDICALNET = Layout("MedicalNet ResNet", _from_resnet)
MONAI_RESNET = Layout("MONAI ResNet", _from_resnet)
TORCHVISION_RESNET = Layout("torchvision ResNet", _from_resnet)
LAYOUTS = (OWN, TORCHVISION_DENSENET, MONAI_DENSENET, MEDICALNET, MONAI_RESNET, TORCHVISION_RESNET)


def unwrap(keys: Iterable[str]) -> dict[str, str]:
    """From each name in a file to the name without a DataParallel wrapper."""
    return {key: key.removeprefix(_WRAPPER) for key in keys}


def recognise(tensors: Mapping[str, Tensor]) -> Layout | None:
    """Tell the layout of a file by the names and shapes in it.

    Args:
        tensors: As they are in the file.

    Returns:
        The layout, or ``None`` when it is none of those known.
    """
    wrapped = any(key.startswith(_WRAPPER) for key in tensors)
    names = {plain: tensors[key].ndim for key, plain in unwrap(tensors).items()}
    if "head.weight" in names and any(name.startswith("backbone.") for name in names):
        return OWN
    if "features.conv0.weight" in names:
        return MONAI_DENSENET if any(".layers." in name for name in names) else TORCHVISION_DENSENET
    if "conv1.weight" in names and "layer1.0.conv1.weight" in names:
        return _recognise_resnet(names, wrapped=wrapped)
    return None


def _recognise_resnet(names: Mapping[str, int], *, wrapped: bool) -> Layout:
    # One naming, three sources: MedicalNet's files are wrapped and 3-D, torchvision's plain and 2-D, MONAI's anything
    # else.
    volumetric = names["conv1.weight"] == 5
    if volumetric and (wrapped or any(name.startswith("conv_seg.") for name in names)):
        return MEDICALNET
    biased = any(name.endswith(".downsample.0.bias") for name in names)
    return MONAI_RESNET if volumetric or biased else TORCHVISION_RESNET
