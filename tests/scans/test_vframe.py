"""United Imaging's grids become the volume of their tiles, each where the header puts it, or are refused by name."""

from __future__ import annotations

import math

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from tests.factories.dicom import MR, instance, save
from tests.factories.mosaic import geometry, mosaic, volume


def grid(tiles=20, **changes):
    """A picture of tiles as the scanner writes it."""
    slices, affine = volume(tiles), geometry("oblique")
    count, rows, columns = slices.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    picture = np.zeros((down * rows, across * columns), np.uint16)
    for number, tile in enumerate(slices):
        row, column = divmod(number, across)
        picture[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = tile
    along, below = affine[:3, 0] / 2.0, affine[:3, 1] / 2.5
    dataset = instance(
        picture,
        SOPClassUID=MR,
        Modality="MR",
        Manufacturer="UIH",
        ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"],
        ImagePositionPatient=None,
        ImageOrientationPatient=[float(f"{value:.12f}") for value in (*along, *below)],
        PixelSpacing=[2.5, 2.0],
        **changes,
    )
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(count))
    items = []
    for number in range(count):
        item = Dataset()
        item.ImagePositionPatient = [float(f"{v:.10f}") for v in affine[:3, 3] + number * affine[:3, 2]]
        items.append(item)
    block.add_new(0x51, "SQ", Items(items))
    return dataset


@pytest.mark.parametrize("tiles", [2, 3, 5, 7, 12, 16, 20])
def test_each_tile_lies_where_its_item_says(tmp_path, tiles):
    save(grid(tiles), tmp_path / "v")
    scan = read_scan(tmp_path / "v")
    assert np.array_equal(scan.array[0], volume(tiles).transpose(2, 1, 0))
    assert np.allclose(scan.affine, np.diag([-1, -1, 1, 1]) @ geometry("oblique"), atol=1e-5)
    assert nibabel.aff2axcodes(scan.affine) == tuple(find_scans(tmp_path).scans[0].axes)


def test_two_grids_of_a_series_are_two_volumes(tmp_path):
    for number in (1, 2):
        save(grid(6, InstanceNumber=number), tmp_path / f"v{number}")
    assert [(scan.shape, scan.part) for scan in find_scans(tmp_path).scans] == [
        ((16, 12, 6), "instance 1"),
        ((16, 12, 6), "instance 2"),
    ]


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (lambda d: d.pop((0x0065, 0x1051)), "no-geometry"),
        (lambda d: d[0x0065, 0x1051].value[3].pop("ImagePositionPatient"), "no-geometry"),
        (lambda d: d[0x0065, 0x1051].value.pop(), "inconsistent"),
        (lambda d: setattr(d, "Rows", d.Rows - 1), "damaged"),
    ],
)
def test_a_grid_whose_tiles_cannot_be_placed_is_refused_by_name(tmp_path, bend, code):
    dataset = grid()
    bend(dataset)
    save(dataset, tmp_path / "v")
    with pytest.raises(ScanRefused) as refused:
        read_scan(tmp_path / "v")
    assert refused.value.code == code
    assert "grid" in str(refused.value)


def test_a_mosaic_whose_image_type_was_rewritten_is_still_one(tmp_path):
    save(mosaic(7, ImageType=["DERIVED", "SECONDARY"]), tmp_path / "m")
    assert read_scan(tmp_path / "m").shape[2] == 7
