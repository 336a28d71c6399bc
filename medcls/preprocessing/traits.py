"""Traits of a scan: size, scanner and brightness, as found, as read and as prepared, to hold against those of other scans."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medcls.evaluation.shift.out_of_distribution import Traits
from medcls.evaluation.subgroups.grouping import NOT_STATED, group_covariate
from medcls.preprocessing.features import INTENSITIES, feature_names, simple_features
from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.images.source_values import LEVELS, SourceValues
from medcls.preprocessing.store.entry import StoredPrepared
from medcls.scans.core.source import ScanSource

_AXES = ("x", "y", "z")
_GROUPED = {"manufacturer": "manufacturer", "field_strength": "field strength"}
_AS_STATED = {
    "body_part": "body part",
    "view": "view",
    "units": "units",
    "presentation_intent": "presentation intent",
}


def traits_of(
    source: ScanSource,
    prepared: Prepared | StoredPrepared,
    attributes: Mapping[str, str],
    values: SourceValues,
    features: NDArray[np.float64] | None = None,
) -> Traits:
    """The traits of one scan.

    Args:
        source: As it was found.
        prepared: As the recipe made it.
        attributes: As its header has them (:attr:`medcls.scans.Scan.attributes`).
        values: Of its own voxels.
        features: The :func:`~medcls.preprocessing.features.simple_features` of ``prepared`` where they are known.

    Raises:
        StorageError: The stored views are gone or damaged.
    """
    if features is None:
        features = simple_features(prepared)
    shape = prepared.shape if isinstance(prepared, StoredPrepared) else prepared.images.shape[1:]
    names = feature_names(len(shape) - 1)
    return Traits(
        lengths=_lengths(source, attributes),
        brightness={
            "input": {name: float(features[names.index(name)]) for name in INTENSITIES},
            "source": {f"percentile {level}": value for level, value in zip(LEVELS, values.percentiles, strict=False)},
        },
        kinds={
            "modality": source.modality,
            "file type": source.kind,
            "dimensions": "sequence" if source.times else f"{len(source.shape)}-D",
            "channels": str(source.channels),
            "bit depth": values.depth,
        },
        words=_words(attributes),
    )


def _lengths(source: ScanSource, attributes: Mapping[str, str]) -> dict[str, float]:
    """Voxels and millimetres along each axis, where the scan has such an axis and a geometry."""
    found = {
        f"voxels along {axis}": float(n) for axis, n in zip(_AXES, source.shape[: len(source.spacing)], strict=False)
    }
    if source.sized:
        found |= {f"voxel size along {axis} (mm)": size for axis, size in zip(_AXES, source.spacing, strict=False)}
    with contextlib.suppress(ValueError):
        found["slice thickness (mm)"] = float(attributes.get("slice_thickness", "nan"))
    return found


def _words(attributes: Mapping[str, str]) -> dict[str, str]:
    """What the header says of part and scanner, however it is spelt."""
    grouped = {
        name: group_covariate(attribute, [attributes.get(attribute, "")]).groups[0]
        for attribute, name in _GROUPED.items()
    }
    stated = {
        name: re.sub(r"[\W_]+", " ", attributes.get(attribute, "")).strip().upper()
        for attribute, name in _AS_STATED.items()
    }
    return {name: "" if value == NOT_STATED else value for name, value in {**grouped, **stated}.items()}
