"""Regions of an image, superpixels or supervoxels, that are hidden or seen as one; and scores of images without some."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medcls.explanation.methods.question import Question

REGIONS = 48
"""About how many there are."""
SAMPLES = 512
"""Images with some of the regions hidden."""
_COMPACTNESS = 0.1  # how much closeness counts beside likeness, of values in 0..1


def regions_of(image: Tensor) -> NDArray[np.intp]:
    """The region of each voxel, from 0 on: ``(*spatial)``.

    SLIC: Achanta et al., 'SLIC Superpixels' (IEEE TPAMI 2012), of scikit-image. It goes by closeness and likeness, and draws
    nothing at random.

    Args:
        image: ``(C, *spatial)``.
    """
    from skimage.segmentation import slic

    values = image.double().cpu().numpy()
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low if high > low else 1.0)
    count = min(REGIONS, scaled[0].size)
    # Noise has regions of single voxels, which are then joined into few large ones.
    blur = min(1.0, (scaled[0].size / count) ** (1 / scaled[0].ndim) / 8)
    found = slic(scaled, count, _COMPACTNESS, sigma=blur, channel_axis=0, convert2lab=False, start_label=0)
    _, regions = np.unique(found, return_inverse=True)
    return regions.reshape(image.shape[1:])


def scores_without(
    asked: Question, regions: NDArray[np.intp], seen: NDArray[np.bool_], what: str
) -> NDArray[np.float64]:
    """The scores ``(n,)`` of the one image with only some of its regions seen, the others hidden (:attr:`Question.hidden`).

    Args:
        asked: The question.
        regions: Of :func:`regions_of`.
        seen: ``(n, regions)``, which are seen.
        what: What is going on, in words.
    """
    place = torch.from_numpy(regions).to(asked.images.device)
    choices = torch.from_numpy(seen).to(asked.images.device)
    scores = []
    for part in asked.parts(len(seen), what):
        kept = choices[part.start : part.stop][:, place][:, None]
        scores.append(asked.scores(torch.where(kept, asked.images, asked.hidden)).double().cpu().numpy())
    return np.concatenate(scores)


def painted(asked: Question, regions: NDArray[np.intp], values: NDArray[np.float64]) -> Tensor:
    """A map ``(1, *spatial)`` with each region's value; what is below 0 is cut."""
    return torch.from_numpy(values[regions][None]).float().to(asked.images.device).relu()
