"""Values and colours by table: modality tables, plain and segmented palettes; pydicom is the judge where it keeps the rules."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut
from pydicom.pixels import apply_modality_lut as judge
from pydicom.sequence import Sequence

from medcls.errors import ScanRefused
from medcls.scans import read_scan
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.pixels.colour import to_rgb
from medcls.scans.dicom.pixels.palette import expanded
from medcls.scans.dicom.values.modality_lut import modality_lut
from tests.factories.dicom import instance, save

LITTLE, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
COLOURS = ("Red", "Green", "Blue")


def header(*, signed=False, syntax=LITTLE, photometric="MONOCHROME2"):
    return Header(
        sop_class="",
        syntax=syntax,
        modality="CR",
        rows=4,
        columns=5,
        samples=1,
        bits_allocated=16,
        bits_stored=16,
        high_bit=15,
        signed=signed,
        photometric=photometric,
        padding=None,
        pixel_spacing=None,
        attributes={},
        identity={},
    )


def with_lut(table, first, bits=16, *, vr="US", signed=False, data=None, unit="US", **changes):
    dataset = instance(np.zeros((4, 5), np.int16 if signed else np.uint16), **changes)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = LITTLE
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(table) % 65536, first, bits])
    words = np.asarray(table, "<u2")
    item.add_new("LUTData", vr, data if data is not None else words.tobytes() if vr == "OW" else words.tolist())
    item.ModalityLUTType = unit
    dataset.ModalityLUTSequence = Sequence([item])
    return dataset


def looked_up(stored, dataset, header):
    return modality_lut(dataset, header).apply(stored)


@given(
    table=st.lists(st.integers(0, 65535), min_size=2, max_size=40),  # pydicom takes no single US value
    first=st.integers(-32768, 65535),
    bits=st.sampled_from([8, 16]),
    vr=st.sampled_from(["US", "OW"]),
    signed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_stored_values_go_through_the_table_as_pydicom_has_it(table, first, bits, vr, signed, seed):
    first = min(first, 32767) if signed else max(first, 0)
    table = [value % (1 << bits) for value in table]
    low, high = (-32768, 32767) if signed else (0, 65535)
    near = np.random.default_rng(seed).integers(first - 9, first + 50, (4, 5))
    stored = np.clip(near, low, high).astype(np.int16 if signed else np.uint16)
    stored[0, :2] = low, high
    dataset = with_lut(table, first, bits, vr=vr, signed=signed)
    values = looked_up(stored, dataset, header(signed=signed))
    assert values.dtype == (np.uint8 if bits == 8 else np.uint16)
    # pydicom counts in the type of the pixels, which overflows: it is given wide ones.
    assert np.array_equal(values, judge(stored.astype(np.int64), dataset))


def test_values_outside_the_table_take_its_ends():
    dataset = with_lut([7, 8, 9], 100)
    stored = np.array([[0, 99, 100, 101, 102, 103, 65535]], np.uint16)
    assert looked_up(stored, dataset, header()).tolist() == [[7, 7, 7, 8, 9, 9, 9]]


def test_no_entries_mean_all_of_them():
    table = np.arange(65536)[::-1]
    dataset = with_lut(table, 0, vr="OW")
    assert dataset.ModalityLUTSequence[0].LUTDescriptor[0] == 0
    assert looked_up(np.zeros((1, 1), np.uint16), with_lut([4], 9), header()).tolist() == [[4]]
    stored = np.array([[0, 1, 65535]], np.uint16)
    assert looked_up(stored, dataset, header()).tolist() == [[65535, 65534, 0]]


def test_the_first_value_is_signed_as_the_pixels_are_whatever_it_was_written_as():
    dataset = with_lut([1, 2, 3], 65534)  # US; -2 before signed pixels
    stored = np.array([[-3, -2, -1, 0, 5]], np.int16)
    assert looked_up(stored, dataset, header(signed=True)).tolist() == [[1, 1, 2, 3, 3]]
    raw = with_lut([1, 2, 3], 0)
    raw.ModalityLUTSequence[0].add_new("LUTDescriptor", "UN", struct.pack("<3H", 3, 65534, 16))
    assert looked_up(stored, raw, header(signed=True)).tolist() == [[1, 1, 2, 3, 3]]


def test_entries_of_eight_bits_are_read_packed_and_padded():
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    packed, padded = bytes([10, 20, 30, 0]), struct.pack("<3H", 10, 20, 30)
    for data in (packed, padded):
        dataset = with_lut([0, 0, 0], 0, 8, vr="OW", data=data)
        assert looked_up(stored, dataset, header()).tolist() == [[10, 20, 30, 30]]
    words = with_lut([0, 0, 0], 0, 8, vr="US", data=list(struct.unpack("<2H", packed)))
    assert looked_up(stored, words, header()).tolist() == [[10, 20, 30, 30]]


def test_words_of_big_endian_files_are_turned():
    stored = np.array([[0, 1]], np.uint16)
    dataset = with_lut([0, 0], 0, vr="OW", data=struct.pack(">2H", 258, 3))
    assert looked_up(stored, dataset, header(syntax=BIG)).tolist() == [[258, 3]]


def test_the_unit_is_told_and_a_file_without_table_is_left_alone():
    assert modality_lut(with_lut([1], 0, unit="OD"), header()).unit == "OD"
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    assert modality_lut(instance(stored), header()) is None
    empty = instance(stored)
    empty.ModalityLUTSequence = Sequence([])
    assert modality_lut(empty, header()) is None


def test_a_file_is_read_through_its_table_and_not_rescaled_as_well(tmp_path):
    dataset = with_lut([5, 6, 700], 100, RescaleSlope=3, RescaleIntercept=-9)
    dataset.PixelData = np.tile(np.array([99, 100, 101, 102, 900], np.uint16), 4).tobytes()
    scan = read_scan(save(dataset, tmp_path / "x"))
    assert scan.array.dtype == np.uint16
    assert scan.array[0, :, 0].tolist() == [5, 5, 6, 700, 700]


def test_a_file_with_a_segmented_palette_is_read_as_colours(tmp_path):
    dataset = with_palette([[0, 2, 0, 1024, 1, 2, 65535], [0, 1, 0, 1, 3, 0], [0, 4, 256, 0, 0, 512]], 4, 16)
    dataset.PixelData = np.tile(np.arange(5, dtype=np.uint16), 4).tobytes()
    scan = read_scan(save(dataset, tmp_path / "x"))
    assert scan.photometric == "rgb"
    assert scan.array[:, :, 0].tolist() == [[0, 4, 130, 255, 255], [0] * 5, [1, 0, 0, 2, 2]]


@pytest.mark.parametrize(
    "bend",
    [
        lambda item: setattr(item, "LUTDescriptor", [4, 0, 16]),
        lambda item: setattr(item, "LUTDescriptor", [3, 0, 0]),
        lambda item: setattr(item, "LUTDescriptor", [3, 0, 32]),
        lambda item: setattr(item, "LUTDescriptor", [3, 0]),
        lambda item: delattr(item, "LUTDescriptor"),
        lambda item: delattr(item, "LUTData"),
        lambda item: setattr(item, "LUTData", b"\0\0"),
    ],
)
def test_a_table_that_is_missing_or_cut_short_is_refused(bend):
    dataset = with_lut([1, 2, 3], 0)
    bend(dataset.ModalityLUTSequence[0])
    with pytest.raises(ScanRefused) as caught:
        modality_lut(dataset, header())
    assert caught.value.code == "damaged"


def with_palette(tables, entries, bits, first=0, *, segmented=True):
    """``tables`` are the words of red, green and blue."""
    dataset = instance(np.zeros((4, 5), np.uint16), PhotometricInterpretation="PALETTE COLOR")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = LITTLE
    for colour, words in zip(COLOURS, tables, strict=True):
        data = np.asarray(words, "<u2" if bits == 16 else "u1").tobytes()
        data += b"\0" * (len(data) % 2)
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [entries % 65536, first, bits])
        dataset.add_new(f"{'Segmented' * segmented}{colour}PaletteColorLookupTableData", "OW", data)
    return dataset


def colours(stored, dataset, **changes):
    return to_rgb(stored, dataset, header(photometric="PALETTE COLOR", **changes))


@st.composite
def segments(draw, bits):
    """Words of a segmented table and how many entries they make; with copies of earlier segments in 8 bits.

    pydicom takes the byte offset of a copy as an index of words, so that it can judge only where these are the same; and it
    knows no copy that begins with a line.
    """
    top = (1 << bits) - 1
    words, starts, sizes, points = [], [], [], []
    for number in range(draw(st.integers(1, 6))):
        kinds = ["discrete"] if number == 0 else ["discrete", "linear", "linear", *(["copy"] if bits == 8 else [])]
        kind = draw(st.sampled_from(kinds))
        if kind == "copy":
            first = draw(st.sampled_from(points))
            count = draw(st.integers(1, len(starts) - first))
            if None in starts[first : first + count]:  # no copies of copies
                continue
            words += [2, count, *struct.pack("<I", starts[first])]
            starts.append(None)
            sizes.append(sum(sizes[first : first + count]))
            continue
        starts.append(len(words))
        length = draw(st.integers(1, 9))
        sizes.append(length)
        if kind == "discrete":
            points.append(len(starts) - 1)
            words += [0, length, *draw(st.lists(st.integers(0, top), min_size=length, max_size=length))]
        else:
            words += [1, length, draw(st.integers(0, top))]
    return words, sum(sizes)


@pytest.mark.parametrize("bits", [8, 16])
@given(data=st.data(), first=st.integers(0, 20))
def test_segmented_palettes_are_expanded_as_pydicom_has_it(bits, data, first):
    words, entries = data.draw(segments(bits))
    dataset = with_palette([words] * 3, entries, bits, first)
    stored = np.arange(0, entries + 30, dtype=np.uint16)[None]
    # pydicom keeps indices in the type of the palette: entries beyond 255 would wrap, and there are none.
    expected = apply_color_lut(stored, dataset)
    ours = colours(stored, dataset)
    assert ours.dtype == np.uint8
    assert ours.shape == (1, entries + 30, 3)
    expected = expected >> 8 if bits == 16 else expected
    assert np.abs(ours.astype(int) - expected).max() <= 1  # where a half is rounded


def test_the_three_kinds_of_segments_by_hand():
    words = np.array([0, 2, 0, 1000, 1, 4, 3000, 2, 2, 0, 0, 0, 1, 9], "<u2")
    line = [1500, 2000, 2500, 3000]
    again = [0, 1000, 1500, 2000, 2500, 3000]
    assert expanded(words, 13).tolist() == [0, 1000, *line, *again, 9]
    # A copied line begins at the value before the copy, here 9; the offset counts bytes.
    words = np.array([0, 1, 0, 1, 2, 10, 0, 1, 20, 2, 1, 6, 0], "<u2")
    assert expanded(words, 6).tolist() == [0, 5, 10, 20, 15, 10]
    words = np.array([0, 1, 0, 1, 2, 10, 0, 1, 20, 2, 1, 3, 0, 0, 0], "u1")
    assert expanded(words, 6).tolist() == [0, 5, 10, 20, 15, 10]


def test_each_colour_has_its_own_table_and_sixteen_bits_become_eight():
    dataset = with_palette([[0, 2, 256, 512], [0, 1, 0, 1, 1, 65535], [0, 2, 65535, 0]], 2, 16, first=5)
    stored = np.array([[0, 5, 6, 900]], np.uint16)
    assert colours(stored, dataset).tolist() == [[[1, 0, 255], [1, 0, 255], [2, 255, 0], [2, 255, 0]]]
    plain = with_palette([[256, 512], [0, 65535], [65535, 0]], 2, 16, first=5, segmented=False)
    assert np.array_equal(colours(stored, plain), colours(stored, dataset))


def test_plain_palettes_agree_with_pydicom():
    tables = np.random.default_rng(3).integers(0, 65536, (3, 300))
    stored = np.arange(320, dtype=np.uint16)[None]
    dataset = with_palette(tables, 300, 16, first=7, segmented=False)
    assert np.array_equal(colours(stored, dataset), apply_color_lut(stored, dataset) >> 8)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [1, 3, 9],  # a line from nowhere
        [2, 1, 0, 0],  # a copy of itself
        [0, 1, 5, 2, 1, 6, 0],
        [0, 0, 5, 5],  # empty
        [0, 9, 1, 2],  # cut short
        [0, 1, 5, 1, 3],
        [0, 1, 5, 2, 1],
        [0, 1, 5, 2, 0, 0, 0],
        [0, 1, 5, 2, 1, 60000, 9],  # beyond the end
        [0, 1, 5, 7, 1, 1],  # unknown
        [0, 2, 5, 5],  # fewer than the descriptor says
    ],
)
def test_segments_that_make_no_table_are_refused(words):
    with pytest.raises(ScanRefused) as caught:
        colours(np.zeros((2, 2), np.uint16), with_palette([words] * 3, 9, 16))
    assert caught.value.code == "damaged"


def test_a_small_file_cannot_ask_for_a_large_table():
    words = np.array([0, 1, 1, *[2, 65535, 0, 0] * 1000], "<u2")
    assert expanded(words, 1).tolist() == [1]
    table = expanded(np.array([0, 1, 1, 1, 65535, 7, *[1, 65535, 9] * 5000], "<u2"), 65536)
    assert len(table) == 65536


@given(st.lists(st.integers(0, 4), max_size=40), st.booleans())
def test_no_segments_break_the_reader(words, wide):
    with contextlib.suppress(ScanRefused):  # any other error fails the test
        assert len(expanded(np.array(words, "<u2" if wide else "u1"), 50)) <= 50
