"""White: which value of a picture's format is white, so that a picture gives one input however many bits it is stored in."""

from __future__ import annotations

import numpy as np

from medcls.scans.core.scan import Scan

_SHOWN = frozenset(
    {"US", "ES", "XC", "GM", "OP", "SM", "OT"}
)  # DICOM whose greys are made to be looked at, and not measured
_OF_8_BITS = ((257, 65535.0), (256, 65280.0))  # how 8 bits are spread over 16, and what their white becomes
_LEAST_OF_16 = 1 << 15


def white_of(scan: Scan, version: int) -> tuple[float | None, str]:
    """The value of white where the format fixes it, else ``None``, and why a picture has none, in words.

    16 bits often hold 12 or fewer, and no file says so: their white is known only where they use the upper half of their range,
    or where they are 8 bits spread over it. Recipes of version 2 know 8 bits alone, and of DICOM in grey none.

    Args:
        scan: The scan.
        version: The recipe's.
    """
    array, picture = scan.array, scan.kind == "raster" or scan.photometric == "rgb"
    if version < 3:
        return (255.0 if picture and array.dtype == np.uint8 else None), ""
    if not picture and not (scan.kind == "dicom" and scan.modality in _SHOWN):
        return None, ""
    if array.dtype == np.uint8:
        return 255.0, ""
    if scan.kind == "dicom" and array.dtype.kind in "ui":
        top = float(2 ** int(scan.attributes.get("bit_depth", 0)) - 1)
        return (top if array.min() >= 0 and array.max() <= top else None), ""
    if array.dtype == np.uint16:
        if array.max() >= _LEAST_OF_16:
            return 65535.0, ""
        for factor, white in _OF_8_BITS:
            if not (array % factor).any():
                return white, ""
    return None, (
        f"white is not known: values end at {float(array.max()):g}, and the file does not say how far they go; where a step "
        "scales from black to white, it was done between their own percentiles, and not as for pictures of 8 bits"
    )
