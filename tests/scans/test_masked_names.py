"""Names of scans hold no identifier: of their own patient, of another, or of nobody who is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.privacy import load_pseudonyms
from medcls.scans.formats import FORMATS
from medcls.scans.inspection.masked_names import KnownPatients, _holds, masked_name

PATIENT = {"patient_id": "HX-778-21", "issuer": "H", "study_uid": "1.2.9.77", "sop_uids": "1.2.9.1 1.2.9.2"}


@given(
    before=st.text(alphabet="abQ_- .é", max_size=6),
    after=st.text(alphabet="abQ_- .é", max_size=6),
    written=st.sampled_from(["HX-778-21", "hx-778-21", "HX77821", "hx_778_21", "HX 778.21"]),
    folders=st.lists(st.sampled_from(["export", "ct", "day 2"]), max_size=2),
)
def test_a_patient_id_in_a_path_is_masked_however_it_is_written(
    before: str, after: str, written: str, folders: list[str]
) -> None:
    names = load_pseudonyms()
    masked = masked_name("/".join([*folders, before + written + after, "IM1.dcm"]), PATIENT, names)
    assert "77821" not in "".join(sign for sign in masked if sign.isalnum())
    assert masked.split("/")[: len(folders)] == folders
    assert masked.split("/")[-1] == "IM1.dcm"
    assert names.patient("HX-778-21", "H") in masked


@pytest.mark.parametrize(
    "name",
    ["DOE^JANE/ct", "ct/DOE^JANE.dcm", "1.2.9.77/3", "a/1.2.9.2.dcm", "x/1.2.840.113619.2.5/IM", "DOE^J#s3-echo-2"],
)
def test_names_and_uids_in_a_path_are_masked_whole(name: str) -> None:
    masked = masked_name(name, PATIENT, load_pseudonyms())
    assert not {"DOE", "JANE", "1.2.9", "113619"} & {
        word for word in ("DOE", "JANE", "1.2.9", "113619") if word in masked
    }
    kept = [part for part in name.split("/") if part in ("ct", "3", "a", "x", "IM")]
    assert [part for part in masked.split("/") if part in kept] == kept
    for ending in (".dcm", "#s3-echo-2"):
        assert masked.endswith(ending) == name.endswith(ending)


def test_what_identifies_nobody_stays_as_it_is() -> None:
    name = "study 7/T1_2024-01-05/v1.2.3/IM_0001.dcm#s3-plane-1"
    assert masked_name(name, PATIENT, load_pseudonyms()) == name
    assert masked_name(name, {}, load_pseudonyms()) == name


@pytest.mark.parametrize(
    ("patient", "part", "masked"),
    [
        ("1", "scan 1", True),
        ("1", "IM0011", False),
        ("01", "PAT01", True),
        ("ab", "cable", False),
        ("--", "a--b", True),
    ],
)
def test_a_short_patient_id_is_masked_only_where_it_stands_alone(patient: str, part: str, masked: bool) -> None:
    assert (masked_name(part, {"patient_id": patient}, load_pseudonyms()) != part) is masked


def test_different_files_of_a_patient_keep_different_names_and_keeping_identifiers_keeps_all() -> None:
    names = load_pseudonyms()
    files = ["HX-778-21.dcm", "HX-778-21_a.dcm", "HX-778-21_b.dcm"]
    assert len({masked_name(name, PATIENT, names) for name in files}) == 3
    assert masked_name("HX-778-21.dcm", PATIENT, names) == names.patient("HX-778-21", "H") + ".dcm"
    assert [masked_name(name, PATIENT, load_pseudonyms(keep=True)) for name in files] == files


def test_another_patients_id_is_masked_with_the_other_patients_pseudonym() -> None:
    names = load_pseudonyms()
    patients = KnownPatients([PATIENT, {"patient_id": "QQ-500"}, {"patient_id": "3"}])
    other = names.patient("HX-778-21", "H")
    for identity in ({"patient_id": "QQ-500"}, {}):
        assert masked_name("HX-778-21/misfiled", identity, names, patients) == f"{other}/misfiled"
        assert masked_name("hx77821.zip/ct", identity, names, patients) == f"{other}.zip/ct"
        assert masked_name("a/hx77821_cut.zip", identity, names, patients).startswith(f"a/{other}-")
        assert "hx-778-21" not in masked_name("ct#hx-778-21", identity, names, patients)
        assert masked_name("scan 3/x", identity, names, patients).startswith(names.patient("3"))
        assert masked_name("IM0003/T1#s3", identity, names, patients) == "IM0003/T1#s3"
    assert masked_name("HX-778-21/ct", PATIENT, load_pseudonyms(keep=True), patients) == "HX-778-21/ct"


def test_a_part_that_holds_both_gets_the_pseudonym_of_its_own_patient() -> None:
    names = load_pseudonyms()
    patients = KnownPatients([PATIENT, {"patient_id": "QQ-500"}])
    masked = masked_name("QQ-500 was HX-778-21", {"patient_id": "QQ-500"}, names, patients)
    assert masked.startswith(names.patient("QQ-500") + "-")


_IDS = st.text(alphabet="aB1-2 é", min_size=1, max_size=6)


@given(ids=st.lists(_IDS, max_size=6), part=st.text(alphabet="aB1-2 é.", max_size=12))
def test_a_patient_is_found_among_many_as_each_alone_would_be(ids: list[str], part: str) -> None:
    holding = [patient for patient in ids if _holds(part, patient)]
    assert bool(KnownPatients({"patient_id": patient} for patient in ids).of(part)) is bool(holding)


@pytest.mark.parametrize(
    ("part", "person", "masked"),
    [
        ("Miller_John", "Miller^John", True),
        ("JOHN-MILLER.zip", "Miller^John", True),
        ("johnmiller", "Miller^John", True),
        ("MillerJ", "Miller^John", True),
        ("ct of miller", "MILLER^JOHN", True),
        ("Müller", "MULLER^ANNA", True),
        ("mueller-muller", "M\u00c3\u009cLLER^ANNA", True),  # UTF-8, read byte by byte
        ("Li Wu", "Li^Wu", True),
        ("WuLi", "Li^Wu", True),
        ("Ann 2020", "Smith^Ann", True),
        ("王小明", "Wang^Xiaoming=王^小明", True),
        ("annex", "Smith^Ann", False),
        ("lisa", "Li^Wu", False),
        ("series3", "Miller^John", False),
        ("anonymous", "ANONYMOUS^PATIENT", False),
        ("phantom test", "Phantom^Test", False),
        ("lung", "Synthetic^Lung000001", False),
        ("x", "", False),
    ],
)
def test_a_patients_name_in_a_path_is_masked(part: str, person: str, masked: bool) -> None:
    names = load_pseudonyms()
    for identity in ({"patient_name": person}, {"patient_name": person, "patient_id": "HX-778"}):
        assert (masked_name(f"ct/{part}/IM1", identity, names) != f"ct/{part}/IM1") is masked
    assert masked_name(part, {"patient_name": person}, load_pseudonyms(keep=True)) == part


def test_another_known_patients_name_is_masked_too() -> None:
    patients = KnownPatients([{"patient_id": "HX-778", "patient_name": "Miller^John"}])
    names = load_pseudonyms()
    assert masked_name("Miller/broken.dcm", {}, names, patients).startswith(names.patient("HX-778"))
    assert masked_name("series/broken.dcm", {}, names, patients) == "series/broken.dcm"


def test_the_number_of_an_order_is_masked_and_a_short_one_is_no_reason_to() -> None:
    order = {"accession": "ACC-20931"}
    for part in ("ACC-20931", "acc20931", "order_ACC-20931.dcm"):
        assert "20931" not in masked_name(part, order, load_pseudonyms())
    assert masked_name("slice 1/A1", {"accession": "1"}, load_pseudonyms()) == "slice 1/A1"


def test_a_masked_name_keeps_the_ending_of_every_format() -> None:
    names = load_pseudonyms()
    endings = [ending for one in FORMATS.values() for ending in (*one.endings, *one.voxels)]
    for ending in (".dcm", ".IMA", ".dcm.gz", ".tar.gz", *endings):
        assert masked_name(f"HX-778-21{ending}", PATIENT, names) == names.patient("HX-778-21", "H") + ending
