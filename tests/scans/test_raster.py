"""Pictures: every flavour comes out as upright grey or RGB with its full depth."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def code_of(path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path)
    return caught.value.code


def pixels(path):
    scan = read_scan(path)
    source = find_scans(path).scans[0]
    assert (source.shape, source.channels) == (scan.shape, scan.channels)
    assert not scan.has_geometry
    shown = scan.array.transpose(2, 1, 0)
    return shown[..., 0] if scan.photometric == "grey" else shown


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("expected", [GREY, COLOUR], ids=["grey", "rgb"])
def test_eight_bits(tmp_path, suffix, expected):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(expected).save(path)
    assert np.array_equal(pixels(path), expected)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 3)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path, shape, suffix):
    expected = np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(imagecodecs.png_encode(expected)) if suffix == "png" else tifffile.imwrite(path, expected)
    got = pixels(path)
    assert got.dtype == np.uint16
    assert np.array_equal(got, expected)


def test_one_bit_and_palette(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "bit.png")
    assert np.array_equal(pixels(tmp_path / "bit.png"), (GREY > 100) * 255)
    image = Image.fromarray(COLOUR).quantize(12)
    image.save(tmp_path / "palette.png")
    assert np.array_equal(pixels(tmp_path / "palette.png"), np.asarray(image.convert("RGB")))


def test_transparency_is_laid_on_black_and_opaque_alpha_dropped(tmp_path):
    alpha = np.full((3, 4, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=-1)).save(tmp_path / "opaque.png")
    assert np.array_equal(pixels(tmp_path / "opaque.png"), COLOUR)
    alpha[0] = 0
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=-1)).save(tmp_path / "clear.png")
    got = pixels(tmp_path / "clear.png")
    assert not got[0].any()
    assert np.array_equal(got[1:], COLOUR[1:])
    Image.fromarray(np.concatenate([GREY[..., None], alpha], axis=-1)).save(tmp_path / "la.png")
    assert np.array_equal(pixels(tmp_path / "la.png")[1:], GREY[1:])
    for kind in (np.uint8, np.uint16):  # one value of grey stands for what is clear
        Image.fromarray(GREY.astype(kind)).save(tmp_path / "key.png", transparency=200)
        assert np.array_equal(pixels(tmp_path / "key.png"), np.where(GREY == 200, 0, GREY))
        assert read_scan(tmp_path / "key.png").notes == ("alpha: transparent pixels were laid on black",)


def with_orientation(png: bytes, orientation: int) -> bytes:
    """A PNG with the Exif tag Orientation, in its eXIf chunk, after the header."""
    exif = Image.Exif()
    exif[274] = orientation
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "deep.png", "tif"])
def test_pictures_are_turned_upright(tmp_path, orientation, suffix):
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a.T[::-1, ::-1],
        8: lambda a: np.rot90(a),
    }[orientation]
    path = tmp_path / f"x.{suffix}"
    if suffix == "deep.png":
        deep = np.repeat(GREY.astype(np.uint16)[..., None], 3, axis=2) * 256
        path.write_bytes(with_orientation(imagecodecs.png_encode(deep), orientation))
        assert np.array_equal(pixels(path)[..., 0], upright(deep[..., 0]))
        return
    if suffix == "tif":
        tifffile.imwrite(path, GREY, extratags=[(274, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(GREY).save(path, exif=exif)
    assert np.array_equal(pixels(path), upright(GREY))


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    image = Image.fromarray(np.full((8, 8, 3), [200, 40, 90], np.uint8)).convert("CMYK")
    image.save(tmp_path / "x.jpg", quality=98)
    assert np.abs(pixels(tmp_path / "x.jpg").astype(int) - [200, 40, 90]).max() <= 4


def test_tiff_white_is_zero_floats_and_planes(tmp_path):
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite")
    assert np.array_equal(pixels(tmp_path / "white.tif"), 255 - GREY)
    tifffile.imwrite(tmp_path / "float.tif", GREY.astype(np.float32) / 3)
    assert np.array_equal(pixels(tmp_path / "float.tif"), GREY.astype(np.float32) / 3)
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(pixels(tmp_path / "planes.tif"), COLOUR)


def test_several_pages_and_animations_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([GREY, GREY]), photometric="minisblack")
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    for name in ("moving.gif", "moving.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert {code_of(path) for path in tmp_path.iterdir()} == {"several-images"}


@pytest.mark.parametrize("kind", ["imagej", "truncate"])
def test_pictures_behind_the_only_page_are_counted(tmp_path, kind):
    """ImageJ beyond 4 GB, and tifffile when it is asked to, describe the first of them and leave the others to a comment."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.stack([GREY] * 5), photometric="minisblack", **{kind: True})
    with tifffile.TiffFile(path) as file:
        comment, end = file.pages[0].description, file.pages[0].offset + 2 + 12 * len(file.pages[0].tags)
    raw = bytearray(path.read_bytes())
    raw[end : end + 4] = bytes(4)  # no next page
    path.write_bytes(raw)
    assert code_of(path) == "several-images"
    tifffile.imwrite(path, GREY, description=comment, metadata=None, photometric="minisblack")
    assert np.array_equal(pixels(path), GREY)  # one picture with the comment of all


def test_a_strip_without_data_is_not_made_up(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, GREY, compression="zlib", rowsperstrip=1)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags["StripByteCounts"]
        tag.overwrite([tag.value[0], 0, tag.value[2]])
    assert code_of(path) == "damaged"


def test_half_precision_is_single_and_a_palette_of_16_bits_is_a_kind_that_is_not_read(tmp_path):
    tifffile.imwrite(tmp_path / "half.tif", GREY.astype(np.float16) / 8)
    assert np.array_equal(pixels(tmp_path / "half.tif"), GREY.astype(np.float32) / 8)
    assert read_scan(tmp_path / "half.tif").array.dtype == np.float32
    ramp = np.tile(np.arange(65536, dtype=np.uint16), (3, 1))
    tifffile.imwrite(tmp_path / "palette.tif", GREY.astype(np.uint16), photometric="palette", colormap=ramp)
    assert code_of(tmp_path / "palette.tif") == "unsupported"


def test_broken_and_huge_pictures_are_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for suffix in ("png", "jpg", "tif", "bmp"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:-900])
        assert code_of(path) == "damaged", suffix
    path = tmp_path / "huge.png"
    Image.fromarray(GREY).save(path)
    raw = bytearray(path.read_bytes())
    raw[16:24] = (100_000).to_bytes(4, "big") * 2
    raw[29:33] = zlib.crc32(bytes(raw[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(raw))
    assert code_of(path) == "too-large"


@pytest.mark.parametrize("compression", ["jpeg2000", "jpeg"])
@pytest.mark.parametrize("tag", ["ImageLength", "ImageWidth", "TileLength"])
def test_a_tiff_whose_codestream_is_larger_than_its_page_is_refused(tmp_path, compression, tag):
    """It would be decoded whole, whatever it claims, and cut to fit."""
    path, options = tmp_path / "x.tif", {"tile": (48, 48)} if tag == "TileLength" else {}
    colour = np.stack(np.broadcast_arrays(*np.ogrid[:48, :48], 60), axis=-1).astype(np.uint8)
    tifffile.imwrite(path, colour, photometric="rgb", compression=compression, **options)
    assert np.abs(pixels(path).astype(int) - colour).max() < 20
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[tag].overwrite(32)
    with pytest.raises(ScanRefused, match="compressed as 48x48x3") as caught:
        read_scan(path)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"SamplesPerPixel": 1, "PhotometricInterpretation": 1}, "48x8x3"), ({"BitsPerSample": (8, 8, 8)}, "as 16")],
)
def test_a_tiff_whose_codestream_has_more_samples_or_deeper_ones_is_refused(tmp_path, changes, said):
    path, deep = tmp_path / "x.tif", np.full((8, 48, 3), 300, np.uint16)
    tifffile.imwrite(path, deep, photometric="rgb", compression="jpeg2000")
    assert np.array_equal(pixels(path), deep)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag, value in changes.items():
            file.pages[0].tags[tag].overwrite(value)
    with pytest.raises(ScanRefused, match=said):
        read_scan(path)


def test_the_last_strip_of_a_tiff_may_be_as_long_as_the_others(tmp_path):
    path, grey = tmp_path / "x.tif", np.arange(48 * 32, dtype=np.uint8).reshape(48, 32)
    tifffile.imwrite(path, grey, photometric="minisblack", compression="jpeg2000", rowsperstrip=16)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["ImageLength"].overwrite(40)
    assert np.array_equal(pixels(path), grey[:40])


def test_the_name_does_not_matter(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.dcm")
    assert np.array_equal(pixels(tmp_path / "x.dcm"), GREY)
