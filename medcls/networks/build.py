"""From the model's settings to a network."""

from __future__ import annotations

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.families import family_of


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
    return ClassificationNetwork(
        backbone.module,
        family.head(backbone.features, classes),
        name=settings.name,
        dimensions=dimensions,
        channels=channels,
        classes=classes,
        blocks=backbone.blocks,
        smallest=family.smallest,
        dropout=settings.dropout,
        mirror=settings.mirror,
        explained=None if backbone.explained is None else f"backbone.{backbone.explained}".rstrip("."),
    )
