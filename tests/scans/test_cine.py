"""Files whose frames follow each other in time are read as sequences, with the times that their headers give."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from medcls.errors import ScanRefused
from medcls.scans import find_scans, inspect_scans, read_scan
from medcls.scans.core.sequence import spread
from medcls.scans.search import index
from tests.factories.dicom import CT, SC, instance, save

STORAGE = "1.2.840.10008.5.1.4.1.1."
US, XA, XRF, VIDEO = STORAGE + "3.1", STORAGE + "12.1", STORAGE + "12.2", STORAGE + "77.1.1.1"
ENHANCED_XA, NM = STORAGE + "12.1.1", STORAGE + "20"
JPEG, RLE, IMPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
UNCOUNTED = "incomplete: frames of pixels that the header does not count were not read: 2"
NOWHERE = {"ImagePositionPatient": None, "ImageOrientationPatient": None}


def pictures(count=12, shape=(10, 14), dtype=np.uint8):
    return np.random.default_rng(count).integers(0, 250, (count, *shape)).astype(dtype)


def cine(frames, **changes):
    """A multi-frame file of ``(t, rows, columns[, 3])``; ultrasound of 25 frames in a second unless given."""
    told = {"SOPClassUID": US, "Modality": "US", "FrameTime": 40, **NOWHERE, **changes}
    return instance(frames[0], **{"NumberOfFrames": len(frames), "PixelData": frames.tobytes(), **told})


def refusal_of(path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path)
    return caught.value


@pytest.mark.parametrize("shape", [(10, 14), (10, 14, 3)])
def test_frames_of_an_ultrasound_are_a_sequence_with_times(tmp_path, shape):
    frames = pictures(12, shape)
    scan = read_scan(save(cine(frames), tmp_path / "x"))
    assert scan.shape == (14, 10, 12)
    assert (scan.dimensions, scan.spacing, scan.has_geometry) == (2, (0.5, 0.5), False)
    assert np.array_equal(scan.array.T, frames.reshape(*frames.shape[:3], -1))
    assert scan.times == pytest.approx(np.arange(12) * 0.04)
    assert not any(note.startswith("frame-times") for note in scan.notes)


@pytest.mark.parametrize(
    ("sop_class", "modality"), [(US, "US"), (STORAGE + "3", "US"), (XA, "XA"), (XRF, "RF"), (VIDEO, "ES")]
)
def test_classes_of_cine_are_sequences_without_a_word_on_time(tmp_path, sop_class, modality):
    made = cine(pictures(5), SOPClassUID=sop_class, Modality=modality)
    del made.FrameTime
    scan = read_scan(save(made, tmp_path / "x"))
    assert scan.times == (0, 1, 2, 3, 4)
    assert "frame-times: the header gives no times of frames: one second between frames was taken" in scan.notes


@pytest.mark.parametrize(
    ("told", "times", "doubt"),
    [
        ({"FrameTime": 500}, [0, 0.5, 1.0, 1.5], ""),
        ({"FrameTimeVector": [0, 100, 300, 50], "FrameTime": 500}, [0, 0.1, 0.4, 0.45], ""),
        ({"FrameTimeVector": [0, 100, 300], "FrameTime": 500}, [0, 0.5, 1.0, 1.5], ""),  # one is missing
        ({"FrameTimeVector": [0, 100, -300, 50], "CineRate": 20}, [0, 0.05, 0.1, 0.15], "display rate"),
        ({"CineRate": 20, "RecommendedDisplayFrameRate": 10}, [0, 0.05, 0.1, 0.15], "display rate"),
        ({"RecommendedDisplayFrameRate": 10, "FrameTime": 0}, [0, 0.1, 0.2, 0.3], "display rate"),
        ({"FrameTimeVector": [0, 0, 0, 0]}, [0, 1, 2, 3], "one second"),
    ],
)
def test_times_are_those_of_the_cine_module(tmp_path, told, times, doubt):
    scan = read_scan(save(cine(pictures(4), **{"FrameTime": "", **told}), tmp_path / "x"))
    assert scan.times == pytest.approx(times)
    assert any(note.startswith("frame-times") and doubt in note for note in scan.notes) == bool(doubt)


def test_any_class_is_a_sequence_where_the_header_says_so(tmp_path):
    for number, told in enumerate(({"FrameIncrementPointer": Tag(0x00181063)}, {"CineRate": 30})):
        made = cine(pictures(3), SOPClassUID=SC + ".2", Modality="OT", **told)
        assert len(read_scan(save(made, tmp_path / str(number))).times) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"SOPClassUID": CT, "Modality": "CT"},
        {"SOPClassUID": STORAGE + "4", "Modality": "MR"},
        {"SOPClassUID": SC + ".2", "Modality": "OT", "FrameTime": ""},
        {"SOPClassUID": SC + ".2", "Modality": "OT", "FrameIncrementPointer": Tag(0x00182001)},  # pages
        {"SOPClassUID": NM, "Modality": "NM", "ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]},
    ],
)
def test_frames_that_nothing_orders_in_time_are_refused(tmp_path, changes):
    error = refusal_of(save(cine(pictures(3), **changes), tmp_path / "x"))
    assert (error.code, error.what.split(",")[0]) == ("no-geometry", "3 frames")


def test_one_frame_is_a_picture(tmp_path):
    assert read_scan(save(cine(pictures(1)), tmp_path / "x")).times == ()


@pytest.mark.parametrize("syntax", [JPEG, RLE, IMPLICIT])
def test_colours_of_a_frame_are_those_of_a_single_picture(tmp_path, syntax):
    frames = np.repeat(np.repeat(pictures(4, (4, 4, 3)), 4, axis=1), 4, axis=2)
    codes = []
    if syntax == JPEG:
        codes = [imagecodecs.jpeg8_encode(frame, level=90, colorspace="rgb", subsampling="422") for frame in frames]
    changes = {"PhotometricInterpretation": "YBR_FULL_422" if syntax == JPEG else "RGB"}
    several, singles = cine(frames, **changes), [cine(frame[None], **changes) for frame in frames]
    if syntax == RLE:
        for one in (several, *singles):
            one.file_meta = pydicom.dataset.FileMetaDataset()
            one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
            one.compress(RLE)
            one.save_as(tmp_path / f"{one.NumberOfFrames}-{one.SOPInstanceUID}", enforce_file_format=True)
        whole = read_scan(next(tmp_path.glob("4-*")))
        alone = [read_scan(tmp_path / f"1-{one.SOPInstanceUID}") for one in singles]
    else:
        whole = read_scan(save(several, tmp_path / "x", syntax, codes))
        alone = [read_scan(save(one, tmp_path / f"{n}", syntax, codes[n : n + 1])) for n, one in enumerate(singles)]
    assert whole.photometric == "rgb"
    for number, one in enumerate(alone):
        assert np.array_equal(whole.array[..., number], one.array)
        assert np.abs(one.array.T.astype(int) - frames[number]).mean() < 12


def test_the_frames_of_a_real_ultrasound_are_those_that_pydicom_reads():
    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    scan = read_scan(path)
    assert scan.array.shape == (3, 320, 240, 30)
    assert scan.times == pytest.approx(np.arange(30) * 0.033333)
    expected = pydicom.pixels.pixel_array(path, index=17)
    assert np.abs(scan.array[..., 17].T.astype(int) - expected).max() <= 3


def test_chosen_frames_are_the_frames_of_the_whole(tmp_path):
    frames = pictures(30, dtype=np.uint16)
    made = cine(frames, SOPClassUID=XA, Modality="XA", PhotometricInterpretation="MONOCHROME1")
    (source,) = find_scans(save(made, tmp_path / "x")).scans
    few = read_scan(source.thinned(5))
    assert few.times == pytest.approx([0.12, 0.36, 0.56, 0.8, 1.04], abs=0.041)
    whole = read_scan(source)
    assert np.array_equal(few.array, whole.thinned(5).array)
    assert few.times == whole.thinned(5).times
    assert few.thinned(5).array is few.array
    assert source.thinned(30) is source


def test_a_sequence_beyond_memory_is_read_by_frames(tmp_path):
    frame = pictures(1, (768, 1024, 3))[0]
    path = save(cine(frame[None], NumberOfFrames=1000), tmp_path / "x", "1.2.840.10008.1.2.1")
    with path.open("r+b") as handle:
        data = handle.read()
        start = data.index(b"\xe0\x7f\x10\x00OB\0\0") + 12
        handle.seek(start - 4)
        handle.write((1000 * frame.nbytes).to_bytes(4, "little"))
        handle.truncate(start + 1000 * frame.nbytes)  # sparse: frames of zeros that take no room
        handle.seek(start + 624 * frame.nbytes)
        handle.write(frame.tobytes())
    (source,) = find_scans(path).scans
    assert source.shape == (1024, 768, 1000)
    few = source.thinned(4)
    assert few.frames == ((125, 375, 624, 874),)
    array = read_scan(few).array
    assert np.array_equal(array[..., 2].T, frame)
    assert not array[..., [0, 1, 3]].any()
    with pytest.raises(ScanRefused) as caught:
        read_scan(source)
    assert caught.value.code == "too-large"


def test_more_frames_than_any_file_has_are_refused(tmp_path):
    made = cine(pictures(1, (1, 1)), NumberOfFrames=2_000_000_000)
    assert refusal_of(save(made, tmp_path / "x")).code == "too-large"


def test_a_sequence_that_is_cut_short_is_refused(tmp_path):
    path = save(cine(pictures(9)), tmp_path / "x")
    path.write_bytes(path.read_bytes()[:-200])
    lost = save(cine(pictures(9)), tmp_path / "y", JPEG, [imagecodecs.jpeg8_encode(pictures(1)[0])] * 8)
    cut = save(cine(pictures(9)), tmp_path / "z", JPEG, [imagecodecs.jpeg8_encode(pictures(1)[0])] * 9)
    cut.write_bytes(cut.read_bytes()[:-100])
    said = "1060 of 1260 bytes of pixels are there, 7 of 9 frames"
    for file, what in ((path, said), (lost, "8 of 9 frames are there"), (cut, "a compressed frame is cut short")):
        (source,) = find_scans(file).scans
        for part in (source, source.thinned(2)):  # of which none is lost
            with pytest.raises(ScanRefused) as caught:
                read_scan(part)
            assert (caught.value.code, caught.value.what) == ("damaged", what)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_frames_that_the_header_does_not_count_are_noted(tmp_path, bits):
    frames = pictures(5, dtype=np.uint16 if bits == 16 else np.uint8)
    data = np.packbits(frames & 1, bitorder="little").tobytes() if bits == 1 else frames.tobytes()
    told = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    for count, rest in ((3, b""), (5, b"\0" * (bits + 1))):  # a rest is no frame
        scan = read_scan(save(cine(frames, NumberOfFrames=count, PixelData=data + rest, **told), tmp_path / "x"))
        assert np.array_equal(scan.array[0].T, frames[:count] & 1 if bits == 1 else frames[:count])
        said = [note for note in scan.notes if note.startswith("incomplete: ")]
        assert said == ([UNCOUNTED] if count == 3 else [])


@pytest.mark.parametrize("syntax", [JPEG, RLE, JPEG_2000])
def test_compressed_frames_that_the_header_does_not_count_are_noted(tmp_path, syntax):
    frames, codes = pictures(5), []
    if syntax == JPEG:
        codes = [imagecodecs.jpeg8_encode(frame) for frame in frames]
    elif syntax == JPEG_2000:
        codes = [imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0) for frame in frames]
    else:
        packed = [imagecodecs.packbits_encode(frame.tobytes()) for frame in frames]
        codes = [np.array([1, 64, *[0] * 14], "<u4").tobytes() + one for one in packed]
    cases = [(3, encapsulate(codes)), (5, encapsulate(codes))]
    if syntax != RLE:  # which is refused where fragments and table are at odds
        rest = b"\xfe\xff\x00\xe0" + (2).to_bytes(4, "little") + bytes(2)
        in_table = encapsulate(codes[:3]) + encapsulate(codes[3:], has_bot=False)[8:]
        cases += [
            (3, in_table),
            (3, encapsulate(codes, has_bot=False)),
            (5, encapsulate(codes) + rest),
            (5, encapsulate(codes, 2)),
        ]
    for count, data in cases:
        made = cine(frames, NumberOfFrames=count, PixelData=data)
        made["PixelData"].is_undefined_length = True
        (source,) = find_scans(save(made, tmp_path / "x", syntax)).scans
        assert read_scan(source).shape == (14, 10, count)
        for part in (source, source.thinned(2)):
            said = [note for note in read_scan(part).notes if note.startswith("incomplete: ")]
            assert said == ([UNCOUNTED] if count == 3 else [])


def test_enhanced_angiography_has_the_times_of_its_frames(tmp_path):
    made = cine(pictures(3), SOPClassUID=ENHANCED_XA, Modality="XA")
    groups = []
    for second in ("01.5", "01.75", "03"):
        content, group = Dataset(), Dataset()
        content.FrameAcquisitionDateTime = f"202301312359{second}+0100"
        group.FrameContentSequence = Items([content])
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = Items(groups)
    assert read_scan(save(made, tmp_path / "x")).times == pytest.approx([0, 0.25, 1.5])
    del groups[1].FrameContentSequence
    assert read_scan(save(made, tmp_path / "x")).times == pytest.approx([0, 0.04, 0.08])


def dynamic(frames, detectors, phases, **changes):
    items = []
    for count, duration, delay in phases:
        item = Dataset()
        item.NumberOfFramesInPhase, item.ActualFrameDuration = count, duration
        item.PhaseDelay, item.PauseBetweenFrames = delay, 0
        items.append(item)
    of_phase = [number for number, (count, _, _) in enumerate(phases, start=1) for _ in range(count)]
    told = {
        **{"SOPClassUID": NM, "Modality": "NM", "ImageType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"]},
        "PhaseInformationSequence": Items(items),
        "PhaseVector": of_phase * detectors,
        "DetectorVector": [n for n in range(1, detectors + 1) for _ in of_phase],
        "FrameIncrementPointer": [Tag(0x00540020), Tag(0x00540030), Tag(0x00540100)],
    }
    return cine(frames, **{**told, "FrameTime": "", **changes})


def test_a_dynamic_study_has_a_sequence_of_each_detector_with_the_times_of_its_phases(tmp_path):
    frames = pictures(10, dtype=np.uint16)
    save(dynamic(frames, 2, [(3, 1000, 0), (2, 5000, 500)]), tmp_path / "x")
    found = find_scans(tmp_path)
    assert [source.name for source in found.scans] == ["x#detector-1", "x#detector-2"]
    for number, source in enumerate(found.scans):
        scan = read_scan(source)
        assert scan.times == pytest.approx([0, 1, 2, 3.5, 8.5])
        assert np.array_equal(scan.array[0].T, frames[5 * number : 5 * number + 5])
        assert read_scan(source.thinned(2)).shape == (14, 10, 2)
    one = read_scan(save(dynamic(frames[:5], 1, [(3, 1000, 0), (2, 5000, 500)]), tmp_path / "one"))
    assert (one.shape, one.times[-1]) == ((14, 10, 5), 8.5)


def test_an_inspection_tells_frames_and_seconds(tmp_path):
    save(cine(pictures(40)), tmp_path / "x")
    read: list[tuple[int, ...]] = []
    seen = inspect_scans(tmp_path, read_pixels=True, on_scan=lambda _, scan: read.append(scan.shape))
    (row,) = seen.rows
    assert (row.frames, row.slices, row.verdict) == (40, 1, "ok")
    assert row.seconds == pytest.approx(1.56)
    assert read == [(14, 10, 16)]


def test_an_index_gives_a_sequence_back(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_WORTH_KEEPING", 1)
    monkeypatch.setattr(index, "_FINE_CLOCK", 0)
    monkeypatch.setattr(index, "_COARSE_CLOCK", 0)
    folder = tmp_path / "scans"
    save(cine(pictures(6)), folder / "x")
    first = find_scans(folder)
    monkeypatch.setattr("medcls.scans.search.find.probe_many", lambda files: pytest.fail("looked again"))
    again = find_scans(folder)
    assert again.scans[0].times == first.scans[0].times
    assert again.scans[0].thinned(2).frames == first.scans[0].thinned(2).frames


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_frames_are_spread_evenly_in_time(moments, most):
    times = sorted(moments)
    chosen = spread(times, most)
    assert list(chosen) == sorted(set(chosen))
    assert 0 < len(chosen) <= most
    kept = [times[number] for number in chosen]
    assert spread(kept, most) == tuple(range(len(kept)))
    if len(times) > most:
        for part in range(most):
            middle = times[0] + (part + 0.5) / most * (times[-1] - times[0])
            assert min(abs(t - middle) for t in kept) == pytest.approx(min(abs(t - middle) for t in times))


def test_even_times_give_even_frames():
    assert spread([0.0], 4) == (0,)
    assert spread(list(range(9)), 1) == (4,)
    assert spread(list(range(101)), 5) == (10, 30, 50, 70, 90)
    assert len(spread([number / 25 for number in range(2000)], 16)) == 16
