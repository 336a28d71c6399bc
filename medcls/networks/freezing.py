"""Blocks that are not trained, counted from the input.

The first blocks of a pretrained network hold edges and textures that serve any image; with few cases it can pay to
keep them.
"""

from __future__ import annotations

from medcls.errors import ConfigError
from medcls.networks.architecture import ClassificationNetwork


def freeze_blocks(network: ClassificationNetwork, count: int) -> tuple[str, ...]:
    """Freeze the first ``count`` blocks, and no others.

    A frozen block's weights take no gradient, and its batch norms stay in evaluation, also under ``network.train()``.

    Args:
        network: The network; it is changed in place.
        count: From 0 (everything is trained) to the number of blocks (only the linear layer is trained).

    Returns:
        The names of the frozen blocks, from the input on: ``stem``, ``block1`` and so on.

    Raises:
        ConfigError: The network has fewer blocks.
    """
    names = tuple(network.blocks)
    if not 0 <= count <= len(names):
        raise ConfigError(
            f"{count} blocks cannot be frozen: the network has {len(names)}",
            where="model.freeze",
            remedy=f"Choose from 0 to {len(names)}: {', '.join(names)}" if names else "Leave it out",
        )
    network.requires_grad_(True)
    network.frozen = names[:count]
    for module in network.frozen_modules():
        module.requires_grad_(False)
    network.train(network.training)
    return network.frozen
