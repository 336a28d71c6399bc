"""Siemens mosaics made in memory, CSA headers included, and where real ones are."""

from __future__ import annotations

import gzip
import io
import math
import struct
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from tests.factories.dicom import MR, instance

COUNT, IMAGE, SERIES = (0x0019, 0x100A), (0x0029, 0x1010), (0x0029, 0x1020)


PLANES = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": (0.98, 0.17, 0.1, -0.1873, 0.9675, 0.1703),
}


def csa(tags, version=2):
    """A CSA header: ``tags`` gives the text items of each name."""
    packed = [struct.pack("<II", len(tags), 77)]
    for name, items in tags.items():
        count = 6 if items or version == 1 else 0
        packed.append(struct.pack("<64si4siii", name.encode(), len(items), b"UN\0\0", 0, count, 77))
        for item in [*items, *[""] * (count - len(items))]:
            data = item.encode() + b"\0" if item else b""
            first = len(data) + 6 if version == 1 else len(data)
            packed.append(struct.pack("<4i", first, len(data), 77, len(data)))
            packed.append(data + b"\0" * (-len(data) % 4))
    return (b"SV10\4\3\2\1" if version == 2 else b"") + b"".join(packed)


def unit(orientation):
    along, down = np.array(orientation[:3], float), np.array(orientation[3:], float)
    along /= np.linalg.norm(along)
    down -= along * (along @ down)
    down /= np.linalg.norm(down)
    return along, down, np.cross(along, down)


def geometry(plane="oblique", way=1.0):
    """LPS affine of the volume that the tiles of :func:`mosaic` are: index (column, row, tile)."""
    along, down, normal = unit(PLANES[plane])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * 2.0, down * 2.5, normal * way * 3.3
    affine[:3, 3] = [-12.5, -20.0, 31.0]
    return affine


def volume(tiles, rows=12, columns=16, seed=0):
    """``(tiles, rows, columns)``, no two tiles alike, none empty."""
    return np.random.default_rng(seed).integers(1, 4000, (tiles, rows, columns), dtype=np.uint16)


def mosaic(tiles=7, plane="oblique", way=1.0, version=2, seed=0, **changes):
    """A mosaic as the scanner writes it."""
    slices, affine = volume(tiles, seed=seed), geometry(plane, way)
    count, rows, columns = slices.shape
    grid = math.ceil(math.sqrt(count))
    picture = np.zeros((grid * rows, grid * columns), np.uint16)
    for number, tile in enumerate(slices):
        row, column = divmod(number, grid)
        picture[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = tile
    corner = affine[:3, 3] - affine[:3, 0] * (grid - 1) * columns / 2 - affine[:3, 1] * (grid - 1) * rows / 2
    along, down, normal = unit(PLANES[plane])
    given_changes = {
        "SOPClassUID": MR,
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        "ImagePositionPatient": [float(f"{value:.10f}") for value in corner],
        "ImageOrientationPatient": [float(f"{value:.12f}") for value in [*along, *down]],
        "PixelSpacing": [2.5, 2.0],
        "SpacingBetweenSlices": 3.3,
        "SliceThickness": 3,
        "AcquisitionNumber": 1,
        "PatientPosition": "HFS",
        **changes,
    }
    dataset = instance(picture, **{name: value for name, value in given_changes.items() if value is not None})
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa(image_tags(count, normal * way), version))
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "20100202")
    tiles_block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    tiles_block.add_new(0x0A, "US", count)
    return dataset


def image_tags(count, normal):
    return {
        "EchoLinePosition": [],
        "EchoColumnPosition": ["64"],
        "NumberOfImagesInMosaic": [str(count)],
        "SliceNormalVector": [f"{value:.10f}" for value in normal],
        "AcquisitionMatrixText": ["12p*16"],
    }


SAMPLES = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
"""Real mosaics, a diffusion series with and without weighting, which nibabel is delivered with."""


def sample(name):
    return pydicom.dcmread(io.BytesIO(gzip.decompress((SAMPLES / name).read_bytes())))


def fmri(shared_data):
    return sorted((shared_data / "dicom" / "dicom2nifti" / "siemens" / "fmri" / "001").iterdir())
