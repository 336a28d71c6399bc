"""Pretrained weights: from a file or a named source into a network, with an account of what fitted."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from medcls.bounded import read_json
from medcls.config.site_weights import site_names
from medcls.errors import WeightsError
from medcls.nearest import one_of
from medcls.networks import layouts
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.families import FAMILIES, family_of, published
from medcls.networks.input_normalisation import INPUT_NAMES, Values, in_words, normalisation_for, normalisation_in
from medcls.networks.pretrained.places import fetch
from medcls.networks.pretrained.record import record_in
from medcls.networks.pretrained.report import WeightsReport
from medcls.networks.pretrained.tensor_files import TensorFile, read_tensors
from medcls.networks.sources import DIMENSIONS, find_source
from medcls.networks.volumes.inflation import InflatedConvolution, inflate_kernel
from medcls.progress import SILENT, Progress

WEIGHTS_FILE = "weights.safetensors"
# The layouts are known to the last tensor, so the right file fits whole. A file of another depth fits by more than
# half.
_ENOUGH = 0.9
DESCRIPTION_FILE = "classifier.json"  # of a saved classifier, beside its weights
_COUNTER = "num_batches_tracked"


def load_weights(
    network: ClassificationNetwork,
    path_or_source: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    values: Values | None = None,
    progress: Progress = SILENT,
) -> WeightsReport:
    """Load weights into a network, and say which tensors fitted.

    The network is changed only when the whole file has been read and found to fit. Its linear layer is loaded when
    the file's has as many classes, and else left as it is. The first convolution adapts to the network's channels,
    see :func:`adapt_channels`.

    Args:
        network: The network; it is changed in place.
        path_or_source: A ``.safetensors``, ``.pth`` or ``.pt`` file, the folder of a saved classifier, or the name of a
            source: ``imagenet``, ``medicalnet``, ``astra``, or one of the site's own index.
        sha256: Hexadecimal digits that the file's hash must begin with, in place of those published with a source.
        values: What the network's images hold. Where weights of a named source were trained with other values, the network
            normalises its images to those first; ``None``: whoever gives the images does.
        progress: Where a download is told.

    Raises:
        WeightsError: The file is missing, damaged, has another hash, holds more than weights, or is of another network.
    """
    source = os.fspath(path_or_source)
    if source not in DIMENSIONS and source not in site_names():
        path = _local_file(source)
        file = read_tensors(path, sha256=sha256)
        record = record_in(file.metadata, file.name)
        report = fit_tensors(network, file, _network_of(path) if record is None else record.network)
        network.started_from = report.recorded(record, in_words(values))
        return network.started_from
    files = published(family_of(network.name))
    one = find_source(source, files, name=network.name, dimensions=network.weights_dimensions)
    found = fetch(one, progress=progress)
    file = read_tensors(*found.paths, name=Path(one.file).name, sha256=sha256 or one.sha256)
    report = fit_tensors(network, file)
    images = ""
    if one.input is not None:
        images = "images are taken as the recipe leaves them"
        if values is not None:
            network.input = normalisation_for(one.input, values, network.channels)
            images = "images are normalised as in its training"
    network.started_from = replace(
        report,
        named=source,
        place=found.place,
        licence=one.licence,
        trained_on=one.trained_on,
        remark=one.remark,
        images=images,
    ).recorded(record_in(file.metadata, file.name), in_words(values))
    return network.started_from


def network_in(path: str) -> str:
    """The network that a file of weights of medcls' own, or the folder of one, is of; empty where it does not say.

    Raises:
        WeightsError: It is missing or damaged.
    """
    file = _local_file(path)
    record = record_in(read_tensors(file).metadata, file.name)
    return _network_of(file) if record is None else record.network


def fit_tensors(network: ClassificationNetwork, file: TensorFile, made_for: str = "") -> WeightsReport:
    """Put the tensors of a file into a network.

    Args:
        network: The network; it is changed in place.
        file: The tensors.
        made_for: The network that they are known to be of; empty where it is not known.

    Raises:
        WeightsError: The tensors are those of another network, or are not finite.
    """
    known = (
        *family_of(network.name).layouts,
        *(one for each in FAMILIES.values() for one in each.layouts),
        layouts.OWN,
    )
    layout = layouts.recognise(file.tensors, known)
    if layout is None:
        raise WeightsError(
            "the tensors in this file are named in no known way",
            where=file.name,
            remedy=f"Known are {', '.join(dict.fromkeys(one.name for one in known))}",
        )
    translated, unused = _translate(file, layout)
    first = _first_convolution(network)
    inflated = {f"{name}.weight" for name, one in network.named_modules() if isinstance(one, InflatedConvolution)}
    if first in translated:
        _check_axes(network.get_parameter(first), translated[first][1], file, can_be_flat=first in inflated)
    fitting = _Fitting(network.state_dict(), first, unused, layout.fold(translated), inflated, layout.reshape)
    for key, (original, tensor) in translated.items():
        fitting.place(key, original, tensor)
    _check_fit(fitting, translated, file, layout, made_for and f", {made_for}, and not of {network.name}")
    with torch.no_grad():
        network.load_state_dict(fitting.taken, strict=False)
    network.input = normalisation_in(file.tensors, network.channels) if layout is layouts.OWN else None
    return WeightsReport(
        source=file.name,
        layout=layout.name,
        sha256=file.sha256,
        loaded=tuple(key for key in fitting.taken if key not in fitting.adapted and not key.endswith(_COUNTER)),
        adapted=tuple(fitting.adapted.items()),
        missing=tuple(key for key in fitting.own if key not in fitting.taken and not key.endswith(_COUNTER)),
        unused=tuple(one for one in fitting.unused if layout is not layouts.OWN or one not in INPUT_NAMES),
    )


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """Fit a first convolution to another number of input channels.

    The new channels share the old ones' sum equally, so a picture that has the same grey values in every channel gets
    the response it had: three channels become one by their sum, one becomes three by thirds.

    Args:
        weight: ``(out, in, *kernel)``.
        channels: The new ``in``.
    """
    total = weight.float().sum(dim=1, keepdim=True)
    return (total / channels).expand(-1, channels, *weight.shape[2:]).contiguous()


@dataclass
class _Fitting:
    """The tensors of a network that found their values so far; ``folded`` says what was done to some of the file's.

    Of a network that was made 3-D from 2-D, ``inflated`` are the weights whose kernels can be flat in a file.
    """

    own: Mapping[str, Tensor]
    first: str
    unused: list[str]
    folded: Mapping[str, str]
    inflated: Collection[str]
    reshape: Callable[[str, Tensor, Tensor], tuple[Tensor, str] | None]
    taken: dict[str, Tensor] = field(default_factory=dict)
    adapted: dict[str, str] = field(default_factory=dict)

    def place(self, key: str, original: str, tensor: Tensor) -> None:
        """Give the network's tensor ``key`` its value, or note why not."""
        if key in self.inflated and tensor.ndim == 4:
            tensor = inflate_kernel(tensor, self.own[key].shape[4])
            self.adapted[key] = "2-D kernels repeated along the third axis"
        if key not in self.own:
            self.unused.append(original)
        elif tensor.shape == self.own[key].shape:
            self.taken[key] = tensor
            if key in self.folded:
                self.adapted[key] = self.folded[key]
        elif key == self.first and _same_but_channels(tensor, self.own[key]):
            channels = self.own[key].shape[1]
            self.taken[key] = adapt_channels(tensor, channels)
            self.adapted[key] = f"first convolution from {tensor.shape[1]} to {channels} channels"
        elif (fitted := self.reshape(key, tensor, self.own[key])) is not None:
            self.taken[key], self.adapted[key] = fitted
        else:
            self.unused.append(original)


def _local_file(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        path = next((one for one in (path / WEIGHTS_FILE, path / "classifier" / WEIGHTS_FILE) if one.is_file()), path)
        if path.is_dir():
            raise WeightsError(f"the folder holds no {WEIGHTS_FILE}", where=str(path), remedy="Name the file itself")
    if not path.exists():
        what = "there is no such file, and it is no named source"
        raise WeightsError(what, where=source, remedy=one_of(source, (*DIMENSIONS, *site_names()), "Named sources"))
    return path


def _network_of(weights: Path) -> str:
    """The name of the network whose weights a saved classifier holds; empty of other files."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return str(read_json(weights.with_name(DESCRIPTION_FILE))["network"]["model"]["name"])
    return ""


def _translate(file: TensorFile, layout: layouts.Layout) -> tuple[layouts.Translated, list[str]]:
    """The file's tensors by the network's names, with their own; and those that have none."""
    translated: layouts.Translated = {}
    unused: list[str] = []
    for original, plain in layouts.unwrap(file.tensors).items():
        key = layout.translate(plain)
        tensor = file.tensors[original]
        if key is None or (key.startswith("head.") and tensor.ndim > 2):
            unused.append(original)
            continue
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"the tensor {original} has values that are not finite", where=file.name)
        translated[key] = (original, tensor)
    return translated, unused


def _first_convolution(network: ClassificationNetwork) -> str:
    """The name of the weight that sees the image's channels; empty where no convolution does."""
    kinds = (nn.Conv2d, nn.Conv3d)
    return next((f"{name}.weight" for name, one in network.named_modules() if isinstance(one, kinds)), "")


def _check_axes(own: Tensor, given: Tensor, file: TensorFile, *, can_be_flat: bool) -> None:
    """Of the first convolutions of the network and of the file."""
    if given.ndim == own.ndim or (given.ndim == 4 and can_be_flat):
        return
    ways = "set model.slices or model.inflate, which take 2-D weights, " if given.ndim < own.ndim else ""
    raise WeightsError(
        f"the weights are of a {given.ndim - 2}-D network, and this one is {own.ndim - 2}-D",
        where=file.name,
        remedy=f"Choose others, {ways}or preprocessing.dimensions to match",
    )


def _check_fit(
    fitting: _Fitting, translated: layouts.Translated, file: TensorFile, layout: layouts.Layout, networks: str
) -> None:
    wanted = [key for key in fitting.own if key.startswith("backbone.") and not key.endswith(_COUNTER)]
    offered = [key for key in translated if key.startswith("backbone.") and not key.endswith(_COUNTER)]
    fitted = sum(key in fitting.taken for key in wanted)
    used = sum(translated[key][0] not in set(fitting.unused) for key in offered)
    first = fitting.first in fitting.taken or fitting.first not in translated
    enough = 1.0 if layout.whole else _ENOUGH
    if first and fitted >= enough * len(wanted) and used >= enough * len(offered):
        return
    raise WeightsError(
        f"the weights are of another network{networks}: {fitted} of its {len(wanted)} tensors are in the file, "
        f"and {used} of the file's {len(offered)} have a place",
        where=file.name,
        remedy=layout.remedy,
    )


def _same_but_channels(tensor: Tensor, own: Tensor) -> bool:
    return tensor.ndim == own.ndim and tensor.shape[0] == own.shape[0] and tensor.shape[2:] == own.shape[2:]
