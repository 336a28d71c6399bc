"""From the model's settings to a network."""

from __future__ import annotations

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.depths import AllDepths
from medcls.networks.families import family_of
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.heads import MeanLinearHead

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
    """
    if dimensions not in (2, 3):
        raise UsageError(f"a network has 2 or 3 dimensions, not {dimensions}")
    if channels < 1 or classes < 1:
        raise UsageError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    family = family_of(settings.name)
    backbone = family.build(settings, dimensions, channels, classes)
    depths = None if settings.depths == "last" else _all_depths(backbone, dimensions, channels, family)
    return ClassificationNetwork(
        backbone.module,
        family.head(backbone.features if depths is None else depths.features, classes),
        name=settings.name,
        dimensions=dimensions,
        channels=channels,
        classes=classes,
        blocks=backbone.blocks,
        smallest=family.smallest,
        dropout=settings.dropout,
        mirror=settings.mirror,
        depths=depths,
        explained=None if backbone.explained is None else f"backbone.{backbone.explained}".rstrip("."),
    )


def _all_depths(backbone: Backbone, dimensions: int, channels: int, family: NetworkFamily) -> AllDepths:
    *earlier, _last = backbone.blocks.values()
    if family.head is not MeanLinearHead or not earlier:
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
