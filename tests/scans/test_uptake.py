"""PET becomes SUV by the header, as worked out by hand; what the header does not say is refused and named."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import Recipe, build_recipe
from medcls.scans import find_scans, inspect_scans, read_scan
from medcls.scans.core.scan import Scan
from medcls.scans.dicom.values.suv import factor, uptake_attributes
from tests.factories.dicom import enhanced, save, save_all, slices

PT, ENHANCED_PT = "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.130"
PHILIPS = (0x7053, "Philips PET Private Group")

# Half of 200 MBq is left after an hour, so 50 kg make a factor of 50,000 g / 100,000,000 Bq.
TRACER = {"RadionuclideTotalDose": 2e8, "RadionuclideHalfLife": 3600, "RadiopharmaceuticalStartTime": "100000"}
HEADER: dict[str, Any] = {
    "Modality": "PT",
    "SOPClassUID": PT,
    "RescaleSlope": 2,
    "RescaleIntercept": 0,
    "Units": "BQML",
    "CorrectedImage": ["DECY", "ATTN", "SCAT"],
    "DecayCorrection": "START",
    "SeriesDate": "20240229",
    "SeriesTime": "110000",
    "AcquisitionDate": "20240229",
    "AcquisitionTime": "110000.5",
    "PatientWeight": 50,
}


def header(tracer: dict[str, Any] | None = None, **changes: Any) -> Dataset:
    """A PET header; ``None`` leaves an attribute out."""
    dataset = Dataset()
    for keyword, value in (HEADER | changes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    item = Dataset()
    for keyword, value in (TRACER | (tracer or {})).items():
        if value is not None:
            setattr(item, keyword, value)
    dataset.RadiopharmaceuticalInformationSequence = Items([item])
    return dataset


def private(dataset: Dataset, owner: tuple[int, str], element: int, vr: str, value: str) -> Dataset:
    dataset.private_block(owner[0], owner[1], create=True).add_new(element, vr, value)
    return dataset


def series(**changes: Any) -> list[Dataset]:
    """Slices of PET, each with its own rescale slope, as GE writes them."""
    wanted = {name: value for name, value in (HEADER | changes).items() if value is not None}
    made = slices([0.0, 3.0, 6.0], PixelSpacing=[3, 3], **wanted)
    for number, dataset in enumerate(made, start=1):
        dataset.RescaleSlope = number
        dataset.RadiopharmaceuticalInformationSequence = header().RadiopharmaceuticalInformationSequence
    return made


def mean_rate_time(duration: float, half_life: float) -> float:
    """When a decaying rate is at its mean over a frame, by summing it up."""
    times = (np.arange(100_000) + 0.5) * duration / 100_000
    mean = np.mean(0.5 ** (times / half_life))
    return -half_life * math.log2(mean)


AVERAGE = mean_rate_time(900, 3600)
LATE = {"SeriesTime": "180000", "AcquisitionTime": "111000", "ActualFrameDuration": 900_000}


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        pytest.param(header(), 5e-4, id="decayed from the injection to the series"),
        pytest.param(header(DecayCorrection="ADMIN"), 2.5e-4, id="corrected to the injection"),
        pytest.param(
            header(SeriesTime="110000.9"), 5e-4 * 2 ** (0.9 / 3600), id="a clock that is a fraction of a second late"
        ),
        pytest.param(
            header({"RadiopharmaceuticalStartTime": "233000"}, SeriesTime="003000", AcquisitionTime="003000"),
            5e-4,
            id="over midnight, without a date",
        ),
        pytest.param(
            header(
                {"RadiopharmaceuticalStartDateTime": "20240228233000.00"}, SeriesTime="003000", AcquisitionTime="003000"
            ),
            5e-4,
            id="over midnight, with a date",
        ),
        pytest.param(
            header(
                {"RadionuclideHalfLife": 86400, "RadiopharmaceuticalStartDateTime": "20240227110000"},
            ),
            50_000 / (2e8 / 4),
            id="days ago",
        ),
        pytest.param(
            header(**LATE, FrameReferenceTime=(600 + AVERAGE) * 1000), 5e-4, id="a series written later, by frame times"
        ),
        pytest.param(
            header(**LATE | {"SeriesTime": "090000"}, FrameReferenceTime=(600 + AVERAGE) * 1000),
            5e-4,
            id="a series opened before the injection, by frame times",
        ),
        pytest.param(
            private(header(**LATE), (0x0009, "GEMS_PETD_01"), 0x0D, "DT", "20240229110000.00"),
            5e-4,
            id="a series written later, by GE's own time",
        ),
        pytest.param(
            private(header(Units="CNTS"), PHILIPS, 0x00, "DS", "0.002"), 0.002, id="Philips counts with a factor to SUV"
        ),
        pytest.param(
            private(private(header(Units="CNTS"), PHILIPS, 0x00, "DS", "0"), PHILIPS, 0x09, "DS", "3"),
            1.5e-3,
            id="Philips counts with a factor to Bq/ml",
        ),
        pytest.param(header(Units="GML", PatientWeight=None), 1.0, id="SUV already"),
        pytest.param(header(Units="GML", SUVType="BW"), 1.0, id="SUV already, and said so"),
        # 1.10 * 80 - 128 * (80 / 180)^2 = 62.716 kg
        pytest.param(
            header(Units="GML", SUVType="LBMJAMES128", PatientWeight=80, PatientSize=1.8, PatientSex="M"),
            80 / 62.716049,
            id="SUV by James' lean mass",
        ),
        pytest.param(
            header(
                CorrectedImage=None,
                DecayCorrection=None,
                AttenuationCorrected="YES",
                DecayCorrected="YES",
                DecayCorrectionDateTime="20240229110000",
            ),
            5e-4,
            id="as enhanced objects say it",
        ),
    ],
)
def test_the_factor_to_suv_is_that_worked_out_by_hand(dataset: Dataset, expected: float) -> None:
    assert factor(uptake_attributes(dataset)["suv_bw"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("sex", "lean"),
    # 9270 * 80 / (6680 + 216 * 24.69136) for men; (8780 + 244 * 24.69136) for women
    [("M", 61.7313), ("F", 50.0923)],
)
def test_lean_body_mass_is_janmahasatians(sex: str, lean: float) -> None:
    body = {"PatientWeight": 80, "PatientSize": 1.8, "PatientSex": sex}
    found = factor(uptake_attributes(header(**body))["suv_lbm"])
    assert found == pytest.approx(lean * 1000 / 1e8, rel=1e-5)
    assert factor(uptake_attributes(header(**body, Units="GML"))["suv_lbm"]) == pytest.approx(lean / 80, rel=1e-5)
    assert uptake_attributes(header(**body, Units="GML", SUVType="LBMJANMA"))["suv_lbm"] == "1"


@pytest.mark.parametrize(
    ("dataset", "named"),
    [
        (header(PatientWeight=None), "PatientWeight (0010,1030) is missing"),
        (header(PatientWeight=0), "PatientWeight (0010,1030) is missing"),
        (header({"RadionuclideTotalDose": None}), "RadionuclideTotalDose (0018,1074) is missing"),
        (header({"RadionuclideTotalDose": 200}), "RadionuclideTotalDose (0018,1074) is no such measure"),  # MBq
        (header({"RadionuclideHalfLife": None}), "RadionuclideHalfLife (0018,1075) is missing"),
        (header({"RadiopharmaceuticalStartTime": None}), "RadiopharmaceuticalStartTime (0018,1072) is missing"),
        (header({"RadionuclideHalfLife": 282_000}), "RadiopharmaceuticalStartDateTime (0018,1078) is missing"),
        (header({"RadiopharmaceuticalStartDateTime": "20200101100000"}), "hours after the injection"),
        (header({"RadiopharmaceuticalStartTime": "113000"}), "SeriesTime (0008,0031) is before the injection"),
        (header(Units=None), "Units (0054,1001) is missing"),
        (header(Units="PROPCPS"), "Units (0054,1001) is PROPCPS"),
        (header(Units="CM2ML"), "Units (0054,1001) is CM2ML"),
        (header(Units="CNTS"), "(7053,xx00) and (7053,xx09) are missing"),
        (header(Units="GML", SUVType="BSA"), "SUVType (0054,1006) is BSA"),
        (header(DecayCorrection="NONE"), "DecayCorrection (0054,1102) is neither START nor ADMIN"),
        (header(CorrectedImage=["DECY"]), "does not say that attenuation was corrected"),
        (header(CorrectedImage=["ATTN"]), "does not say that decay was corrected"),
        (header(AcquisitionTime=None), "AcquisitionTime (0008,0032) is missing"),
        (header(SeriesTime="120000"), "SeriesTime (0008,0031) is behind the acquisition, and FrameReferenceTime"),
        (
            header({"RadiopharmaceuticalStartTime": "000000"}, SeriesTime="000000", AcquisitionTime="000000"),
            "the times in the header were blanked",
        ),
    ],
)
def test_what_is_missing_or_cannot_be_is_named(dataset: Dataset, named: str) -> None:
    attributes = uptake_attributes(dataset)
    assert factor(attributes["suv_bw"]) is None
    assert named in attributes["suv_bw"]


def test_without_height_or_sex_there_is_no_lean_body_mass_and_all_the_same_suv_by_weight() -> None:
    attributes = uptake_attributes(header(PatientSex="O", PatientSize=1.8))
    assert factor(attributes["suv_bw"])
    assert "PatientSex (0010,0040)" in attributes["suv_lbm"]
    assert "PatientSize (0010,1020)" in uptake_attributes(header(PatientSex="M", PatientSize=180))["suv_lbm"]  # cm


@settings(max_examples=50, deadline=None)
@given(st.integers(600, 20_000), st.integers(0, 3 * 3600), st.floats(1e6, 1e10), st.floats(3, 200))
def test_the_dose_is_worth_what_is_left_of_it(half_life: int, delay: int, dose: float, weight: float) -> None:
    seconds = 10 * 3600 + min(delay, 9 * half_life)
    clock = f"{seconds // 3600:02}{seconds % 3600 // 60:02}{seconds % 60:02}"
    tracer = {"RadionuclideHalfLife": half_life, "RadionuclideTotalDose": f"{dose:.8g}"}
    made = header(tracer, SeriesTime=clock, AcquisitionTime=clock, PatientWeight=f"{weight:.8g}")
    left = dose * math.exp(-math.log(2) * (seconds - 36_000) / half_life)
    assert factor(uptake_attributes(made)["suv_bw"]) == pytest.approx(weight * 1000 / left, rel=1e-5)


ODD = st.sampled_from(["", "0", "-1", "1e300", "1e-300", "99991231235959", "24:61:61", "nan", "x", "00000000", "1e5"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*HEADER, "FrameReferenceTime", "ActualFrameDuration"]), ODD), st.data())
def test_nothing_in_a_header_breaks_the_reading(changes: dict[str, Any], data: st.DataObject) -> None:
    tracer = data.draw(st.dictionaries(st.sampled_from([*TRACER, "RadiopharmaceuticalStartDateTime"]), ODD))
    made, item = Dataset(), Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset, values in ((made, HEADER | LATE | changes), (item, TRACER | tracer)):
            for keyword, value in values.items():
                raw = ("\\".join(value) if isinstance(value, list) else str(value)).encode()
                dataset.add(RawDataElement(Tag(keyword), "UN", len(raw), raw, 0, False, True))
        made.RadiopharmaceuticalInformationSequence = Items([item])
        for attribute in ("suv_bw", "suv_lbm"):
            number = factor(uptake_attributes(made)[attribute])
            assert number is None or 0 < number < math.inf


def recipe(pet: str = "suv-bw", **changes: Any) -> Recipe:
    chosen = {"dimensions": 3, "size": [4, 3, 3], "pet": pet, "precision": "float16", **changes}
    return build_recipe("generic", PreprocessingSettings.model_validate(chosen))


def unturned(scan: Scan, made: Recipe) -> np.ndarray:
    """What became of each voxel: as scanned, but turned to RAS."""
    return made.prepare(scan).images[0, 0][::-1, ::-1]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_series_is_prepared_in_suv_whatever_slope_its_slices_have(tmp_path: Path, syntax: str) -> None:
    made = series()
    for number, dataset in enumerate(made):
        dataset.PixelData = np.full((3, 4), 1000 * (number + 1), np.int16).tobytes()
        save(dataset, tmp_path / f"{number}", syntax)
    scan = read_scan(tmp_path)
    assert scan.attributes["units"] == "BQML"
    # 1000, 4000 and 9000 Bq/ml are 0.5, 2 and 4.5 g/ml, and 20 is white.
    expected = np.broadcast_to(np.array([0.5, 2.0, 4.5]) / 20, (4, 3, 3))
    assert np.allclose(unturned(scan, recipe()), expected, atol=1e-3)
    assert not recipe().prepare(scan).notes
    stored = recipe("stored", steps={"scale": {"low": 0, "high": 10_000}}).prepare(scan)
    assert np.allclose(stored.images[0, 0, 0, 0], np.array([0.1, 0.4, 0.9]), atol=1e-3)
    assert stored.notes == ("pet-units: PET values are as the file has them, in BQML, not SUV",)


def test_twice_the_dose_and_twice_the_activity_is_the_same_input(tmp_path: Path) -> None:
    once, twice = series(), series()
    for dataset in twice:
        dataset.RescaleSlope *= 2
        dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose *= 2
    scans = [read_scan(save_all(made, tmp_path / name)) for name, made in (("once", once), ("twice", twice))]
    assert not np.array_equal(scans[0].array, scans[1].array)
    assert np.array_equal(*(recipe().prepare(scan).images for scan in scans))


def test_a_series_without_a_weight_is_read_noted_and_refused_by_the_recipe(tmp_path: Path) -> None:
    folder = save_all(series(PatientWeight=None), tmp_path / "scan")
    scan = read_scan(folder)
    (note,) = (note for note in scan.notes if note.startswith("pet-units"))
    assert "PatientWeight (0010,1030)" in note
    with pytest.raises(ScanRefused) as caught:
        recipe().prepare(scan)
    assert caught.value.code == "no-suv"
    assert "PatientWeight (0010,1030)" in str(caught.value)
    assert "preprocessing.pet to 'stored'" in caught.value.remedy
    assert recipe("stored").prepare(scan).images.any()
    (row,) = inspect_scans(folder, read_pixels=True).rows
    assert (row.units, row.verdict) == ("BQML", "ok")
    assert "PatientWeight" in " ".join(row.notes)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"Units": "GML"}, "inconsistent", "differ in their unit"),
        ({"PatientWeight": 90}, "no-suv", "differ from slice to slice"),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "inconsistent", "have no rescale"),
    ],
)
def test_slices_that_disagree_are_refused(tmp_path: Path, change: dict[str, Any], code: str, words: str) -> None:
    made = series()
    for keyword, value in change.items():
        if value is None:
            delattr(made[1], keyword)
        else:
            setattr(made[1], keyword, value)
    folder = save_all(made, tmp_path / "scan")
    with pytest.raises(ScanRefused) as caught:
        recipe().prepare(read_scan(folder))
    assert caught.value.code == code
    assert words in str(caught.value)


def test_values_without_a_rescale_are_no_becquerel(tmp_path: Path) -> None:
    made = series()
    for dataset in made:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    scan = read_scan(save_all(made, tmp_path / "scan"))
    with pytest.raises(ScanRefused, match="RescaleSlope"):
        recipe().prepare(scan)


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 5e-4), (7.0, None)])
def test_an_enhanced_object_has_its_unit_in_the_map_of_real_values(
    tmp_path: Path, slope: float, expected: float | None
) -> None:
    volume = np.arange(36, dtype=np.uint16).reshape(3, 3, 4)
    made = enhanced([volume])
    said = header(CorrectedImage=None, DecayCorrection=None, Units=None, RescaleSlope=None, RescaleIntercept=None)
    made.update(said)
    made.SOPClassUID, made.AttenuationCorrected, made.DecayCorrected = ENHANCED_PT, "YES", "YES"
    made.DecayCorrectionDateTime = "20240229110000"
    code, world = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "Bq/ml", "UCUM"
    world.RealWorldValueSlope, world.RealWorldValueIntercept = slope, 0.0
    world.MeasurementUnitsCodeSequence = Items([code])
    made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = Items([world])
    scan = read_scan(save(made, tmp_path / "enhanced.dcm"))
    assert factor(scan.attributes["suv_bw"]) == (None if expected is None else pytest.approx(expected))


def test_only_dicom_pet_is_touched(tmp_path: Path) -> None:
    made = slices([0.0, 3.0, 6.0], Modality="NM", RescaleSlope=2, RescaleIntercept=0)
    (source,) = find_scans(save_all(made, tmp_path / "scan")).scans
    scan = read_scan(source)
    assert "suv_bw" not in scan.attributes
    assert np.array_equal(recipe().prepare(scan).images, recipe("stored").prepare(scan).images)
