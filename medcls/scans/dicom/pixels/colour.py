"""Colour: YBR_FULL and palettes to RGB (PS3.3 C.7.6.3.1.2, C.7.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.pixels.palette import from_palette

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Pixels = NDArray[np.generic]

_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1.0, 1.772, 0.0]])
"""Inverse of the definition of YBR_FULL, PS3.3 C.7.6.3.1.2 (ITU-R BT.601 weights, full range)."""

_TURNED_BY_DECODER = frozenset(f"1.2.840.10008.1.2.4.{end}" for end in ("50", "51"))


def to_rgb(frame: Pixels, dataset: Dataset, header: Header) -> Pixels:
    """Turn a colour frame into RGB.

    Args:
        frame: ``(rows, columns, 3)`` as decoded, or ``(rows, columns)`` indices into a palette.
        dataset: The file, for the palette.
        header: Its photometric interpretation and bits.

    Returns:
        ``(rows, columns, 3)`` uint8 or uint16.
    """
    if header.photometric == "PALETTE COLOR":
        return from_palette(frame, dataset, header)
    if header.samples != 3:
        raise refusal(RefusalCode.UNSUPPORTED, f"{header.samples} samples of {header.photometric}")
    if header.photometric in ("YBR_FULL", "YBR_FULL_422") and header.syntax not in _TURNED_BY_DECODER:
        return ybr_to_rgb(frame, header.bits_stored)
    if header.photometric not in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"):
        raise refusal(RefusalCode.UNSUPPORTED, f"the colour space {header.photometric}")
    return np.ascontiguousarray(frame)


def ybr_to_rgb(frame: Pixels, bits: int) -> Pixels:
    """YBR_FULL to RGB, rounded and clipped to ``bits`` bits. ``(rows, columns, 3)`` both ways."""
    half, top = 1 << (bits - 1), (1 << bits) - 1
    centred = frame.astype(np.float64) - np.array([0, half, half])
    rounded: Pixels = np.clip(np.rint(centred @ _TO_RGB.T), 0, top).astype(frame.dtype)
    return rounded
