"""Each change of a batch has the distribution of a MONAI transform: hundreds of draws of both, compared figure by figure.

Where a definition differs, the test says so and compares what is left; docs/explanation/augmentation.md says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import monai.transforms as peer
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from medcls.loading import Augmentation
from medcls.loading.elastic import random_displacements
from medcls.loading.mixing import Mixing

torch.set_num_threads(1)

DRAWS = {2: 200, 3: 80}
SHAPES = {2: (44, 36), 3: (26, 24, 20)}
LEAST_P = 1e-3  # of each of some ten figures; seeds are fixed, so a test passes always or never
Peer = Callable[[Tensor], Tensor]


def phantom(dimensions: int) -> Tensor:
    """Two blobs of unlike size in an empty field: every move, turn and stretch shows."""
    shape = SHAPES[dimensions]
    places = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    image = np.zeros(shape)
    for centre, width, height in (((4, 2, 1), 2.6, 1.0), ((-3, -3, -2), 1.8, 0.6)):
        offset = np.array(centre[:dimensions]).reshape(-1, *([1] * dimensions))
        image += height * np.exp(-0.5 * ((places - offset) ** 2).sum(0) / width**2)
    image[image < 1e-3] = 0
    return torch.from_numpy(image.astype(np.float32))[None]


def figures(images: Tensor) -> NDArray[np.float64]:
    """Mean, spread, centre, extent and a few voxels of each image ``(B, 1, *shape)``: a row each."""
    shape = images.shape[2:]
    values = images[:, 0].double().numpy()
    flat = values.reshape(len(values), -1)
    places = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")).reshape(len(shape), -1)
    weight = flat - flat.min(1, keepdims=True)
    weight /= weight.sum(1, keepdims=True) + 1e-12
    centre = weight @ places.T
    pairs = [(i, j) for i in range(len(shape)) for j in range(i, len(shape))]
    spread = [weight @ (places[i] * places[j]) - centre[:, i] * centre[:, j] for i, j in pairs]
    voxels = [values[:, *(int(n * part) for n in shape)] for part in (0.3, 0.45, 0.62)]
    return np.stack([flat.mean(1), flat.std(1), *centre.T, *spread, *voxels], axis=1)


def of_ours(augmentation: Augmentation, image: Tensor) -> NDArray[np.float64]:
    count = DRAWS[image.ndim - 1]
    return figures(augmentation(image.expand(count, *image.shape), torch.arange(count), epoch=0))


def of_peer(transform: Peer, image: Tensor) -> NDArray[np.float64]:
    changed = []
    for seed in range(DRAWS[image.ndim - 1]):
        for number, part in enumerate(getattr(transform, "transforms", [transform])):
            if isinstance(part, peer.Randomizable):
                part.set_random_state(seed=7_000 + seed + 1_000_000 * number)
        changed.append(torch.as_tensor(transform(image.clone())))
    return figures(torch.stack(changed))


def assert_alike(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    """Kolmogorov and Smirnov's test of each figure that varies at all; the others agree."""
    for column, (one, other) in enumerate(zip(ours.T, theirs.T, strict=True)):
        scale = max(np.abs(one).max(), np.abs(other).max(), 1e-9)
        if max(one.std(), other.std()) < 1e-4 * scale:
            assert np.allclose(one.mean(), other.mean(), atol=1e-3 * scale), column
            continue
        # Rounded, so that figures that only rounding tells apart are ties.
        assert stats.ks_2samp(np.round(one / scale, 4), np.round(other / scale, 4)).pvalue > LEAST_P, column


def in_order(*transforms: Any) -> Any:
    return peer.Compose(list(transforms))


def degrees(number: float) -> float:
    return math.radians(number)


PLAIN_OUTSIDE: dict[str, Any] = {"prob": 1.0, "padding_mode": "zeros"}
TWINS: list[tuple[str, int, dict[str, Any], Callable[[], Any]]] = [
    ("rotate", 2, {"rotate": 25}, lambda: peer.RandAffine(rotate_range=degrees(25), **PLAIN_OUTSIDE)),
    ("rotate", 3, {"rotate": 25}, lambda: peer.RandAffine(rotate_range=[degrees(25)] * 3, **PLAIN_OUTSIDE)),
    (
        "rotate and shift",
        2,
        {"rotate": 60, "translate": 0.1},
        lambda: peer.RandAffine(
            rotate_range=degrees(60), translate_range=[n * 0.1 for n in SHAPES[2]], **PLAIN_OUTSIDE
        ),
    ),
    (
        "rotate and shift",
        3,
        {"rotate": 40, "translate": 0.1},
        lambda: peer.RandAffine(
            rotate_range=[degrees(40)] * 3, translate_range=[n * 0.1 for n in SHAPES[3]], **PLAIN_OUTSIDE
        ),
    ),
    (
        "zoom",
        2,
        {"scale": 0.3},
        lambda: ZoomAboutTheMiddle(prob=1, min_zoom=0.7, max_zoom=1.3),
    ),
    (
        "zoom",
        3,
        {"scale": 0.3},
        lambda: ZoomAboutTheMiddle(prob=1, min_zoom=0.7, max_zoom=1.3),
    ),
    (
        "flip",
        2,
        {"flip": ("x", "y")},
        lambda: in_order(peer.RandFlip(prob=0.5, spatial_axis=0), peer.RandFlip(prob=0.5, spatial_axis=1)),
    ),
    ("flip", 3, {"flip": ("z",)}, lambda: peer.RandFlip(prob=0.5, spatial_axis=2)),
    (
        "crop",
        2,
        {"crop": 0.4},
        lambda: in_order(
            peer.RandSpatialCrop([int(n * 0.6) for n in SHAPES[2]], random_size=True),
            peer.Resize(SHAPES[2], mode="bilinear"),
        ),
    ),
    (
        "crop",
        3,
        {"crop": 0.4},
        lambda: in_order(
            peer.RandSpatialCrop([int(n * 0.6) for n in SHAPES[3]], random_size=True),
            peer.Resize(SHAPES[3], mode="trilinear"),
        ),
    ),
    ("noise", 2, {"noise": 0.3}, lambda: peer.RandGaussianNoise(prob=1, std=0.3)),
    ("noise", 3, {"noise": 0.3}, lambda: peer.RandGaussianNoise(prob=1, std=0.3)),
    ("gamma", 2, {"gamma": 0.4}, lambda: peer.RandAdjustContrast(prob=1, gamma=(0.6, 1.4))),
    ("gamma", 3, {"gamma": 0.4}, lambda: peer.RandAdjustContrast(prob=1, gamma=(0.6, 1.4))),
    ("contrast", 2, {"contrast": 0.4}, lambda: peer.RandScaleIntensityFixedMean(prob=1, factors=0.4)),
    ("contrast", 3, {"contrast": 0.4}, lambda: peer.RandScaleIntensityFixedMean(prob=1, factors=0.4)),
    ("brightness", 2, {"brightness": 0.2}, lambda: peer.RandShiftIntensity(prob=1, offsets=0.2)),
    ("brightness", 3, {"brightness": 0.2}, lambda: peer.RandShiftIntensity(prob=1, offsets=0.2)),
    (
        "blur",
        2,
        {"blur": 1.5},
        lambda: peer.RandGaussianSmooth(prob=0.5, sigma_x=(0, 1.5), sigma_y=(0, 1.5)),
    ),
    (
        "blur",
        3,
        {"blur": 1.5},
        lambda: peer.RandGaussianSmooth(prob=0.5, sigma_x=(0, 1.5), sigma_y=(0, 1.5), sigma_z=(0, 1.5)),
    ),
    ("bias field", 3, {"bias_field": 0.3}, lambda: peer.RandBiasField(prob=1, degree=3, coeff_range=(-0.3, 0.3))),
    ("bias field", 2, {"bias_field": 0.3}, lambda: WholeBiasField(prob=1, degree=3, coeff_range=(-0.3, 0.3))),
    (
        "elastic",
        2,
        {"elastic": 2.5, "elastic_spacing": 6},
        lambda: SmoothGridElastic(spacing=(6, 6), magnitude_range=(0, 2.5), prob=1, padding_mode="zeros"),
    ),
    (
        "elastic",
        3,
        {"elastic": 1.5, "elastic_spacing": 3},
        lambda: peer.Rand3DElastic(
            sigma_range=(3, 3), magnitude_range=(0, voxelwise(1.5, 3)), prob=1, padding_mode="zeros"
        ),
    ),
]


def voxelwise(deviation: float, sigma: float) -> float:
    """MONAI's magnitude for a standard deviation: it scales even noise of each voxel, before three smoothings of it."""
    return deviation * math.sqrt(3) * (2 * math.sqrt(math.pi) * sigma) ** 1.5


class ZoomAboutTheMiddle(peer.RandZoom):  # type: ignore[misc]
    """MONAI's zoom through its affine: its own resizes to whole voxels and pads, which moves the middle by half a voxel."""

    def __call__(self, img: Tensor, **_: Any) -> Tensor:
        self.randomize(img)
        scales = [1 / self._zoom[0]] * (img.ndim - 1)
        out: Tensor = peer.Affine(scale_params=scales, padding_mode="zeros", image_only=True)(img)
        return out


class WholeBiasField(peer.RandBiasField):  # type: ignore[misc]
    """MONAI's field of a picture with the terms of a volume's: its own takes a triangle of the matrix of coefficients.

    That triangle lacks every term of the second axis alone, so its fields never change along it only.
    """

    def _generate_random_field(self, spatial_shape: Any, degree: int, coeff: Any) -> NDArray[np.float64]:
        matrix = np.zeros((degree + 1, degree + 1))
        matrix[np.indices(matrix.shape).sum(0) <= degree] = coeff
        axes = [np.linspace(-1, 1, n) for n in spatial_shape]
        field: NDArray[np.float64] = np.polynomial.legendre.leggrid2d(*axes, matrix)
        return field


class SmoothGridElastic(peer.Rand2DElastic):  # type: ignore[misc]
    """MONAI's bending without its ripple: it puts the grid itself through the cubics, which do not keep a straight line."""

    def __call__(self, img: Tensor, **_: Any) -> Tensor:
        shape = img.shape[1:]
        self.randomize(shape)
        control = self.deform_grid(spatial_size=shape)
        from monai.transforms.utils import create_control_grid, create_grid

        offset = control - create_control_grid(shape, self.deform_grid.spacing, backend="torch")
        fine = torch.nn.functional.interpolate(
            offset[None].float(),
            scale_factor=list(self.deform_grid.spacing),
            mode="bicubic",
            recompute_scale_factor=True,
        )
        grid = create_grid(shape, backend="torch") + peer.CenterSpatialCrop(shape)(fine[0])
        out: Tensor = self.resampler(img, grid, mode=self.mode, padding_mode=self.padding_mode)
        return out


@pytest.mark.parametrize(
    ("dimensions", "ours", "theirs"), [one[1:] for one in TWINS], ids=[f"{one[0]}, {one[1]}-D" for one in TWINS]
)
def test_a_change_has_the_distribution_of_its_twin(
    dimensions: int, ours: dict[str, Any], theirs: Callable[[], Any]
) -> None:
    image = phantom(dimensions)
    assert_alike(of_ours(Augmentation(seed=1, **ours), image), of_peer(theirs(), image))


def test_the_comparison_tells_distributions_apart() -> None:
    image = phantom(2)
    ours = of_ours(Augmentation(seed=1, rotate=25), image)
    twin = of_peer(peer.RandAffine(rotate_range=degrees(40), **PLAIN_OUTSIDE), image)
    with pytest.raises(AssertionError):
        assert_alike(ours, twin)


@pytest.mark.parametrize(("shape", "spacing"), [((40, 31), 5), ((24, 20, 18), 4)])
def test_the_field_of_displacements_has_its_twins_spread_at_every_distance(
    shape: tuple[int, ...], spacing: int
) -> None:
    count = 300
    draws = [np.random.default_rng([3, k]) for k in range(count)]
    ours = random_displacements(shape, draws, largest=2.0, spacing=spacing, device=torch.device("cpu"))
    theirs = torch.stack([peer_field(shape, spacing, seed) for seed in range(count)])
    middle = tuple(n // 2 for n in shape)
    for step in (0, 1, spacing, 2 * spacing):
        beside = (middle[0] + step, *middle[1:])
        one, other = ((f[:, 0][:, *middle] * f[:, 0][:, *beside]).mean() for f in (ours, theirs))
        scale = (theirs[:, 0][:, *middle] ** 2).mean()
        assert abs(float((one - other) / scale)) < 0.3, step
    corner = tuple(0 for _ in shape)
    one, other = ((f[:, 0][:, *corner] ** 2).mean() for f in (ours, theirs))
    assert 0.7 < float(one / other) < 1.4


def peer_field(shape: tuple[int, ...], spacing: int, seed: int) -> Tensor:
    from monai.networks.layers import GaussianFilter

    random = np.random.RandomState(seed)
    if len(shape) == 3:
        noise = torch.from_numpy(random.uniform(-1, 1, (1, 3, *shape)).astype(np.float32))
        field: Tensor = GaussianFilter(3, spacing, 3.0)(noise)[0]
        return field * random.uniform(0, voxelwise(2.0, spacing))
    grid = peer.spatial.array.RandDeformGrid(spacing=(spacing, spacing), magnitude_range=(0, 2.0))
    grid.set_random_state(seed=seed)
    from monai.transforms.utils import create_control_grid

    offset = grid(shape) - create_control_grid(shape, (spacing, spacing), backend="torch")
    fine = torch.nn.functional.interpolate(offset[None].float(), scale_factor=spacing, mode="bicubic")[0, :2]
    cut: Tensor = peer.CenterSpatialCrop(shape)(fine)
    return cut


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # MONAI's CutMix does
def test_mixing_has_the_distribution_of_its_twin(kind: str, dimensions: int) -> None:
    count = 400
    shape = (16, 12, 10)[:dimensions]
    space = tuple(range(1, dimensions + 2))
    light, dark = torch.ones(1, *shape), torch.zeros(1, *shape)
    batch = torch.stack([light, dark]).repeat(count // 2, *([1] * (dimensions + 1)))
    mixing = Mixing(seed=1, labels=2, multilabel=False, **{kind: 0.7})
    ours = mixing(batch, 1 - torch.arange(count) % 2, torch.arange(count), epoch=0)
    twin = (peer.MixUp if kind == "mixup" else peer.CutMix)(batch_size=2, alpha=0.7)
    # MONAI's CutMix has one corner for a whole batch, so each of its draws is a batch of two.
    theirs = [twin.set_random_state(seed=seed)(torch.stack([light, dark])).mean(space)[0] for seed in range(count)]
    one, other = ours.images.mean(space)[::2].numpy(), torch.stack(theirs).numpy()
    assert stats.ks_2samp(np.round(one, 4), np.round(other, 4)).pvalue > LEAST_P
    # What is in the image is what the target says: MONAI's CutMix gives the partner's whole label.
    assert torch.allclose(ours.targets[:, 1], ours.images.mean(space), atol=1e-5)
