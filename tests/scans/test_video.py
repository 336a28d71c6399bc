"""Videos are sequences: files of their own, and bit streams within DICOM."""

from __future__ import annotations

import importlib.util
import zipfile

import numpy as np
import pytest

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import build_recipe
from medcls.preprocessing.store.ingest import ingest
from medcls.scans import find_scans, read_scan
from medcls.scans.probe.probe import probe
from tests.factories.dicom import instance, save
from tests.factories.video import HEVC, h264, write_video

VIDEO, JPEG = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4."
MPEG2, H264 = JPEG + "100", JPEG + "102"
WHITE, GREY, RED = np.s_[:, 4:28, 4:20], np.s_[:, 36:60, 4:20], np.s_[:, 36:60, 28:44]

needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="the extra 'video' is not installed")


def film(count=20, rows=48, columns=64):
    """Red rises from frame to frame, green is on the left, blue at the bottom."""
    frames = np.zeros((count, rows, columns, 3), np.uint8)
    frames[..., 0] = (np.arange(count) * 200 // count)[:, None, None]
    frames[:, :, : columns // 2, 1] = 180
    frames[:, rows // 2 :, :, 2] = 220
    return frames


def endoscopy(frames, count=None, **changes):
    """A file whose header tells of ``frames``; pixels are to follow."""
    told = {"SOPClassUID": VIDEO, "Modality": "ES", "PhotometricInterpretation": "YBR_PARTIAL_420", "CineRate": 25}
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    return instance(frames[0], **{"NumberOfFrames": count or len(frames), **told, **nowhere, **changes})


def refusal_of(path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path)
    return caught.value


@needs_opencv
@pytest.mark.parametrize(
    ("name", "codec", "error"),
    [
        ("x.avi", "MJPG", 12),
        ("x.avi", "XVID", 12),
        ("x.mp4", "mp4v", 12),
        ("x.mov", "png ", 0),
        ("x.mkv", "FFV1", 2),
        ("x.webm", "VP80", 14),
        ("x.webm", "VP90", 14),
        ("x.mpg", "mpg2", 12),
    ],
)
def test_a_video_is_a_sequence_in_its_colours_and_times(tmp_path, name, codec, error):
    frames = film()
    write_video(tmp_path / name, frames, codec)
    (tmp_path / name).rename(tmp_path / "told_by_content")
    (source,) = find_scans(tmp_path).scans
    assert (source.kind, source.shape, source.channels) == ("video", (64, 48, 20), 3)
    scan = read_scan(source)
    assert scan.times == pytest.approx(np.arange(20) * 0.05)
    assert (scan.photometric, scan.has_geometry, scan.dimensions) == ("rgb", False, 2)
    assert np.abs(scan.array.T.astype(int) - frames).mean() <= error
    for corner in (np.s_[5:15, 5:20], np.s_[30:40, 45:60]):  # away from the edges, which codecs blur
        got, drawn = scan.array.T[10][corner].mean(axis=(0, 1)), frames[10][corner].mean(axis=(0, 1))
        assert np.abs(got - drawn).max() <= error + 8
    few = read_scan(source.thinned(4))
    assert np.array_equal(few.array, scan.thinned(4).array)


@needs_opencv
def test_a_video_that_lies_on_its_side_is_turned_upright(tmp_path):
    path = write_video(tmp_path / "x.mov", film(5), "png ")
    upright = read_scan(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    turn = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)  # a quarter clockwise (ISO/IEC 14496-12, 8.3.2)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in turn)
    path.write_bytes(data)
    turned = read_scan(path)
    assert turned.shape == (48, 64, 5)
    assert np.array_equal(turned.array.T, np.rot90(upright.array.T, -1, axes=(1, 2)))
    assert "turned: turned upright as the video says" in turned.notes


@needs_opencv
def test_a_video_in_an_archive_is_read_in_place(tmp_path):
    path = write_video(tmp_path / "a" / "x.avi", film(6), "MJPG")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(path, "inner/x.avi")
    assert np.array_equal(read_scan(tmp_path / "b.zip").array, read_scan(path).array)


@needs_opencv
def test_a_video_that_is_cut_short_is_refused_or_says_so(tmp_path):
    for name, codec in (("x.mp4", "mp4v"), ("y.avi", "MJPG")):
        path = write_video(tmp_path / name, film(), codec)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal_of(tmp_path / "x.mp4").code == "damaged"
    scan = read_scan(tmp_path / "y.avi")
    assert 0 < len(scan.times) < 19
    assert f"incomplete: the header says 20 frames, and there are {len(scan.times)}" in scan.notes


@needs_opencv
def test_mpeg2_in_dicom_has_the_times_of_the_header(tmp_path):
    frames = film(12)
    stream = write_video(tmp_path / "x.mpg", frames, "mpg2").read_bytes()
    (tmp_path / "x.mpg").unlink()
    pieces = [stream[:1000], stream[1000:2000], stream[2000:]]
    for syntax, parts in ((MPEG2, [stream]), (MPEG2 + ".1", pieces)):
        scan = read_scan(save(endoscopy(frames), tmp_path / "x", syntax, parts))
        assert (scan.modality, scan.kind, scan.shape) == ("ES", "dicom", (64, 48, 12))
        assert scan.times == pytest.approx(np.arange(12) / 25)
        assert np.abs(scan.array.T.astype(int) - frames).mean() <= 12
    (source,) = find_scans(tmp_path / "x").scans
    assert np.array_equal(read_scan(source.thinned(3)).array, scan.thinned(3).array)
    recipe = build_recipe("stomach", PreprocessingSettings(size=[32, 32], frames=3))
    assert len(ingest(source, recipe).encoded.decoded().images) == 3


@needs_opencv
def test_another_number_of_frames_than_the_header_says_is_noted(tmp_path):
    frames = film(9, 32, 48)
    stream = h264([frame[..., 0] + 40 for frame in frames])
    assert not any(note.startswith("frame-times: the header says") for note in _notes(tmp_path, frames, stream, 9))
    assert any("the header says 7 frames, and the video has 9" in note for note in _notes(tmp_path, frames, stream, 7))
    path = save(endoscopy(frames, 11), tmp_path / "x", H264, [stream])
    assert "11 is asked for, and the video has 9" in refusal_of(path).what
    (source,) = find_scans(path).scans
    assert any("the header says 11 frames, and the video has 9" in note for note in read_scan(source.thinned(2)).notes)
    assert "one picture" in refusal_of(save(endoscopy(frames, 1), tmp_path / "x", H264, [stream])).what


def _notes(folder, frames, stream, count):
    return read_scan(save(endoscopy(frames, count), folder / "x", H264, [stream])).notes


@needs_opencv
def test_h264_in_dicom_gives_its_greys(tmp_path):
    """Uncompressed blocks, so that luma is known: full scale is 16 to 235 (ITU-R BT.601)."""
    luma = [np.full((32, 48), 16 + 20 * number, np.uint8) for number in range(11)]
    scan = read_scan(save(endoscopy(film(11, 32, 48)), tmp_path / "x", H264, [h264(luma)]))
    expected = np.arange(11) * 20 * 255 / 219
    assert np.abs(scan.array.mean(axis=(0, 1, 2)) - expected).max() <= 2


@needs_opencv
@pytest.mark.parametrize(("end", "deep"), [("107", {}), ("108", {"BitsAllocated": 16, "BitsStored": 10, "HighBit": 9})])
def test_hevc_in_dicom_gives_its_colours(tmp_path, end, deep):
    scan = read_scan(save(endoscopy(film(5, 48, 64), **deep), tmp_path / "x", JPEG + end, [HEVC[end]]))
    assert (scan.shape, scan.array.dtype, scan.times[1]) == ((64, 48, 5), np.uint8, pytest.approx(0.04))
    left, grey, red = (scan.array[place].mean(axis=(1, 2)) for place in (WHITE, GREY, RED))
    expected = np.arange(5) * 40 * 255 / 219
    assert np.abs(left - 255).max() <= 3
    assert np.abs(grey - expected).max() <= 3
    assert np.abs(red[:2, 1:4] - expected[1:4] - [[51], [-26]]).max() <= 3  # ITU-R BT.601; others leave the range


@needs_opencv
@pytest.mark.parametrize(
    "stream", [b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"ffconcat version 1.0\nfile /etc/hostname\n"]
)
def test_a_playlist_within_dicom_is_never_followed(tmp_path, stream):
    error = refusal_of(save(endoscopy(film(3)), tmp_path / "x", H264, [stream.ljust(1024, b"\n")]))
    assert (error.code, error.what) == ("unsupported", "the video is in no container that is known")


@needs_opencv
def test_a_video_of_another_size_than_its_header_is_refused(tmp_path):
    path = save(endoscopy(film(3)), tmp_path / "x", H264, [h264([np.zeros((32, 48), np.uint8)] * 3)])
    assert "the video is 48x32, and the header says 64x48" in refusal_of(path).what


@needs_opencv
def test_noise_behind_the_beginning_of_a_video_is_refused(tmp_path):
    for head in (b"\0\0\0\x18ftypisom", b"RIFF\0\0\1\0AVI LIST", b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"):
        (tmp_path / "x").write_bytes(head + np.random.default_rng(0).bytes(5000))
        assert refusal_of(tmp_path / "x").code in ("damaged", "unsupported")


def test_without_opencv_a_video_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"\0\0\0\x18ftypisom" + bytes(1000))
    save(endoscopy(film(3)), tmp_path / "y", H264, [bytes(64)])
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else find_spec(name))
    refused = probe(str(tmp_path / "x")).refused
    assert refused is not None
    assert refused.code == "unsupported"
    assert "pip install 'medcls[video]'" in refused.remedy
    from medcls.scans.core.transfer_syntaxes import can_decode, not_decoded

    assert not can_decode(H264)
    assert "a video, compressed as MPEG-4 AVC/H.264" in not_decoded(H264).what
    assert "pip install 'medcls[video]'" in not_decoded(H264).remedy
