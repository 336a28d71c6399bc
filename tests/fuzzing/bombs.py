"""Small files made to cost much to whoever unpacks, parses or decodes them without care."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import nibabel
import numpy as np
import tifffile
from PIL import Image

from tests.fuzzing.dicom_seeds import DEFLATED, IMPLICIT, JPEG, RAMP, compressed, marked, packed
from tests.fuzzing.elements import OPEN, layout
from tests.fuzzing.mutations import png_chunk

MEGABYTE = 2**20
REFUSED = {"damaged", "too-large", "unsupported", "not-an-image", "several-images"}


def zeros(megabytes: int) -> bytes:
    """A raw deflate stream, not yet ended, of so many megabytes of zeros, made without packing them all."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes


def deflated(plain: bytes, megabytes: int) -> bytes:
    """A raw deflate stream of some bytes and many zeros."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(megabytes) + b"\3\0"


def checksum(count: Callable[..., int], plain: bytes, megabytes: int) -> int:
    value = count(plain)
    for _ in range(megabytes):
        value = count(bytes(MEGABYTE), value)
    return value


def zlib_stream(plain: bytes, megabytes: int) -> bytes:
    return b"\x78\xda" + deflated(plain, megabytes) + struct.pack(">I", checksum(zlib.adler32, plain, megabytes))


def gzip_file(plain: bytes, megabytes: int) -> bytes:
    ending = struct.pack("<II", checksum(zlib.crc32, plain, megabytes), len(plain) + megabytes * MEGABYTE)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + deflated(plain, megabytes) + ending


def before_pixels(more: bytes, data: bytes | None = None) -> bytes:
    """A CT slice with further bytes in front of its pixels."""
    data = packed(marked()) if data is None else data
    at = next(element.at for element in layout(data).elements if element.tag == 0x7FE00010)
    return data[:at] + more + data[at:]


def behind(tag: int, more: bytes, data: bytes | None = None) -> bytes:
    """A CT slice with further bytes where ``tag`` would stand, so that tags still ascend."""
    data = packed(marked()) if data is None else data
    at = next(element.at for element in layout(data).elements if element.tag > tag)
    return data[:at] + more + data[at:]


def element(tag: int, vr: bytes, length: int, value: bytes = b"") -> bytes:
    """An explicit element with a long length, whatever its value."""
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + b"\0\0" + struct.pack("<I", length) + value


def deflate_bomb(place: str) -> bytes:
    """Half a megabyte that unpacks to 500: behind the pixels, or as one element in front of them."""
    whole = packed(marked(), DEFLATED)
    found = layout(whole)
    plain = found.data[found.body :]
    if place == "header":
        plain = element(0x00091010, b"OB", 500 * MEGABYTE)
    if place == "text":
        plain = element(0x00080008, b"UT", 500 * MEGABYTE)
    return whole[: found.body] + deflated(plain, 500)


def nested(levels: int, tag: int, *, closed: bool, implicit: bool = False) -> bytes:
    """Sequences in sequences: with lengths, or open and closed by delimiters."""
    group, number = tag >> 16, tag & 0xFFFF
    width = 16 if implicit else 20
    parts = []
    for level in range(levels, 0, -1):
        inside = (level - 1) * width
        name = struct.pack("<HH", group, number) + (b"" if implicit else b"SQ\0\0")
        lengths = (inside + 8, inside) if closed else (OPEN, OPEN)
        parts.append(name + struct.pack("<IHHI", lengths[0], 0xFFFE, 0xE000, lengths[1]))
    ends = b"" if closed else struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * levels
    return b"".join(parts) + ends


def sequence_bomb(tag: int, *, closed: bool, syntax: str) -> bytes:
    implicit = syntax == IMPLICIT
    data = packed(marked(), syntax)
    return behind(tag, nested(10_000, tag, closed=closed, implicit=implicit), data)


def million_items(tag: int) -> bytes:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    return behind(tag, element(tag, b"SQ", len(items), items))


def many_values(tag: int, one: bytes) -> bytes:
    """An element that the reader wants, of three million values."""
    data = packed(marked())
    value = one * 3_000_000
    value += b" " * (len(value) % 2)
    new = element(tag, b"UT", len(value), value)
    old = next((found for found in layout(data).elements if found.tag == tag), None)
    return behind(tag, new, data) if old is None else data[: old.at] + new + data[old.end :]


def many_frames() -> bytes:
    return packed(marked(NumberOfFrames=2**31 - 1))


def many_compressed_frames() -> bytes:
    return compressed(marked(NumberOfFrames=2**31 - 1), JPEG + "80", [imagecodecs.jpegls_encode(RAMP)])


def endless_fragment() -> bytes:
    data = compressed(marked(), JPEG + "80", [imagecodecs.jpegls_encode(RAMP)])
    last = [found for found in layout(data).elements if found.tag == 0xFFFEE000][-1]
    return data[: last.length_at] + struct.pack("<I", OPEN) + data[last.value_at :]


def offsets_beyond_the_file() -> bytes:
    data = compressed(marked(), JPEG + "80", [imagecodecs.jpegls_encode(RAMP)])
    table = next(found for found in layout(data).elements if found.tag == 0xFFFEE000)
    offsets = struct.pack("<I", 0xFFFFFFF0) * 100_000
    return data[: table.length_at] + struct.pack("<I", len(offsets)) + offsets + data[table.end :]


def nifti(megabytes: int = 0, **header: object) -> bytes:
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(6, 5, 4), np.eye(4))
    plain = bytearray(image.to_bytes())
    fields = {"dim": (40, "<8h"), "vox_offset": (108, "<f")}
    for name, value in header.items():
        at, form = fields[name]
        struct.pack_into(form, plain, at, *(value if isinstance(value, tuple) else (value,)))
    return gzip_file(bytes(plain), megabytes)


def png(columns: int, rows: int, *chunks: bytes, body: bytes = zlib.compress(bytes(1000))) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def png_text(kind: bytes, head: bytes) -> bytes:
    """A picture of 24 by 16 with a packed text or profile of 500 megabytes."""
    rows = b"".join(b"\0" + row.tobytes() for row in RAMP.astype(np.uint8))
    return png(24, 16, png_chunk(kind, head + zlib_stream(b"", 500)), body=zlib.compress(rows))


def png_rows_without_end() -> bytes:
    return png(24, 16, body=zlib_stream(b"", 500))


def circular_tiff(*, bigtiff: bool, pages: int) -> bytes:
    """Pages of which the last one says that the first one follows."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out, bigtiff=bigtiff) as writer:
        for _ in range(pages):
            writer.write(RAMP, photometric="minisblack", metadata=None, contiguous=False)
    data = bytearray(out.getvalue())
    at_of_first, size, count_size, entry = (8, 8, 8, 20) if bigtiff else (4, 4, 2, 12)
    first = here = int.from_bytes(data[at_of_first : at_of_first + size], "little")
    for _ in range(pages):
        count = int.from_bytes(data[here : here + count_size], "little")
        at_of_next = here + count_size + count * entry
        here = int.from_bytes(data[at_of_next : at_of_next + size], "little")
    data[at_of_next : at_of_next + size] = first.to_bytes(size, "little")
    return bytes(data)


def circular_subfile() -> bytes:
    """A page whose sub-page (tag 330) is itself."""
    entries = [
        (256, 4, 4),
        (257, 4, 4),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 200),
        (279, 4, 16),
        (330, 4, 8),
    ]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    data = b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0)
    return data.ljust(200, b"\0") + bytes(range(16))


def tiff_of_many_values() -> bytes:
    """A tag that declares four thousand million values."""
    data = bytearray(circular_subfile())
    struct.pack_into("<HHII", data, 10 + 7 * 12, 330, 4, 0xFFFFFFF0, 8)
    return bytes(data)


def zip_bomb() -> bytes:
    """An archive of 500 megabytes of zeros."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("IM0001", "w") as member,
    ):
        for _ in range(500):
            member.write(bytes(MEGABYTE))
    return out.getvalue()


def nested_zip(levels: int = 40) -> bytes:
    data = packed(marked())
    for level in range(levels):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"inner{level}.zip", data)
            archive.writestr("../outside", data)
        data = out.getvalue()
    return data


def gif_of_nothing() -> bytes:
    out = io.BytesIO()
    Image.fromarray(RAMP.astype(np.uint8)).save(out, format="GIF")
    data = bytearray(out.getvalue())
    data[6:10] = struct.pack("<HH", 65535, 65535)
    return bytes(data)


@dataclass(frozen=True)
class Bomb:
    make: Callable[[], bytes]
    outcomes: frozenset[str] = frozenset(REFUSED)


READABLE = frozenset(REFUSED | {"read"})
"""Where a reader may pass over what it does not need."""
MEGAPIXELS = frozenset({"too-large", "damaged"})

BOMBS: dict[str, Bomb] = {
    "deflate-behind-pixels": Bomb(lambda: deflate_bomb("behind"), READABLE),
    "deflate-in-header": Bomb(lambda: deflate_bomb("header")),
    "deflate-in-text": Bomb(lambda: deflate_bomb("text")),
    "nifti-gz-behind-voxels": Bomb(lambda: nifti(500), READABLE),
    "nifti-gz-huge": Bomb(lambda: nifti(500, dim=(3, 30000, 30000, 30000, 1, 1, 1, 1)), MEGAPIXELS),
    "nifti-gz-larger-than-declared": Bomb(lambda: nifti(0, dim=(3, 2000, 2000, 20, 1, 1, 1, 1)), MEGAPIXELS),
    "nifti-gz-far-offset": Bomb(lambda: nifti(500, vox_offset=float(480 * MEGABYTE)), READABLE),
    "png-huge": Bomb(lambda: png(2**31 - 1, 2**31 - 1), MEGAPIXELS),
    "png-wide": Bomb(lambda: png(2**31 - 1, 1), MEGAPIXELS),
    "png-text": Bomb(lambda: png_text(b"zTXt", b"Comment\0\0"), READABLE),
    "png-international-text": Bomb(lambda: png_text(b"iTXt", b"Comment\0\1\0\0\0"), READABLE),
    "png-profile": Bomb(lambda: png_text(b"iCCP", b"x\0\0"), READABLE),
    "png-rows": Bomb(png_rows_without_end, READABLE),
    "gif-huge": Bomb(gif_of_nothing, MEGAPIXELS | {"not-an-image"}),
    "items": Bomb(lambda: million_items(0x00081140), READABLE),
    "items-private": Bomb(lambda: million_items(0x00091010), READABLE),
    "items-of-frames": Bomb(lambda: million_items(0x52009230), READABLE | {"no-geometry"}),
    "values-of-spacing": Bomb(lambda: many_values(0x00280030, b"1\\"), READABLE),
    "values-of-type": Bomb(lambda: many_values(0x00080008, b"\\"), READABLE),
    "values-of-comments": Bomb(lambda: many_values(0x00204000, b"a \\"), READABLE),
    "values-of-algorithm": Bomb(lambda: many_values(0x00189315, b"A\\"), READABLE),
    "values-of-character-set": Bomb(lambda: many_values(0x00080005, b"x\\"), READABLE),
    "four-gigabyte-element": Bomb(lambda: behind(0x00091010, element(0x00091010, b"OB", 0xFFFFFFFE, bytes(64)))),
    "four-gigabyte-text": Bomb(lambda: behind(0x00081030, element(0x00081030, b"UT", 0xFFFFFFFE, bytes(64)))),
    "four-gigabyte-unknown": Bomb(lambda: before_pixels(element(0x00991010, b"UN", 0xFFFFFFFE, bytes(64)))),
    "frames": Bomb(many_frames, frozenset(REFUSED | {"no-geometry"})),
    "compressed-frames": Bomb(many_compressed_frames, frozenset(REFUSED | {"no-geometry"})),
    "endless-fragment": Bomb(endless_fragment),
    "offsets": Bomb(offsets_beyond_the_file, READABLE),
    "tiff-circle": Bomb(lambda: circular_tiff(bigtiff=False, pages=1), READABLE),
    "tiff-circle-of-three": Bomb(lambda: circular_tiff(bigtiff=False, pages=3)),
    "bigtiff-circle": Bomb(lambda: circular_tiff(bigtiff=True, pages=2)),
    "tiff-in-itself": Bomb(circular_subfile, READABLE),
    "tiff-of-many-values": Bomb(tiff_of_many_values, READABLE),
    "zip": Bomb(zip_bomb),
    "zip-in-zip": Bomb(nested_zip, READABLE),
    **{
        f"nested-{tag:08X}-{'closed' if closed else 'open'}-{'implicit' if syntax == IMPLICIT else 'explicit'}": Bomb(
            lambda tag=tag, closed=closed, syntax=syntax: sequence_bomb(tag, closed=closed, syntax=syntax),
            READABLE | {"no-geometry"},
        )
        for tag in (0x00081140, 0x00091010, 0x52009230)
        for closed in (True, False)
        for syntax in (IMPLICIT, "1.2.840.10008.1.2.1")
    },
}
