"""Blocks that are not trained, counted from the input.

The first blocks of a pretrained network hold edges and textures that serve any image; with few cases it can pay to
keep them. Gradual unfreezing trains the last layer first, and then one block more after the other, so that what is fitted to
random scores does not reach the blocks that were trained before (Howard and Ruder, 'Universal Language Model Fine-tuning for
Text Classification', ACL 2018, section 3.3).
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


def freeze_for_epoch(network: ClassificationNetwork, epoch: int, *, every: int, least: int) -> tuple[str, ...]:
    """Freeze what gradual unfreezing has not come to: all blocks at first, and one less, from the last on, with each step.

    Args:
        network: The network; it is changed in place.
        epoch: Counted from 0.
        every: Epochs between two blocks.
        least: Blocks that stay frozen to the end.

    Returns:
        The names of the frozen blocks.

    Raises:
        ConfigError: Without its blocks, the network has nothing to train.
    """
    frozen = freeze_blocks(network, max(least, len(network.blocks) - epoch // every))
    if not network.blocks or not any(one.requires_grad for one in network.parameters()):
        raise no_blocks("train.unfreeze")
    return frozen


def no_blocks(key: str) -> ConfigError:
    """The error of what is asked for by blocks of a network that has not told any."""
    return ConfigError(
        "the network has no blocks before its last layer that medcls knows of",
        where=key,
        remedy="Leave it out, or give the network as a NetworkFamily whose Backbone has blocks",
    )
