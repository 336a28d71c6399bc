"""Layouts: what the tensors of a network are called in the files that hold published weights.

A layout is recognised by the names in the file, and translates them to those of
:class:`~medcls.networks.architecture.ClassificationNetwork`. Those of published files stand with their families.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

WRAPPER = "module."
"""torch's DataParallel puts this before every name; it is a name of its own, with 0 axes, where it was there."""
Translated = dict[str, tuple[str, Tensor]]
"""The network's name of a tensor to the file's, and the tensor."""


@dataclass(frozen=True)
class Layout:
    """A way of naming tensors.

    Attributes:
        name: What a user would call it.
        recognises: Whether a file has it, by the names in it and how many axes each has.
        translate: From a name in the file to a name in the network; ``None`` for a part that the network does not have.
        fold: Takes tensors that the network does not have into others, and says of these what was done.
        reshape: From a name in the network, the file's tensor, and the network's own of another shape, to the first in the
            shape of the second, with what was done; ``None``: it does not fit.
        whole: Whether every tensor of a right file has a place, and every place a tensor.
        remedy: What to do where the file is of another network.
    """

    name: str
    recognises: Callable[[Mapping[str, int]], bool]
    translate: Callable[[str], str | None]
    fold: Callable[[Translated], dict[str, str]] = lambda translated: {}
    reshape: Callable[[str, Tensor, Tensor], tuple[Tensor, str] | None] = lambda key, tensor, own: None
    whole: bool = False
    remedy: str = "Choose the network that the file was made for"


OWN = Layout(
    "medcls",
    lambda names: any(name.startswith("backbone.") for name in names),
    lambda key: key if key.startswith(("backbone.", "head.")) else None,
)


def in_sequence(name: str, known: str, children: Sequence[str], translate: Callable[[str], str | None]) -> Layout:
    """That of a file whose network's children were put into a sequence called ``backbone``, by number, as RadImageNet's are.

    Args:
        name: What a user would call it.
        known: A name by which it is recognised.
        children: Their own names.
        translate: From a name with these to a name in the network.
    """

    def named(key: str) -> str | None:
        number, _, rest = key.removeprefix("backbone.").partition(".")
        place = int(number) if number.isdecimal() else len(children)
        return translate(f"{children[place]}.{rest}") if place < len(children) else None

    return Layout(name, lambda names: known in names, named, whole=True)


def unwrap(keys: Iterable[str]) -> dict[str, str]:
    """From each name in a file to the name without a DataParallel wrapper."""
    return {key: key.removeprefix(WRAPPER) for key in keys}


def recognise(tensors: Mapping[str, Tensor], layouts: Iterable[Layout]) -> Layout | None:
    """Tell the layout of a file by the names and shapes in it.

    Args:
        tensors: As they are in the file.
        layouts: Those that it may have; the first that recognises it is taken.

    Returns:
        The layout, or ``None`` when it is none of those.
    """
    names = {plain: tensors[key].ndim for key, plain in unwrap(tensors).items()}
    if any(key.startswith(WRAPPER) for key in tensors):
        names[WRAPPER] = 0
    return next((one for one in layouts if one.recognises(names)), None)
