"""Networks that are given as objects from Python: a module, a function that makes one, or a family.

They stand in configs and in saved classifiers as ``from-python``, so that nothing in a file can bring code.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import torch
from torch import Tensor, nn

from medcls.config.network_names import GIVEN
from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, MedclsError, UsageError, wants_memory
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.family import Backbone, NetworkFamily

Given = nn.Module | NetworkFamily | Callable[[int, int, int], nn.Module]
"""A module from images ``(B, C, *spatial)`` to scores ``(B, classes)``, whose weights are what a training starts from; a
function of dimensions, channels and classes that gives one; or a family, of which the first network is taken."""
_GIVEN: ContextVar[NetworkFamily | None] = ContextVar("given", default=None)


@contextmanager
def given_network(network: Given | None) -> Iterator[None]:
    """Within, the network of the name ``from-python`` is this.

    Grad-CAM looks at the output of the submodule that the module names in an attribute ``explained_layer``; without one, at the
    last feature map that it computes.

    Raises:
        UsageError: It is of another kind.
    """
    before = _GIVEN.set(None if network is None else _family(network))
    try:
        yield
    finally:
        _GIVEN.reset(before)


def try_given(network: ClassificationNetwork, size: Sequence[int]) -> None:
    """Let a network that was given look at one empty image of this size; others are known.

    Raises:
        UsageError: It cannot take the image.
    """
    if network.name != GIVEN:
        return
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, network.channels, *size))
    except RuntimeError as error:
        if wants_memory(error):
            raise
        raise UsageError(
            f"the network cannot take images (batch, {network.channels}, {', '.join(map(str, size))})",
            where="network=",
            remedy="Give one of the dimensions, channels and size that preprocessing makes",
        ) from error
    finally:
        network.train(training)


def given_family() -> NetworkFamily:
    """The family of the network that was given.

    Raises:
        UsageError: None was.
    """
    found = _GIVEN.get()
    if found is None:
        raise UsageError(
            "its network was given as an object, which no file holds",
            remedy="Give it again, in Python: medcls.load(path, network=...), medcls.train(..., network=...)",
        )
    return found


class GivenHead(nn.Identity):
    """What a module gives is the scores already; see :class:`medcls.networks.heads.Head`."""

    linear_over_mean = False

    def __init__(self, _features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def pool(self, features: Tensor) -> Tensor:
        """The scores as they are, which must be one for each label."""
        if not isinstance(features, Tensor) or features.ndim != 2 or features.shape[1] != self.classes:
            shape = tuple(getattr(features, "shape", ()))
            raise UsageError(
                f"the network gives {shape or 'no tensor'}, and not (batch, {self.classes})", where="network="
            )
        return features

    def maps(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """The feature map as it is."""
        if features.ndim != len(size) + 2:
            raise UsageError(
                f"the explained layer gives {tuple(features.shape)}, and not a map (batch, features, *cells)",
                where="network=",
                remedy="Name another submodule in its attribute explained_layer",
            )
        return features


def _family(network: object) -> NetworkFamily:
    if isinstance(network, NetworkFamily):
        own, first = network, network.names[0]
        return replace(
            own,
            names=(GIVEN,),
            build=lambda settings, *shape: own.build(settings.model_copy(update={"name": first}), *shape),
        )
    if isinstance(network, nn.Module):
        module = network
        return _family_of_modules(lambda *shape: copy.deepcopy(module))
    if callable(network):
        return _family_of_modules(network)
    raise UsageError(
        "network= is neither a torch.nn.Module, nor a function that gives one, nor a NetworkFamily",
        remedy='A name goes into the config: model={"name": ...}',
    )


def _family_of_modules(make: Callable[[int, int, int], object]) -> NetworkFamily:
    def build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
        if settings.dropout:
            raise ConfigError("a network that is given has its own", where="model.dropout", remedy="Leave it out")
        try:
            module = make(dimensions, channels, classes)
        except MedclsError:
            raise
        except Exception as error:  # of the caller's own code, and shown in full by Python below this one
            raise UsageError(
                f"calling it with {dimensions} dimensions, {channels} channels and {classes} classes made no network",
                where="network=",
                remedy="Give a module, or a function of dimensions, channels and classes",
            ) from error
        if not isinstance(module, nn.Module):
            raise UsageError("what the function gives is no torch.nn.Module", where="network=")
        explained = getattr(module, "explained_layer", None)
        if explained is not None and explained not in dict(module.named_modules()):
            raise UsageError(f"explained_layer: the module has no '{explained}'", where="network=")
        return Backbone(module, classes, explained=explained)

    return NetworkFamily(names=(GIVEN,), build=build, kind="", head=GivenHead)
