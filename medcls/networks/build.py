"""From the model's settings to a network."""

from __future__ import annotations

from typing import Any

from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, UsageError
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.depths import AllDepths
from medcls.networks.families import family_of
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.heads import MeanLinearHead
from medcls.networks.volumes.inflation import Inflation, inflate
from medcls.networks.volumes.slice_network import SliceNetwork

_TRIED = 32  # voxels an axis of the image that tells how many features there are


def build_network(settings: ModelSettings, *, dimensions: int, channels: int, classes: int) -> ClassificationNetwork:
    """Build a network with fresh weights; nothing is loaded here.

    Which tensors it has depends on these arguments alone; of ``settings.weights`` only whether it is a named source matters.

    Args:
        settings: Name, dropout, and what its family reads of them.
        dimensions: 2 or 3 spatial axes.
        channels: Channels of the input.
        classes: Outputs, one for each label.

    Raises:
        UsageError: An argument is out of range, or there is no such network.
        ConfigError: What the settings say of volumes does not go with so many dimensions.
    """
    if dimensions not in (2, 3):
        raise UsageError(f"a network has 2 or 3 dimensions, not {dimensions}")
    if channels < 1 or classes < 1:
        raise UsageError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    settings.check_dimensions(dimensions)
    family, slices, axes = family_of(settings.name), settings.slices, settings.weights_dimensions(dimensions)
    seen = channels if slices is None else channels * slices.thickness
    backbone = family.build(settings, axes, seen, classes)
    if settings.inflate is not None:
        _inflate(backbone, settings.inflate, channels, family)
        axes = dimensions
    depths = None if settings.depths == "last" else _all_depths(backbone, axes, seen, family)
    features = backbone.features if depths is None else depths.features
    head = (backbone.head or family.head)(features, classes)
    named: dict[str, Any] = {
        "name": settings.name,
        "channels": channels,
        "classes": classes,
        "blocks": backbone.blocks,
        "smallest": family.smallest,
        "dropout": settings.dropout,
        "mirror": settings.mirror,
        "depths": depths,
        "explained": _explained(backbone, depths),
        "view": backbone.view,
    }
    if slices is not None:
        # A head that is no layer, as of a network that is given, takes what the backbone gives.
        return SliceNetwork(backbone.module, head, slices, features=getattr(head, "in_features", features), **named)
    fitting = settings.weights_dimensions(dimensions)
    return ClassificationNetwork(backbone.module, head, dimensions=dimensions, weights_dimensions=fitting, **named)


def _inflate(backbone: Backbone, kind: Inflation, channels: int, family: NetworkFamily) -> None:
    if not (isinstance(family.head, type) and issubclass(family.head, MeanLinearHead)):
        raise ConfigError(
            "a network is made 3-D where its head begins with the mean over space, and this one's does not",
            where="model.inflate",
            remedy="Leave it out, or choose another network",
        )
    inflate(backbone.module, kind, channels, max(family.smallest, _TRIED))


def _explained(backbone: Backbone, depths: AllDepths | None) -> str | None:
    if depths is not None:
        return "depths"
    return None if backbone.explained is None else f"backbone.{backbone.explained}".rstrip(".")


def _all_depths(backbone: Backbone, dimensions: int, channels: int, family: NetworkFamily) -> AllDepths:
    *earlier, _last = backbone.blocks.values()
    if (backbone.head or family.head) is not MeanLinearHead or not earlier:
        raise UsageError(
            "a network has feature maps of several depths where its head takes the mean over one, and this has not",
            where="model.depths",
            remedy="Use 'depths: last'",
        )
    return AllDepths(
        backbone.module,
        [children[-1] for children in earlier],
        channels=channels,
        dimensions=dimensions,
        size=max(family.smallest, _TRIED),
        view=backbone.view,
    )
