"""Reconstructions of nuclear medicine are volumes whose slices are where detector, spacing and vectors say."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from tests.factories.dicom import instance, save
from tests.factories.mosaic import PLANES, unit

NM = "1.2.840.10008.5.1.4.1.1.20"


def reconstruction(volume, *, plane="axial", spacing=4.0, kind="RECON TOMO", vector=None, **changes):
    """A file as a workstation writes it; ``volume`` is ``(frames, rows, columns)``."""
    along, down, _ = unit(PLANES[plane])
    detector = Dataset()
    detector.ImagePositionPatient = [-10.0, -20.0, 30.0]
    detector.ImageOrientationPatient = [float(f"{value:.12f}") for value in (*along, *down)]
    dataset = instance(
        volume[0],
        SOPClassUID=NM,
        Modality="NM",
        ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"],
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=[2.5, 2.0],
        NumberOfFrames=len(volume),
        SpacingBetweenSlices=spacing,
        NumberOfSlices=len(set(vector or range(len(volume)))),
        SliceVector=vector or list(range(1, len(volume) + 1)),
        FrameIncrementPointer=Tag(0x00540080),
        DetectorInformationSequence=Items([detector]),
    )
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.PixelData = volume.tobytes()
    return dataset


def numbered(frames=6):
    return np.random.default_rng(1).integers(1, 900, (frames, 5, 8), dtype=np.uint16)


def value_at(scan, lps):
    index = np.linalg.inv(scan.affine) @ [-lps[0], -lps[1], lps[2], 1]
    assert np.allclose(index, np.rint(index), atol=1e-4)
    return scan.array[(0, *np.rint(index[:3]).astype(int))]


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "oblique"])
@pytest.mark.parametrize("spacing", [4.0, -4.0])
@pytest.mark.parametrize("bend", [{}, {"SliceVector": None}, {"vector": [4, 2, 6, 1, 3, 5]}])
def test_every_voxel_lies_where_the_standard_puts_it(tmp_path, plane, spacing, bend):
    volume = numbered()
    save(reconstruction(volume, plane=plane, spacing=spacing, **bend), tmp_path / "spect")
    scan = read_scan(tmp_path / "spect")
    assert (scan.shape, scan.modality, scan.has_geometry, scan.notes) == ((8, 5, 6), "NM", True, ())
    along, down, normal = unit(PLANES[plane])
    for frame, number in enumerate(bend.get("vector", range(1, 7))):
        for row, column in ((0, 0), (4, 1), (2, 7)):
            place = np.array([-10, -20, 30]) + along * 2.0 * column + down * 2.5 * row + normal * spacing * (number - 1)
            assert value_at(scan, place) == volume[frame, row, column]


def test_gated_reconstructions_are_a_volume_for_each_time_slot(tmp_path):
    volume = numbered(12)
    dataset = reconstruction(volume, kind="RECON GATED TOMO", vector=[1, 2, 3, 4] * 3)
    dataset.TimeSlotVector = [1] * 4 + [2] * 4 + [3] * 4
    save(dataset, tmp_path / "gated")
    scans = find_scans(tmp_path).scans
    assert [scan.part for scan in scans] == ["time slot 1", "time slot 2", "time slot 3"]
    for number, source in enumerate(scans):
        assert np.array_equal(read_scan(source).array[0], volume[4 * number : 4 * number + 4].transpose(2, 1, 0))


def test_single_slices_lie_where_their_detector_says(tmp_path):
    volume = numbered()
    for number, pixels in enumerate(volume):
        dataset = reconstruction(pixels[None], SliceVector=None, NumberOfFrames=1)
        dataset.DetectorInformationSequence[0].ImagePositionPatient = [-10.0, -20.0, 30.0 + 4.0 * number]
        save(dataset, tmp_path / f"s{number}")
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.array[0], volume.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"DetectorInformationSequence": None}, "no-geometry"),
        ({"SpacingBetweenSlices": None}, "no-geometry"),
        ({"PixelSpacing": None}, "no-geometry"),
        ({"SliceVector": None, "NumberOfSlices": 3}, "no-geometry"),
        ({"SliceVector": [1, 2, 3]}, "damaged"),
        ({"SliceVector": [1, 2, 3, 4, 4, 5]}, "duplicate-slices"),
        ({"SliceVector": [1, 2, 3, 5, 6, 7]}, "gap"),
    ],
)
def test_what_does_not_say_where_its_slices_lie_is_refused(tmp_path, changes, code):
    save(reconstruction(numbered(), **changes), tmp_path / "spect")
    with pytest.raises(ScanRefused) as refused:
        read_scan(tmp_path / "spect")
    assert refused.value.code == code


@pytest.mark.parametrize("kind", ["TOMO", "GATED TOMO", "DYNAMIC", "GATED", "STATIC", "WHOLE BODY"])
def test_what_is_no_reconstruction_never_becomes_a_volume(tmp_path, kind):
    save(reconstruction(numbered(), kind=kind), tmp_path / "planar")
    found = find_scans(tmp_path)
    assert not any(scan.axes for scan in found.scans)
    assert [f"({kind})" in one.reason for one in found.refused] == ([] if kind == "DYNAMIC" else [True])
