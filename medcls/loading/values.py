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


def change_gamma(images: Tensor, exponents: Sequence[float]) -> Tensor:
    """Bend the values between each image's lowest and highest by a power, as MONAI's ``AdjustContrast`` does.

    Args:
        images: ``(B, C, *shape)`` float32.
        exponents: For each image; below 1 dark parts get brighter.
    """
    space = tuple(range(1, images.ndim))
    low = images.amin(dim=space, keepdim=True)
    height = images.amax(dim=space, keepdim=True) - low
    return ((images - low) / (height + _TINY)) ** _each(exponents, images) * height + low


def blur(images: Tensor, sigmas: Sequence[Sequence[float]]) -> Tensor:
    """Convolve with a Gaussian, one axis after the other, edges repeated.

    A neighbour's weight is the Gaussian's integral over it, not its value in the middle, which for narrow ones is too small.

    Args:
        images: ``(B, C, *shape)`` float32.
        sigmas: For each image the standard deviation along each axis, in voxels; below a tenth, the axis stays as it is.
    """
    return torch.stack([_blur_one(image, sigma) for image, sigma in zip(images, sigmas, strict=True)])


_LEAST_SIGMA = 0.1  # the neighbours' weight is then below 1e-6
_TINY = 1e-7  # an even image stays even


def _blur_one(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    axes = image.ndim - 1
    convolve = conv2d if axes == 2 else conv3d
    for axis, sigma in enumerate(sigmas):
        radius = max(1, int(3 * sigma + 0.5))
        if sigma < _LEAST_SIGMA or image.shape[axis + 1] <= radius:
            continue
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float32, device=image.device)
        kernel = torch.special.ndtr((offsets + 0.5) / sigma) - torch.special.ndtr((offsets - 0.5) / sigma)
        widths = [0] * (2 * axes)
        widths[2 * (axes - 1 - axis)] = widths[2 * (axes - 1 - axis) + 1] = radius
        shape = [1] * (axes + 2)
        shape[axis + 2] = len(kernel)
        padded = pad(image[:, None], widths, mode="replicate")
        image = convolve(padded, (kernel / kernel.sum()).view(shape))[:, 0]
    return image


def _each(numbers: Sequence[float], images: Tensor) -> Tensor:
    """One number for each image, ready to be multiplied."""
    values = torch.tensor(list(numbers), dtype=torch.float32, device=images.device)
    return values.view(-1, *([1] * (images.ndim - 1)))
