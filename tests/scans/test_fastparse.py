"""The fast parser accepts only what it understands: wherever it answers, pydicom gives the same answer."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from medcls.errors import ScanRefused
from medcls.scans.core.guard import quiet
from medcls.scans.dicom.frames.frames_of_file import frames_of
from medcls.scans.dicom.frames.headers import read_header
from medcls.scans.dicom.frames.instance import HEAD, plain_elements
from medcls.scans.dicom.parse import templates
from medcls.scans.dicom.parse.elements_walk import Short, Unclear, take_element
from medcls.scans.dicom.parse.fastparse import parse
from medcls.scans.dicom.parse.tags import PRIVATE_B_VALUES, PRIVATE_DIRECTIONS, SEQUENCES, TAGS
from medcls.scans.dicom.parse.templates import Templates
from tests.factories.dicom import instance, save

SAMPLES = Path(pydicom.__file__).parent / "data"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]


def answer(attributes, path):
    """What a file says, or why it is refused, in a form that can be compared."""
    try:
        return frames_of(attributes, path)
    except ScanRefused as error:
        return error.code, error.what


def both(data: bytes, path: Path):
    """The fast answer, ``None`` when it leaves the file to pydicom; and pydicom's."""
    try:
        elements = parse(data, len(data))
    except Short:
        pytest.fail("the whole file was given, and more was asked for")
    if elements is None:
        return None, None
    path.write_bytes(data)
    with quiet():
        return answer(elements, path), answer(read_header(path)[0], path)


def test_the_table_of_tags_is_the_dictionary():
    for keyword, (tag, vr) in TAGS.items():
        assert int(Tag(keyword)) == tag
        assert dictionary_VR(tag) == vr
    assert {dictionary_VR(tag) for tag in SEQUENCES} == {"SQ"}


def test_real_files_say_the_same_to_both(shared_data, tmp_path):
    files = [*(shared_data / "dicom").rglob("*"), *SAMPLES.rglob("*")]
    taken = 0
    for file in sorted(path for path in files if path.is_file() and path.stat().st_size < 4_000_000):
        data = file.read_bytes()
        fast, judged = both(data, tmp_path / "x")
        assert fast == judged, file.name
        taken += fast is not None
    assert taken > 400  # most of them are plain: else the parser is of no use


texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
odd_texts = st.one_of(
    texts, st.sampled_from(["", " ", "\\", " a \\ b ", "nan", "1e999", "1_0", "0x1", "+3", "1.0", "-0", "１"])
)
decimals = st.floats(-1e5, 1e5, allow_nan=False).map(lambda value: f"{value:.6g}")


def raw_value(vr: str):
    if vr in ("US", "SS", "US or SS"):
        return st.integers(0, 65535).map(lambda value: struct.pack("<H", value)) | st.binary(max_size=6)
    if vr in ("FD", "FL"):
        return st.lists(st.floats(width=32), max_size=3).map(
            lambda values: struct.pack(f"<{len(values)}{'d' if vr == 'FD' else 'f'}", *values)
        ) | st.binary(max_size=9)
    if vr in ("DS", "IS"):
        parts = st.lists(decimals | st.integers(-999, 999).map(str) | odd_texts, min_size=1, max_size=6)
        return parts.map("\\".join).map(lambda text: text.encode("utf-8"))
    return odd_texts.map(lambda text: text.encode("utf-8")) | st.binary(max_size=5)


def element(order: str, implicit: bool, tag: int, vr: str, value: bytes) -> bytes:
    value = value + b" " * (len(value) % 2)
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return start + struct.pack("<I", len(value)) + value
    if vr in ("OB", "OW", "UN", "SQ", "UT"):
        return start + vr.encode() + struct.pack("<HI", 0, len(value)) + value
    return start + vr.encode() + struct.pack("<H", len(value)) + value


def file_of(syntax: str, elements: bytes) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element("<", False, 0x00020010, "UI", uid)
    return bytes(128) + b"DICM" + element("<", False, 0x00020000, "UL", struct.pack("<I", len(meta))) + meta + elements


def image(syntax: str, values: dict[int, tuple[str, bytes]]) -> bytes:
    """A CT image in which some attributes have other bytes."""
    plain = {
        **{TAGS["SOPClassUID"][0]: ("UI", b"1.2.840.10008.5.1.4.1.1.2"), TAGS["Modality"][0]: ("CS", b"CT")},
        **{TAGS["Rows"][0]: ("US", b"\3\0"), TAGS["Columns"][0]: ("US", b"\4\0")},
        **{TAGS["BitsAllocated"][0]: ("US", b"\x10\0"), TAGS["BitsStored"][0]: ("US", b"\x0c\0")},
        **{TAGS["HighBit"][0]: ("US", b"\x0b\0"), TAGS["ImagePositionPatient"][0]: ("DS", b"1\\2\\3.50")},
        **values,
    }
    implicit = syntax == SYNTAXES[0]
    written = b"".join(element("<", implicit, tag, vr, value) for tag, (vr, value) in sorted(plain.items()))
    return file_of(syntax, written + element("<", implicit, 0x7FE00010, "OW", bytes(24)))


@st.composite
def attributes(draw):
    """Some attributes with unusual values, now and then of the wrong kind."""
    values = {}
    for keyword in draw(st.lists(st.sampled_from(sorted(TAGS)), max_size=6, unique=True)):
        tag, vr = TAGS[keyword]
        value = draw(raw_value(vr))
        written = {"US or SS": draw(st.sampled_from(["US", "SS"]))}.get(vr, vr)
        values[tag] = (draw(st.sampled_from([written] * 8 + ["UN", "LO", "OB", "US"])), value)
    for tag in draw(st.lists(st.sampled_from([*PRIVATE_B_VALUES, *PRIVATE_DIRECTIONS]), max_size=2, unique=True)):
        vr = draw(st.sampled_from(["IS", "DS", "FD", "LO", "UN", "OB", "US"]))
        values[tag] = (vr, draw(raw_value(vr)))
    return values


@given(attributes(), st.sampled_from(SYNTAXES))
@example({0x00100010: ("PN", b"\\\x80")}, SYNTAXES[0])  # two names, not in ASCII
@example({0x00204000: ("LT", b" a \\ b ")}, SYNTAXES[0])  # one value, with a backslash in it
@settings(max_examples=600, deadline=None)
def test_any_values_say_the_same_to_both(tmp_path_factory, values, syntax):
    fast, judged = both(image(syntax, values), tmp_path_factory.getbasetemp() / "values")
    assert fast == judged


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    st.integers(0, 40),
    st.sampled_from(SYNTAXES),
)
@settings(max_examples=600, deadline=None)
def test_broken_bytes_are_read_as_pydicom_reads_them_or_left_to_it(tmp_path_factory, changes, cut, syntax):
    path = save(nested(), tmp_path_factory.getbasetemp() / "whole", syntax)
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[132 + place % (len(data) - 132)] = value
    data = data[: len(data) - cut] if cut < 30 else data
    fast, judged = both(bytes(data), tmp_path_factory.getbasetemp() / "broken")
    assert fast == judged


def nested() -> Dataset:
    """A slice with sequences of undefined length inside one another, before and behind what is wanted."""
    dataset = instance(PatientID="A1", EchoNumbers=2, ImageComments="x" * 300)
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.PatientID = "deep", "other"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    dataset.ReferencedImageSequence = Sequence([outer, Dataset()])
    dataset.RequestAttributesSequence = Sequence([outer])
    for item in (dataset["ReferencedImageSequence"], outer["PurposeOfReferenceCodeSequence"]):
        item.is_undefined_length = True
        for one in item.value:
            one.is_undefined_length_sequence_item = True
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_sequences_of_undefined_length_are_passed_over(tmp_path, syntax):
    data = save(nested(), tmp_path / "x", syntax).read_bytes()
    assert b"\xfe\xff\xdd\xe0" in data
    fast, judged = both(data, tmp_path / "y")
    assert fast is not None
    assert fast == judged
    assert fast[0].header.identity["patient_id"] == "A1"


@pytest.mark.filterwarnings("ignore:The value:UserWarning:pydicom")  # its length, on purpose
def test_a_long_header_is_read_on_until_the_pixels(tmp_path):
    data = save(instance(PatientComments="x" * (5 * HEAD)), tmp_path / "x").read_bytes()
    with pytest.raises(Short):
        parse(data[:HEAD], len(data))
    elements = plain_elements(io.BytesIO(data), len(data), data[:HEAD])
    assert elements is not None
    assert data[elements.pixels[0] :][: elements.pixels[1]] == instance().PixelData


@pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "ModalityLUTSequence"])
def test_what_needs_more_than_attributes_is_left_to_pydicom(tmp_path, keyword):
    data = save(instance(**{keyword: Sequence([Dataset()])}), tmp_path / "x").read_bytes()
    assert parse(data, len(data)) is None


@settings(max_examples=150)
@given(st.data())
def test_what_was_learned_from_other_files_changes_no_answer(data):
    """Files that are alike but for some values, and now and then for an element more: each as if it came first."""
    implicit = data.draw(st.booleans())
    texts_of = {"PatientID": ["a", "bb", "a\x1b"], "SeriesNumber": ["1", "12", "x"], "EchoTime": ["1", "2.50", ""]}
    known = Templates()
    for _ in range(data.draw(st.integers(2, 6))):
        dataset = instance(ImagePositionPatient=[0, 0, data.draw(st.integers(-99, 99)) / 8])
        for keyword, choices in texts_of.items():
            value = data.draw(st.sampled_from([None, *choices]))
            if value is None:
                dataset.pop(keyword, None)
            else:
                dataset.add_new(Tag(keyword), "LO", value)
                dataset[keyword].VR = dictionary_VR(Tag(keyword)) if data.draw(st.booleans()) else "LO"
        raw = without_meta(dataset, implicit)
        raw = raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) - 3, len(raw) // 2]))]
        syntax = SYNTAXES[0] if implicit else SYNTAXES[1]
        assert walked(known, raw, syntax) == walked(Templates(), raw, syntax)


def test_a_second_file_of_a_series_is_walked_only_where_it_differs(monkeypatch):
    taken = []
    monkeypatch.setattr(templates, "take_element", lambda *given: taken.append(1) or take_element(*given))
    known = Templates()
    counts = []
    for number in range(3):
        raw = without_meta(instance(ImagePositionPatient=[0, 0, number]), False)
        known.walk(raw, 0, len(raw), SYNTAXES[1])
        counts.append(len(taken))
        taken.clear()
    assert counts[0] > 20
    assert counts[2] < 6  # the third profits from what the first two taught


def without_meta(dataset, implicit: bool) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, True
    write_dataset(stream, dataset)
    return stream.getvalue()


def walked(known: Templates, raw: bytes, syntax: str):
    try:
        walk = known.walk(raw, 0, len(raw), syntax)
    except (Unclear, Short, struct.error) as error:
        return type(error)
    return walk.values, walk.vrs, walk.pixels, walk.words
