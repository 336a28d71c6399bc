"""Augmentation of a batch: medcls' batched one beside MONAI's Compose image by image, and beside one interpolation alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from bench_scans.table import Row, Target, compare
from torch import Tensor

from medcls.config.settings import AugmentationSettings
from medcls.loading import Augmentation

from .scale import Measured, Say, Scale, timed

OURS, USUAL, FLOOR = "medcls", "MONAI Compose, image by image", "affine_grid and grid_sample"
BENT, USUAL_BENT = "medcls, elastic", "MONAI elastic, image by image"


def augmentation(scale: Scale, say: Say) -> Measured:
    """The default augmentation of CT, and elastic bending, in 2-D and 3-D."""
    rows: list[Row] = []
    everything = {}
    for dimensions in (2, 3):
        count, size = scale.batch(dimensions), scale.size(dimensions)
        block = f"augmentation of {count} images of {' x '.join(map(str, size))}"
        images = torch.randn(count, 1, *size, generator=torch.Generator().manual_seed(scale.seed)).to(scale.device)
        keys = torch.arange(count)
        usual = Augmentation.from_settings("lung", AugmentationSettings())
        bent = Augmentation(elastic=2.0)
        assert usual is not None

        def ours(one: Augmentation, images: Tensor = images, keys: Tensor = keys) -> Callable[[], Tensor]:
            return lambda: one(images, keys, epoch=0)

        calls = {
            OURS: ours(usual),
            USUAL: _image_by_image(compose(usual, dimensions, size), images),
            FLOOR: _one_interpolation(images),
            BENT: ours(bent),
            USUAL_BENT: _image_by_image(elastic(bent, dimensions), images),
        }
        figures = timed(scale, calls, say, block)
        for what, mine, peer in (("default of CT", OURS, USUAL), ("elastic", BENT, USUAL_BENT)):
            target = Target("at least", 1)
            rows.append(compare(block, what, figures, mine, peer, target=target, floor=FLOOR, clock=scale.clock))
        everything[block] = figures
    return rows, everything


def compose(like: Augmentation, dimensions: int, size: tuple[int, ...]) -> Any:
    """The same changes as a tutorial writes them."""
    from monai import transforms

    axes = "xyz"[:dimensions]
    return transforms.Compose(
        [
            transforms.RandAffine(
                prob=1.0,
                rotate_range=[math.radians(like.rotate)] * (1 if dimensions == 2 else 3),
                translate_range=[like.translate * length for length in size],
                scale_range=[like.scale] * dimensions,
                padding_mode="zeros",
                cache_grid=True,
                spatial_size=size,
            ),
            transforms.RandGaussianSmooth(prob=0.5, **{f"sigma_{axis}": (0.1, like.blur) for axis in axes}),
            transforms.RandScaleIntensityFixedMean(prob=1.0, factors=like.contrast),
            transforms.RandShiftIntensity(prob=1.0, offsets=like.brightness),
            transforms.RandGaussianNoise(prob=1.0, std=like.noise),
        ]
    )


def elastic(like: Augmentation, dimensions: int) -> Any:
    """MONAI's bending of the same size."""
    from monai import transforms

    spacing = like.elastic_spacing
    if dimensions == 2:
        return transforms.Rand2DElastic((spacing, spacing), (0, like.elastic), prob=1.0, padding_mode="zeros")
    magnitude = like.elastic * math.sqrt(3) * (2 * math.sqrt(math.pi) * spacing) ** 1.5
    return transforms.Rand3DElastic((spacing, spacing), (0, magnitude), prob=1.0, padding_mode="zeros")


def _image_by_image(transform: Any, images: Tensor) -> Callable[[], Tensor]:
    given = [image.clone() for image in images]
    return lambda: torch.stack([torch.as_tensor(transform(image)) for image in given])


def _one_interpolation(images: Tensor) -> Callable[[], Tensor]:
    """What moving the images costs with nothing around it."""
    axes = images.ndim - 2
    affines = torch.eye(axes, axes + 1, device=images.device).repeat(len(images), 1, 1) * 0.9

    def call() -> Tensor:
        grid = torch.nn.functional.affine_grid(affines, list(images.shape), align_corners=False)
        return torch.nn.functional.grid_sample(images, grid, align_corners=False)

    return call
