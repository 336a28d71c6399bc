"""The MONAI random transforms that a config may name, with the parameters it may give each.

All are random array transforms that keep an image's shape and need nothing but the image. Those that crop, need a label map or
take a function are left out, and RandIntensityRemap, which draws from numbers that cannot be seeded; so are parameters that
choose a device, a number type or lazy evaluation, because medcls decides these. A test holds the table against MONAI's own
signatures, so that a config is checked without importing MONAI.
"""

from __future__ import annotations

from typing import Any

from medcls.nearest import one_of

_SMOOTH_FIELD = ("spatial_size", "rand_size", "pad", "mode", "align_corners", "prob", "gamma")
_AFFINE = ("prob", "rotate_range", "shear_range", "translate_range", "scale_range", "mode", "padding_mode")

MONAI_TRANSFORMS: dict[str, tuple[str, ...]] = {
    "Rand2DElastic": ("spacing", "magnitude_range", *_AFFINE),
    "Rand3DElastic": ("sigma_range", "magnitude_range", *_AFFINE),
    "RandAdjustContrast": ("prob", "gamma", "invert_image", "retain_stats"),
    "RandAffine": _AFFINE,
    "RandAxisFlip": ("prob",),
    "RandBiasField": ("degree", "coeff_range", "prob"),
    "RandCoarseDropout": (
        "holes",
        "spatial_size",
        "dropout_holes",
        "fill_value",
        "max_holes",
        "max_spatial_size",
        "prob",
    ),
    "RandCoarseShuffle": ("holes", "spatial_size", "max_holes", "max_spatial_size", "prob"),
    "RandFlip": ("prob", "spatial_axis"),
    "RandGaussianNoise": ("prob", "mean", "std", "sample_std"),
    "RandGaussianSharpen": (
        *(f"sigma{number}_{axis}" for number in (1, 2) for axis in "xyz"),
        "alpha",
        "approx",
        "prob",
    ),
    "RandGaussianSmooth": ("sigma_x", "sigma_y", "sigma_z", "prob", "approx"),
    "RandGibbsNoise": ("prob", "alpha"),
    "RandGridDistortion": ("num_cells", "prob", "distort_limit", "mode", "padding_mode"),
    "RandHistogramShift": ("num_control_points", "prob"),
    "RandKSpaceSpikeNoise": ("prob", "intensity_range", "channel_wise"),
    "RandRicianNoise": ("prob", "mean", "std", "channel_wise", "relative", "sample_std"),
    "RandRotate": ("range_x", "range_y", "range_z", "prob", "mode", "padding_mode", "align_corners"),
    "RandRotate90": ("prob", "max_k", "spatial_axes"),
    "RandScaleIntensity": ("factors", "prob", "channel_wise"),
    "RandScaleIntensityFixedMean": ("prob", "factors", "fixed_mean", "preserve_range", "channel_wise"),
    "RandShiftIntensity": ("offsets", "safe", "prob", "channel_wise"),
    "RandSimulateLowResolution": ("prob", "downsample_mode", "upsample_mode", "zoom_range", "align_corners"),
    "RandSmoothDeform": (
        *("spatial_size", "rand_size", "pad", "field_mode", "align_corners", "prob", "def_range"),
        *("grid_mode", "grid_padding_mode", "grid_align_corners"),
    ),
    "RandSmoothFieldAdjustContrast": _SMOOTH_FIELD,
    "RandSmoothFieldAdjustIntensity": _SMOOTH_FIELD,
    "RandStdShiftIntensity": ("factors", "prob", "nonzero", "channel_wise"),
    "RandZoom": ("prob", "min_zoom", "max_zoom", "mode", "padding_mode", "align_corners"),
}


def check_monai_transform(name: str, parameters: dict[str, Any]) -> None:
    """Refuse what is no name, no parameter, or no plain value.

    Args:
        name: Of the transform.
        parameters: Its parameters by name.

    Raises:
        ValueError: With the nearest right name.
    """
    if name not in MONAI_TRANSFORMS:
        raise ValueError(f"there is no random transform '{name}'. {one_of(name, MONAI_TRANSFORMS)}")
    for key, value in parameters.items():
        if key not in MONAI_TRANSFORMS[name]:
            raise ValueError(f"'{name}' has no parameter '{key}'. {one_of(key, MONAI_TRANSFORMS[name])}")
        if not _is_plain(value):
            raise ValueError(f"'{key}' of '{name}' is no number, text, true, false, null, or list of these")


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
