"""From stored values to values of the modality: what is written is taken at its word or refused, and nothing is made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut as judge
from pydicom.sequence import Sequence

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import build_recipe
from medcls.preprocessing.store.ingest import ingest
from medcls.scans import find_scans, read_scan
from medcls.scans.dicom.values.rescale import rescale_of
from tests.factories.dicom import DX, enhanced, instance, save, save_all, slices

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
XA, XRF = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"
NONE = {"RescaleSlope": "", "RescaleIntercept": ""}
HU = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}


def only(folder):
    found = find_scans(folder)
    assert len(found.scans) + len(found.refused) == 1
    return (*found.scans, *found.refused)[0]


def written(path, dataset, keyword, text):
    """A file in which a number of the same length was replaced by this text."""
    good = "7" * len(text)
    setattr(dataset, keyword, good)
    save(dataset, path)
    path.write_bytes(
        path.read_bytes().replace(
            b"DS" + len(text).to_bytes(2, "little") + good.encode(),
            b"DS" + len(text).to_bytes(2, "little") + text.encode(),
        )
    )


@pytest.mark.parametrize("text", ["-1024,0 ", "N/A ", "-1,024.0", "1_0 ", "nan ", "1e99999 ", "1\\2 ", "0x10"])
@pytest.mark.parametrize(("keyword", "plain"), [("RescaleSlope", True), ("RescaleIntercept", False)])
def test_text_that_is_no_number_is_refused_by_name(tmp_path, keyword, text, plain):
    for number, dataset in enumerate(slices([0, 1, 2], **HU)):
        if not plain:  # left to pydicom
            dataset.SharedFunctionalGroupsSequence = []
        if number == 1:
            written(tmp_path / "1", dataset, keyword, text)
        else:
            save(dataset, tmp_path / str(number))
    refused = only(tmp_path)
    assert (refused.code, keyword in refused.reason) == ("damaged", True)


@pytest.mark.parametrize("changes", [{}, {"SOPClassUID": DX, "Modality": "DX"}])
def test_a_slope_of_zero_is_refused(tmp_path, changes):
    refused = only(save(instance(RescaleSlope="0", RescaleIntercept="-1024", **changes), tmp_path / "x"))
    assert (refused.code, refused.reason) == ("damaged", "RescaleSlope is 0")


@pytest.mark.parametrize(
    ("changes", "first"),
    [({"RescaleIntercept": "-1024"}, -1023), ({"RescaleSlope": "2", "RescaleIntercept": ""}, 2)],
)
def test_half_a_rescale_is_said(tmp_path, changes, first):
    scan = read_scan(save(instance(**changes), tmp_path / "x"))
    assert scan.array[0, 1, 0] == first
    assert any(note.startswith("half-rescale: ") for note in scan.notes)


@given(
    slope=st.floats(-1e4, 1e4).filter(lambda x: abs(x) > 1e-6).map(lambda x: f"{x:.6g}"),
    intercept=st.floats(-1e5, 1e5).map(lambda x: f"{x:.6g}"),
    blanks=st.sampled_from(["", " ", "  "]),
)
@settings(max_examples=60, deadline=None)
def test_every_right_rescale_is_what_pydicom_makes_of_it(slope, intercept, blanks):
    dataset = Dataset()
    dataset.RescaleSlope, dataset.RescaleIntercept = blanks + slope, intercept + blanks
    found = rescale_of([dataset], "")
    stored = np.array([-5, 0, 7])
    assert found.said == ""
    assert np.allclose(stored * found.slope + found.intercept, judge(stored, dataset), rtol=1e-12)


def test_ct_without_rescale_is_no_hounsfield_and_is_neither_windowed_nor_padded_with_air(tmp_path):
    made = slices([0, 1, 2], PixelPaddingValue=-7, **NONE)
    for dataset in made:
        dataset.PixelData = np.array([[-7, 5, 6, 7]] * 3, np.int16).tobytes()
    scan = read_scan(save_all(made, tmp_path))
    assert scan.notes[1].startswith("not-hounsfield: the header has no rescale")
    assert scan.attributes["units"] == "stored"
    assert scan.array.min() == 5
    recipe = build_recipe("lung", PreprocessingSettings(kind="ct", dimensions=2))
    assert "no window was set" in recipe.encode(scan).notes[0]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_stored_values_that_look_like_hounsfield_are_windowed_in_one_pass_and_in_several(tmp_path, dimensions):
    made = slices([0, 1, 2], **NONE)
    for dataset in made:
        dataset.PixelData = np.array([[-1000, 0, 40, 700]] * 3, np.int16).tobytes()
        dataset.PixelSpacing = [2, 2]
    (source,) = find_scans(save_all(made, tmp_path)).scans
    recipe = build_recipe("lung", PreprocessingSettings(kind="ct", dimensions=dimensions, size=[8] * dimensions))
    done = ingest(source, recipe)
    assert np.array_equal(done.encoded.codes, recipe.encode(read_scan(source)).codes)
    assert not any("no window" in note for note in done.notes)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_slices_without_the_rescale_that_the_others_have_are_refused(tmp_path, modality):
    made = slices([0, 1, 2, 3], Modality=modality, **HU)
    del made[2].RescaleSlope, made[2].RescaleIntercept
    refused = only(save_all(made, tmp_path))
    assert (refused.code, refused.reason[:34]) == ("inconsistent", "1 of 4 slices have no rescale, and")


def test_a_rescale_that_changes_nothing_may_be_missing_here_and_there(tmp_path):
    made = slices([0, 1, 2], Modality="MR", RescaleSlope="1", RescaleIntercept="0")
    del made[1].RescaleSlope, made[1].RescaleIntercept
    assert read_scan(save_all(made, tmp_path)).shape == (4, 3, 3)


def test_frames_without_the_rescale_that_the_others_have_are_refused(tmp_path):
    dataset = enhanced([np.ones((4, 3, 5), np.uint16)])
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.PixelValueTransformationSequence[0].RescaleSlope = 2
    del dataset.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence
    refused = only(save(dataset, tmp_path / "x"))
    assert (refused.code, refused.reason[:30]) == ("inconsistent", "1 of 4 slices have no rescale,")


def with_table(**changes):
    dataset = instance(np.array([[0, 1], [2, 3]], np.uint16), **changes)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 16])
    item.add_new("LUTData", "US", [40, 30, 20, 10])
    item.ModalityLUTType = "US"
    dataset.ModalityLUTSequence = Sequence([item])
    return dataset


@pytest.mark.parametrize("others", [{}, HU], ids=["nothing", "a rescale"])
def test_a_table_in_some_slices_and_not_in_others_is_refused(tmp_path, others):
    made = [with_table(ImagePositionPatient=[0, 0, 2 * k], **others) for k in range(4)]
    for dataset in made[1:]:
        del dataset.ModalityLUTSequence
    refused = only(save_all(made, tmp_path))
    assert (refused.code, refused.reason[:46]) == ("inconsistent", "1 of 4 slices have a modality look-up table, a")


def test_the_unit_of_enhanced_frames_is_told_and_has_to_be_one(tmp_path):
    dataset = enhanced([np.ones((4, 3, 5), np.uint16)], ImageType=["DERIVED", "PRIMARY"])
    dataset.SOPClassUID, dataset.Modality = ENHANCED_CT, "CT"
    groups = [one.PixelValueTransformationSequence[0] for one in dataset.PerFrameFunctionalGroupsSequence]
    for unit, notes in (("HU", ()), ("MGML", ("not-hounsfield: CT values are not in HU but in MGML",))):
        for one in groups:
            one.RescaleType = unit
        scan = read_scan(save(dataset, tmp_path / "x"))
        assert (scan.attributes["units"], scan.notes[:-1]) == (unit, notes)  # the last tells that all voxels are one
    groups[2].RescaleType = "HU"
    refused = only(save(dataset, tmp_path / "x"))
    assert (refused.code, refused.reason) == ("inconsistent", "the slices differ in their unit")


@pytest.mark.parametrize("sop_class", [XA, XRF])
@pytest.mark.parametrize("table", [True, False])
def test_the_way_back_to_xray_intensity_is_not_taken(tmp_path, sop_class, table):
    changes = {"SOPClassUID": sop_class, "Modality": "XA"}
    dataset = with_table(**changes) if table else instance(np.array([[0, 1], [2, 3]], np.uint16), **changes)
    if not table:
        dataset.RescaleSlope, dataset.RescaleIntercept = "-1", "3"
    scan = read_scan(save(dataset, tmp_path / "x"))
    assert scan.array[0].T.tolist() == [[0, 1], [2, 3]]
    assert any(note.startswith("unused-table: values are as stored") for note in scan.notes)
    assert read_scan(save(with_table(SOPClassUID=DX, Modality="DX"), tmp_path / "y")).array[0, 0, 0] == 40


def test_an_item_from_which_all_was_taken_is_no_table_and_one_without_its_data_is_damaged(tmp_path):
    emptied = with_table(**HU)
    emptied.ModalityLUTSequence = Sequence([Dataset()])
    assert read_scan(save(emptied, tmp_path / "x")).array[0].T.tolist() == [[-1024, -1023], [-1022, -1021]]
    for keyword in ("LUTData", "LUTDescriptor"):
        dataset = with_table()
        del dataset.ModalityLUTSequence[0][keyword]
        with pytest.raises(ScanRefused) as caught:
            read_scan(save(dataset, tmp_path / "y"))
        assert caught.value.code == "damaged"
    twice = with_table()
    twice.ModalityLUTSequence.append(twice.ModalityLUTSequence[0])
    with pytest.raises(ScanRefused, match="2 modality look-up tables"):
        read_scan(save(twice, tmp_path / "z"))
