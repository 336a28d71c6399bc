"""Small NRRD and MetaImage files: as SimpleITK writes them, and as nobody should."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from medcls.errors import ScanRefused
from medcls.scans import read_scan

ATTACHED, DETACHED = (".nrrd", ".mha"), (".nhdr", ".mhd")
STRAIGHT = np.eye(3)
VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # z, y, x


def image(voxels=VOXELS, *, spacing=(0.5, 2.0, 3.0), origin=(-7.0, 5.0, 30.0), direction=STRAIGHT, vector=False):
    made = sitk.GetImageFromArray(voxels, isVector=vector)
    axes = made.GetDimension()
    made.SetSpacing(spacing[:axes])
    made.SetOrigin(origin[:axes])
    made.SetDirection(np.asarray(direction)[:axes, :axes].ravel().tolist())
    return made


def write(path, made=None, compressed=False):
    sitk.WriteImage(image() if made is None else made, str(path), compressed)
    return path


def nrrd(data, **fields):
    """A NRRD file of 4 by 5 by 6 voxels of 16 bits; a field that is None is left out."""
    lines = {
        "type": "short",
        "dimension": "3",
        "sizes": "6 5 4",
        "space": "left-posterior-superior",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "space origin": "(0,0,0)",
        "endian": "little",
        "encoding": "raw",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    return b"NRRD0004\n" + _header(lines, ": ") + b"\n" + data


def _header(lines, between):
    return "".join(f"{name}{between}{value}\n" for name, value in lines.items() if value is not None).encode()


def metaimage(data, **fields):
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "1 1 1",
        "DimSize": "6 5 4",
        "ElementType": "MET_SHORT",
        **fields,
    }
    named = lines.pop("ElementDataFile", "LOCAL")
    return _header(lines, " = ") + f"ElementDataFile = {named}\n".encode() + data


MAKE = {".nrrd": nrrd, ".mha": metaimage}
RAW = VOXELS.tobytes()


def put(path, data):
    path.write_bytes(data)
    return path


def refused(path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path)
    return caught.value


def packed(folder, ending, voxels, compressed):
    """The bytes of a file that SimpleITK writes."""
    (folder / "made").mkdir(exist_ok=True)
    return write(folder / "made" / f"x{ending}", image(voxels), compressed).read_bytes()
