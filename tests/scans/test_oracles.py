"""dcm2niix and highdicom as judges of every real series: they agree with medcls, or it is known why not."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import re
import sys

import numpy as np
import pydicom
import pytest
from highdicom.image import Image, get_volume_from_series
from pydicom.uid import UID, RLELossless

from medcls.scans import find_scans, read_scan
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "explanation" / "against-other-readers.md"


def _named(pattern: str, *names: str) -> list[str]:
    return [pattern.format(name) for name in names]


EXPLAINED = {
    "resampled": [
        "ct_head_phantom_gantrytilt_GE (dcm2niix 2)",
        "dicom2nifti/failing/gantrytilting/001 (dcm2niix 2)",
        "dicom2nifti/failing/sliceincrement/001 (dcm2niix 2)",
        "dicom2nifti/failing/sliceincrement/002 (dcm2niix 2)",
    ],
    "uneven, padding": ["ct_head_phantom_gantrytilt_GE"],
    "tilted": ["dicom2nifti/failing/gantrytilting/001"],
    "gap": ["dicom2nifti/failing/sliceincrement/001", "dicom2nifti/failing/sliceincrement/002"],
    "tiles": _named("dicom2nifti/siemens/fmri/001/IM-0001-000{}.dcm", "1", "2"),
    "first-step": ["mr_brain_siemens_HFDR", "mr_brain_siemens_HFS"],
    "philips-scale": [
        "dicom2nifti/philips_enhanced/anatomical/001/IM-0001-0170-0001.dcm",
        "enhanced_multiframe/Philips/IM_0027_fMAP.dcm#echo-0.0",
        "enhanced_multiframe/Philips/IM_0027_fMAP.dcm#echo-1.52",
    ],
    "padding": ["wg04/REF/CT1_UNC.dcm", *_named("wg04/{0}/CT1_{0}.dcm", "J2KI", "J2KR", "JPLL", "RLE")],
    "no-place": [
        "wg04/JLSN/NM1_JLSN.dcm",
        *(f"wg04/REF/{image}_UNC.dcm" for image in ("NM1", "US1", "XA1")),
        *(
            f"wg04/{folder}/{image}_{folder}.dcm"
            for folder in ("J2KI", "J2KR", "RLE")
            for image in ("NM1", "US1", "XA1")
        ),
        *_named("wg04/JPLL/{}_JPLL.dcm", "NM1", "XA1"),
    ],
    "jpeg-12-bit": _named("wg04/JPLY/{}_JPLY.dcm", "MR1", "MR2", "NM1", "XA1"),
    "fragments": [
        *_named("wg04/JLSL/{}_JLSL.dcm", "CT1", "CT2", "MR1", "MR2", "NM1", "XA1"),
        *_named("wg04/JLSN/{}_JLSN.dcm", "CT1", "MR1", "MR2", "XA1"),
    ],
}


@pytest.fixture(scope="module")
def script():
    """``scripts/compare-dcm2niix`` as a module."""
    path = REPOSITORY / "scripts" / "compare-dcm2niix"
    loader = importlib.machinery.SourceFileLoader("compare_dcm2niix", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # no cache file among the scripts
        patch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def rows(script, shared_data):
    return script.compare(shared_data / "dicom")


def test_every_difference_from_dcm2niix_has_its_reason(rows):
    reasons = {row.name: row.why for row in rows if row.verdict != "same"}
    assert reasons == {name: reason for reason, names in EXPLAINED.items() for name in names}
    assert sum(row.verdict == "same" for row in rows) >= 52


def test_no_series_is_passed_over(rows, shared_data):
    found = find_scans(shared_data / "dicom")
    ours = [item.name for item in (*found.scans, *found.refused)]
    assert sorted(ours) == sorted(row.name for row in rows if row.verdict != "only dcm2niix")


def test_what_is_called_the_same_is_the_same(rows):
    for row in rows:
        if row.verdict == "same":
            assert row.affine <= 1e-4, row.name
            assert row.value <= 1e-3, row.name
        elif row.verdict == "same values" and row.why != "no-place":
            assert row.affine < 0.2, row.name


def test_the_judge_would_notice(script, shared_data):
    folder = shared_data / "dicom" / "dicom2nifti" / "hitachi" / "anatomical" / "001"
    (source,) = find_scans(folder).scans
    scan = read_scan(source)
    (image,) = script.Conversion().of(source.paths, source.series_uid)
    assert script.overlay(scan, image).same
    moved, one = scan.affine.copy(), scan.array.copy()
    moved[0, 3] += 0.001
    one[0, 20, 30, 1] += 1
    for wrong in (
        dataclasses.replace(scan, affine=moved),
        dataclasses.replace(scan, array=one),
        dataclasses.replace(scan, array=scan.array[:, ::-1]),
        dataclasses.replace(scan, array=scan.array[..., ::-1]),
        dataclasses.replace(scan, affine=scan.affine @ np.diag([1, 1, 1.01, 1])),
    ):
        pair = script.overlay(wrong, image)
        assert not pair.same
        assert script.explain(source, wrong, pair) == ""


def test_the_page_repeats_the_table(rows, script):
    told = re.findall(
        r"^\| (.+?) \| .* \| (.*?) \| (.*?) \|$", PAGE.read_text().split("## Every series")[1], re.MULTILINE
    )
    table = [row for row in told if row[0] != "series"]
    assert table == [(row.name, row.verdict, row.why) for row in rows]
    for name in {reason for row in rows for reason in row.why.split(", ")} - {""}:
        assert f"| {name} | {script.REASONS[name]} |" in PAGE.read_text()


# highdicom


def test_highdicom_puts_every_value_in_the_same_place(shared_data):
    refused, judged = {}, []
    for source in find_scans(shared_data / "dicom").scans:
        packed = UID(source.syntax).is_encapsulated and source.syntax != RLELossless
        if len(source.shape) == 2 or source.part or packed:
            continue  # no volume, one of several that highdicom does not part, or no decoder with it
        try:
            volume = _volume([pydicom.dcmread(path) for path in source.paths])
        except ValueError as error:
            refused[source.name] = str(error)
            continue
        scan = read_scan(source)
        theirs = (
            np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
        )  # from LPS, slice before row and column
        values = np.moveaxis(volume.array, 3, 0) if volume.array.ndim == 4 else volume.array[None]
        values = values.transpose(0, 3, 2, 1)
        if theirs[:3, 2] @ scan.affine[:3, 2] < 0:
            theirs = theirs @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, scan.shape[2] - 1], [0, 0, 0, 1]])
            values = values[..., ::-1]
        # highdicom stacks along the normal; positions rounded to 1e-4 mm leave that much beside it.
        assert np.abs(theirs - scan.affine).max() < 1e-3, source.name
        assert np.allclose(values, scan.array, rtol=1e-6, atol=1e-4), source.name
        judged.append(source.name)
    assert len(judged) >= 14
    assert refused == {}


def _volume(datasets):
    for dataset in datasets:
        if "FrameOfReferenceUID" not in dataset:
            dataset.FrameOfReferenceUID = (
                "1.2.3"  # without it highdicom takes no position; these sets were stripped of it
            )
    if len(datasets) > 1:
        return get_volume_from_series(datasets)
    return Image.from_dataset(datasets[0]).get_volume()
