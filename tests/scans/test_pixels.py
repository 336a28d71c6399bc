"""Stored bits become values: sign, mask, rescale, padding, photometric interpretation, and every compression."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.pixels import pixel_array

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.dicom.frames.headers import read_whole
from tests.factories.dicom import DX, SC, instance, save, slices

JPEG = "1.2.840.10008.1.2.4."
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def values(scan):
    return scan.array[0].T


@given(
    allocated=st.sampled_from([8, 16, 32]),
    missing=st.integers(0, 7),
    low=st.integers(0, 4),
    signed=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_any_bits_are_taken_out_of_their_words(tmp_path_factory, allocated, missing, low, signed, seed):
    stored = allocated - missing
    low = min(low, missing)
    first, last = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    random = np.random.default_rng(seed)
    expected = random.integers(first, last, size=(3, 4), endpoint=True)
    words = (expected & ((1 << stored) - 1)) << low
    junk = random.integers(0, 1 << allocated, size=(3, 4)) & ~(((1 << stored) - 1) << low)
    pixels = (words | junk).astype(f"<u{allocated // 8}")  # overlays in the unused bits
    dataset = instance(pixels, BitsStored=stored, HighBit=low + stored - 1, PixelRepresentation=int(signed))
    scan = read_scan(save(dataset, tmp_path_factory.mktemp("bits") / "x"))
    assert np.array_equal(values(scan).astype(np.int64), expected)


def test_rescale_is_applied_slice_by_slice(tmp_path):
    made = slices([0.0, 1.0, 2.0])
    for number, dataset in enumerate(made):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 * (number + 1), number
        save(dataset, tmp_path / f"x{number}")
    scan = read_scan(tmp_path)
    assert scan.array.dtype == np.float32
    assert scan.array[0, 1, 1].tolist() == [0.0, 11.0, 32.0]


def test_hounsfield_integers_stay_integers_and_do_not_wrap(tmp_path):
    pixels = np.array([[0, 65535]], dtype=np.uint16)
    scan = read_scan(save(instance(pixels, RescaleSlope=1, RescaleIntercept=-1024), tmp_path / "x"))
    assert np.issubdtype(scan.array.dtype, np.integer)
    assert values(scan).tolist() == [[-1024, 64511]]


@pytest.mark.parametrize(
    ("dtype", "intercept"), [("u2", -32768), ("i2", 32768), ("u1", -128), ("i2", -1024), ("u2", 5)]
)
def test_no_integer_rescale_wraps(tmp_path, dtype, intercept):
    limits = np.iinfo(dtype)
    pixels = np.array([[limits.min, limits.max, 0, 1]], dtype=dtype)
    scan = read_scan(save(instance(pixels, RescaleSlope=1, RescaleIntercept=intercept), tmp_path / "x"))
    assert values(scan).astype(int).tolist() == (pixels.astype(int) + intercept).tolist()


def test_monochrome1_is_inverted_in_radiographs_only(tmp_path):
    pixels = np.array([[10, 20], [30, 110]], dtype=np.uint16)
    changes = {"SOPClassUID": DX, "Modality": "DX", "PhotometricInterpretation": "MONOCHROME1"}
    scan = read_scan(save(instance(pixels, **changes), tmp_path / "dx"))
    assert values(scan).tolist() == [[110, 100], [90, 10]]
    assert any("MONOCHROME1" in note for note in scan.notes)
    ct = read_scan(save(instance(pixels, PhotometricInterpretation="MONOCHROME1"), tmp_path / "ct"))
    assert values(ct).tolist() == pixels.tolist()


def test_padding_becomes_air_in_ct_and_background_in_radiographs(tmp_path):
    pixels = np.array([[-2000, 0], [30, 110]], dtype=np.int16)
    ct = read_scan(save(instance(pixels, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=0), tmp_path / "ct"))
    assert values(ct).tolist() == [[-1024, 0], [30, 110]]
    assert ct.notes == ("padding: 1 padded voxels were set to -1024",)
    wrong_sign = instance(pixels)
    wrong_sign.add_new(0x00280120, "US", 65536 - 2000)
    assert values(read_scan(save(wrong_sign, tmp_path / "us")))[0, 0] == -1024
    pixels = np.array([[4095, 4095], [30, 110]], dtype=np.uint16)
    changes = {
        "SOPClassUID": DX,
        "Modality": "MG",
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelPaddingValue": 4095,
    }
    assert values(read_scan(save(instance(pixels, **changes), tmp_path / "mg"))).tolist() == [[30, 30], [110, 30]]


def test_an_area_of_padding_range_is_found(tmp_path):
    pixels = np.array([[-2000, -1990], [-1900, 110]], dtype=np.int16)
    dataset = instance(pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1950)
    assert values(read_scan(save(dataset, tmp_path / "ct"))).tolist() == [[-1024, -1024], [-1900, 110]]


RAMP = np.add.outer(np.arange(16) * 7, np.arange(24) * 3).astype(np.uint16)
COLOUR = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 90)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEG + "70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16)),
        (JPEG + "80", lambda a: imagecodecs.jpegls_encode(a)),
        (JPEG + "90", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True)),
        (JPEG + "201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
        ("1.2.840.10008.1.2.5", lambda a: None),
    ],
    ids=["lossless-jpeg", "jpeg-ls", "jpeg-2000", "htj2k", "rle"],
)
def test_lossless_compressions_give_back_every_value(tmp_path, syntax, encode, signed):
    expected = RAMP.astype(np.int16) - 60 if signed else RAMP
    dataset = instance(expected)
    code = encode(np.ascontiguousarray(expected.view(np.uint16)))
    if code is None:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.compress(syntax, generate_instance_uid=False)
        path = save(dataset, tmp_path / "x", syntax)
    else:
        path = save(dataset, tmp_path / "x", syntax, [code])
    assert np.array_equal(values(read_scan(path)), expected)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "RGB"])
def test_baseline_jpeg_colour_comes_out_as_rgb(tmp_path, photometric):
    space = "YCBCR" if photometric.startswith("YBR") else "RGB"
    code = imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace=space)
    dataset = instance(COLOUR, SOPClassUID=SC, Modality="ES", PhotometricInterpretation=photometric)
    scan = read_scan(save(dataset, tmp_path / "x", JPEG + "50", [code]))
    assert scan.photometric == "rgb"
    assert scan.array.shape == (3, 24, 16)
    assert np.abs(scan.array.transpose(2, 1, 0).astype(int) - COLOUR).max() <= 12


def without_segment(code: bytes, marker: bytes) -> bytes:
    start = code.index(marker)
    return code[:start] + code[start + 2 + int.from_bytes(code[start + 2 : start + 4], "big") :]


def named(code: bytes, names: bytes) -> bytes:
    """A JPEG whose components have these identifiers, in frame and scan header."""
    frame, scan = code.index(b"\xff\xc0") + 10, code.index(b"\xff\xda") + 5
    changed = bytearray(code)
    for number, name in enumerate(names):
        changed[frame + 3 * number] = changed[scan + 2 * number] = name
    return bytes(changed)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize(
    ("space", "marker", "names"),
    [
        ("YCBCR", b"\xff\xe0", b"\1\2\3"),  # by the names that JFIF gives
        ("RGB", b"\xff\xee", b"RGB"),
        ("YCBCR", None, b"\1\2\3"),  # JFIF marker
        ("RGB", None, b"\1\2\3"),  # Adobe marker: not turned
    ],
)
def test_the_colours_of_a_jpeg_are_told_by_its_codestream_whatever_the_header_calls_them(
    tmp_path, space, marker, names, photometric
):
    code = imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace=space)
    code = named(code if marker is None else without_segment(code, marker), names)
    dataset = instance(COLOUR, SOPClassUID=SC, Modality="ES", PhotometricInterpretation=photometric)
    scan = read_scan(save(dataset, tmp_path / "x", JPEG + "50", [code]))
    assert np.abs(scan.array.transpose(2, 1, 0).astype(int) - COLOUR).max() <= 12


@pytest.mark.parametrize(("syntax", "level"), [("90", 0), ("91", 80)])
def test_jpeg_2000_that_turns_colours_itself_is_not_turned_again(tmp_path, syntax, level):
    code = imagecodecs.jpeg2k_encode(COLOUR, level=level, codecformat="j2k", mct=True, reversible=not level)
    for photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        dataset = instance(COLOUR, SOPClassUID=SC, Modality="ES", PhotometricInterpretation=photometric)
        scan = read_scan(save(dataset, tmp_path / "x", JPEG + syntax, [code]))
        assert np.abs(scan.array.transpose(2, 1, 0).astype(int) - COLOUR).max() <= (2 if level else 0)
    dataset.PhotometricInterpretation = "YBR_FULL"
    with pytest.raises(ScanRefused, match="says that it holds RGB, and the header YBR_FULL"):
        read_scan(save(dataset, tmp_path / "x", JPEG + syntax, [code]))
    plain = imagecodecs.jpeg2k_encode(np.full((4, 4, 3), [76, 85, 255], np.uint8), codecformat="j2k", mct=False)
    dataset.Rows = dataset.Columns = 4
    scan = read_scan(save(dataset, tmp_path / "x", JPEG + "90", [plain]))
    assert np.abs(scan.array[:, 0, 0].astype(int) - [255, 0, 0]).max() <= 1


@pytest.mark.parametrize("syntax", ["80", "90", "201"])
@pytest.mark.parametrize(
    ("added", "written", "said", "what"),
    [
        (0, "u2", "u2", ""),
        (4000, "u2", "u2", "beyond the 12 bits"),
        (-60, "i2", "i2", ""),
        (-3000, "i2", "i2", "beyond the 12 bits"),
        (-60, "i2", "u2", "negative|beyond the 12 bits"),
    ],
)
def test_values_that_the_header_has_no_bits_for_are_refused_and_do_not_wrap(
    tmp_path, syntax, added, written, said, what
):
    expected = (RAMP.astype(int) + added).astype(written)
    encode = {"80": imagecodecs.jpegls_encode, "90": imagecodecs.jpeg2k_encode, "201": imagecodecs.htj2k_encode}[syntax]
    options = {"80": {}, "90": {"codecformat": "j2k", "reversible": True}, "201": {"reversible": True}}[syntax]
    code = encode(expected.view(np.uint16) if syntax == "80" else expected, **options)
    dataset = instance(expected.view(said), Modality="MR", BitsStored=12, HighBit=11)
    path = save(dataset, tmp_path / "x", JPEG + syntax, [code])
    if what:
        with pytest.raises(ScanRefused, match=what):
            read_scan(path)
    else:
        assert np.array_equal(values(read_scan(path)), expected)


@pytest.mark.parametrize("subsampling", ["420", "444"])
def test_a_jpeg_that_says_nothing_is_of_the_headers_colours_unless_its_components_differ_in_size(tmp_path, subsampling):
    code = imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace="YCBCR", subsampling=subsampling)
    code = named(without_segment(code, b"\xff\xe0"), b"\0\1\2")
    dataset = instance(COLOUR, SOPClassUID=SC, Modality="ES", PhotometricInterpretation="RGB")
    scan = read_scan(save(dataset, tmp_path / "x", JPEG + "50", [code]))
    right = np.abs(scan.array.transpose(2, 1, 0).astype(int) - COLOUR).mean() <= 12
    assert right == (subsampling == "420")


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", ["203", "91"])
def test_lossy_values_end_where_their_range_ends_and_never_wrap(tmp_path, bits, signed, syntax):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    kind = f"{'i' if signed else 'u'}{1 if bits == 8 else 2}"
    pixels = np.where(np.indices((32, 32)).sum(0) // 4 % 2, high, low).astype(kind)
    unused = pixels.dtype.itemsize * 8 - bits  # bits of the codestream above those stored, into which values may run
    if syntax == "91":
        code = imagecodecs.jpeg2k_encode(pixels, level=25 + 6 * unused, codecformat="j2k")
    else:
        code = imagecodecs.htj2k_encode(pixels, reversible=False, level=0.05 / 2**unused)
    dataset = instance(pixels, Modality="MR", BitsStored=bits, HighBit=bits - 1)
    got = values(read_scan(save(dataset, tmp_path / "x", JPEG + syntax, [code]))).astype(int)
    assert low <= got.min()
    assert got.max() <= high
    assert np.abs(got - pixels).max() < (high - low) / 4


def test_planes_ybr_and_palettes_come_out_as_rgb(tmp_path):
    planes = instance(COLOUR, SOPClassUID=SC, Modality="ES", PlanarConfiguration=1)
    planes.PixelData = np.moveaxis(COLOUR, -1, 0).tobytes()
    assert np.array_equal(read_scan(save(planes, tmp_path / "p")).array.transpose(2, 1, 0), COLOUR)
    grey = np.full((2, 2, 3), 128, dtype=np.uint8)
    grey[0, 0] = [76, 85, 255]  # pure red in YBR_FULL
    ybr = instance(grey, SOPClassUID=SC, Modality="US", PhotometricInterpretation="YBR_FULL")
    pixels = read_scan(save(ybr, tmp_path / "y")).array.transpose(2, 1, 0)
    assert np.abs(pixels[0, 0].astype(int) - [255, 0, 0]).max() <= 1
    assert pixels[1, 1].tolist() == [128, 128, 128]
    palette = instance(
        np.array([[0, 1], [2, 9]], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", Modality="US"
    )
    for number, colour in enumerate(("Red", "Green", "Blue")):
        setattr(palette, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 8])
        setattr(palette, f"{colour}PaletteColorLookupTableData", bytes([10 + number, 20 + number, 30 + number, 0]))
    pixels = read_scan(save(palette, tmp_path / "c")).array.transpose(2, 1, 0)
    assert pixels.tolist() == [[[10, 11, 12], [20, 21, 22]], [[30, 31, 32], [30, 31, 32]]]


def test_fragments_of_one_frame_are_joined(tmp_path):
    code = imagecodecs.jpegls_encode(RAMP)
    code += b"\0" * (len(code) % 2)
    dataset = instance(RAMP)
    dataset.PixelData = pydicom.encaps.encapsulate([code], fragments_per_frame=3)
    dataset["PixelData"].VR = "OB"
    assert np.array_equal(values(read_scan(save(dataset, tmp_path / "x", JPEG + "80"))), RAMP)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_native_syntaxes(tmp_path, syntax):
    dataset = instance(RAMP)
    if syntax.endswith("2.2"):
        dataset.PixelData = RAMP.astype(">u2").tobytes()
    assert np.array_equal(values(read_scan(save(dataset, tmp_path / "x", syntax))), RAMP)


def test_a_syntax_that_cannot_be_decoded_is_refused_by_name(tmp_path):
    path = save(instance(RAMP), tmp_path / "x", JPEG + "53", [b"\0" * 20])
    found = find_scans(path)
    assert [item.code for item in found.refused] == ["unsupported"]
    assert "Spectral Selection" in found.refused[0].reason


def test_a_codestream_of_another_size_is_never_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(imagecodecs, "jpegls_decode", lambda *a, **k: pytest.fail("it was decoded"))
    path = save(
        instance(RAMP), tmp_path / "x", JPEG + "80", [imagecodecs.jpegls_encode(np.zeros((900, 900), np.uint16))]
    )
    with pytest.raises(ScanRefused, match="900x900") as caught:
        read_scan(path)
    assert caught.value.code == "damaged"


def deflated(path, *more):
    """A deflated file of one slice, with further bytes behind its data set."""
    save(instance(RAMP), path, "1.2.840.10008.1.2.1.99")
    whole = path.read_bytes()
    start = 132 + 12 + int.from_bytes(whole[140:144], "little")
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    packed = b"".join(packer.compress(part) for part in (plain, *more)) + packer.flush()
    path.write_bytes(whole[:start] + packed)
    return path


def test_a_deflate_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("medcls.scans.dicom.frames.headers.MAX_HEADER_BYTES", 2**20)
    with pytest.raises(ScanRefused) as caught:
        read_whole(deflated(tmp_path / "x", bytes(30_000_000)))
    assert caught.value.code == "damaged"
    assert np.array_equal(values(read_scan(deflated(tmp_path / "y", bytes(1000)))), RAMP)  # padding is no bomb


def test_noise_of_a_million_elements_does_not_keep_the_parser_busy(tmp_path):
    whole = save(instance(RAMP), tmp_path / "x", "1.2.840.10008.1.2").read_bytes()
    noise = np.zeros((1_000_000, 2), "<u4")
    noise[:, 0] = np.arange(1_000_000) * 65536 + 0x00100009
    behind, before = tmp_path / "behind", tmp_path / "before"
    behind.write_bytes(whole + noise.tobytes())
    assert np.array_equal(values(read_scan(behind)), RAMP)  # behind the pixels it is never seen
    start = whole.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in whole else whole.index(b"\x08\x00\x08\x00")
    before.write_bytes(whole[:start] + noise.tobytes() + whole[start:])
    with pytest.raises(ScanRefused) as caught:
        read_whole(before)
    assert caught.value.code == "damaged"


def _decodable_samples():
    for path in sorted(SAMPLES.rglob("*")):
        if path.suffix in (".dcm", "") and path.is_file():
            yield path


@pytest.mark.filterwarnings("ignore:::pydicom")  # what it says of its own broken samples
def test_pixels_agree_with_pydicom_on_its_own_samples(tmp_path):
    """Every sample that both can read: stored values are equal, colours nearly (rounding of YBR)."""
    compared = 0
    for path in _decodable_samples():
        found = find_scans(path)
        if not found.scans:
            continue
        dataset = pydicom.dcmread(path, force=True)
        if (
            dataset.get("PhotometricInterpretation") in ("MONOCHROME1", "PALETTE COLOR")
            or "PixelPaddingValue" in dataset
        ):
            continue
        try:
            expected = pixel_array(dataset, raw=False)
        except Exception:  # no decoder for this syntax in pydicom's plain installation
            continue
        try:
            scan = read_scan(found.scans[0])
        except ScanRefused:
            continue
        if scan.dimensions == 3:
            continue
        got, grey = scan.array.T, scan.channels == 1
        if grey:
            got = got[..., 0]
            slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
            expected = expected * slope + intercept
        tolerance = 0 if grey else 3 if "JPEG" in dataset.file_meta.TransferSyntaxUID.name else 1
        assert np.abs(got.astype(np.float64) - expected).max() <= tolerance, path.name
        compared += 1
    assert compared >= 25


@given(st.integers(0, 400), st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_mutated_files_are_refused_or_read_never_more(tmp_path_factory, cut, seed):
    random = np.random.default_rng(seed)
    code = imagecodecs.jpegls_encode(RAMP)
    path = save(
        instance(RAMP), tmp_path_factory.getbasetemp() / "mutated" / "x", JPEG + "80", [code + b"\0" * (len(code) % 2)]
    )
    data = bytearray(path.read_bytes())
    for at in random.integers(0, len(data), 6):
        data[at] = random.integers(0, 256)
    path.write_bytes(bytes(data[: len(data) - cut]) if seed % 3 == 0 else bytes(data))
    with contextlib.suppress(ScanRefused):  # any other error fails the test
        read_scan(path)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEG + "50", lambda a: imagecodecs.jpeg8_encode(a.astype("u1"), level=95)),
        (JPEG + "51", lambda a: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12)),
        (JPEG + "70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
        (JPEG + "80", imagecodecs.jpegls_encode),
        (JPEG + "90", lambda a: imagecodecs.jpeg2k_encode(a, reversible=True, level=0)),
        (JPEG + "201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
    ],
)
@pytest.mark.parametrize("part", [0.3, 0.9, 0.99])
def test_a_codestream_cut_short_is_refused_not_filled_up(tmp_path, syntax, encode, part):
    noise = np.random.default_rng(0).integers(100, 250, (64, 64), dtype=np.uint16)
    pixels = noise.astype(np.uint8) if syntax == JPEG + "50" else noise
    stream = encode(noise)
    given = {"BitsStored": 12, "HighBit": 11} if pixels.itemsize == 2 else {}
    assert read_scan(save(instance(pixels, **given), tmp_path / "whole", syntax, [stream])).shape == (64, 64)
    save(instance(pixels, **given), tmp_path / "cut", syntax, [stream[: int(len(stream) * part)]])
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path / "cut")
    assert caught.value.code == "damaged"
