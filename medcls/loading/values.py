"""Change the values of a batch, each image by its own amount."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv3d, pad


def add_noise(images: Tensor, levels: Sequence[float], seeds: Sequence[int]) -> Tensor:
    """Add Gaussian noise.

    Args:
        images: ``(B, C, *shape)`` float32.
        levels: Standard deviation for each image.
        seeds: Seed for each image.
    """
    noise = torch.empty_like(images)
    for image, seed in zip(noise, seeds, strict=True):
        generator = torch.Generator(device=images.device).manual_seed(seed)
        image.normal_(generator=generator)
    return images + noise * _each(levels, images)


def change_contrast(images: Tensor, factors: Sequence[float], shifts: Sequence[float]) -> Tensor:
    """Multiply the distance from the mean by a factor, and add a shift.

    Args:
        images: ``(B, C, *shape)`` float32.
        factors: For each image.
        shifts: For each image, in input units.
    """
    # Each image's mean is taken on its own, so that its bits do not depend on the batch.
    means = torch.stack([image.mean() for image in images]).view(-1, *([1] * (images.ndim - 1)))
    return (images - means) * _each(factors, images) + means + _each(shifts, images)


def blur(images: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Convolve with a Gaussian, one axis after the other, edges repeated.

    Args:
        images: ``(B, C, *shape)`` float32.
        sigmas: Standard deviation for each image, in voxels; below a tenth, the image stays as it is.
    """
    blurred = [
        _blur_one(image, sigma) if sigma >= _LEAST_SIGMA else image for image, sigma in zip(images, sigmas, strict=True)
    ]
    return torch.stack(blurred)


_LEAST_SIGMA = 0.1  # the neighbours' weight is then below 1e-20


def _blur_one(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, int(3 * sigma + 0.5))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    axes = image.ndim - 1
    convolve = conv2d if axes == 2 else conv3d
    for axis in range(axes):
        if image.shape[axis + 1] <= radius:
            continue
        widths = [0] * (2 * axes)
        widths[2 * (axes - 1 - axis)] = widths[2 * (axes - 1 - axis) + 1] = radius
        shape = [1] * (axes + 2)
        shape[axis + 2] = len(kernel)
        padded = pad(image[:, None], widths, mode="replicate")
        image = convolve(padded, kernel.view(shape))[:, 0]
    return image


def _each(numbers: Sequence[float], images: Tensor) -> Tensor:
    """One number for each image, ready to be multiplied."""
    values = torch.tensor(list(numbers), dtype=torch.float32, device=images.device)
    return values.view(-1, *([1] * (images.ndim - 1)))
