"""Mutation number N of a seed: the same bytes every time, from nothing but the numbers."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzzing.dicom_mutations import mutate_dicom, put
from tests.fuzzing.seeds import Seed

_WORDS = (0, 1, 2, 3, 4, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_HEAD = 640
_STREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_MOST_INFLATED = 2**24


@dataclass(frozen=True)
class Mutant:
    """One broken scan.

    Attributes:
        number: Which.
        name: The seed and what was done to it.
        files: Name and bytes of every file of its folder.
    """

    number: int
    name: str
    files: tuple[tuple[str, bytes], ...]


def mutant(seeds: Sequence[Seed], number: int, seed: int = 0) -> Mutant:
    """Mutation ``number`` of the fuzz that ``seed`` begins: a seed, bent once or a few times."""
    random = Random(f"{seed}:{number}")
    chosen = seeds[random.randrange(len(seeds))]
    data, names = chosen.data, []
    for _ in range(random.choice((1, 1, 1, 1, 2, 2, 3, 6))):
        kind, mutation = _mutation(chosen, random)
        names.append(kind)
        data = mutation(data, random, seeds)
    return Mutant(number, f"{chosen.name}: {', '.join(names)}", ((chosen.file, data), *chosen.beside))


Mutation = Callable[[bytes, Random, Sequence[Seed]], bytes]


def _mutation(seed: Seed, random: Random) -> tuple[str, Mutation]:
    own = _OF_KIND.get(seed.kind, ("header", _header))
    return random.choice((own, own, own, ("codestream", _codestream), *_ANYWHERE))


def _flips(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    bent = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if bent:
            bent[random.randrange(len(bent))] ^= 1 << random.randrange(8)
    return bytes(bent)


def _run(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    at, length = _place(data, random)
    fill = random.choice((b"\0", b"\xff", b" ", bytes([random.getrandbits(8)]), b"\xff\xd9"))
    return put(data, at, (fill * length)[: max(0, min(length, len(data) - at))])


def _noise(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    at, length = _place(data, random)
    return put(data, at, random.randbytes(min(length, len(data) - at)))


def _cut(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    return data[: random.choice((random.randrange(len(data) + 1), max(0, len(data) - random.randrange(1, 20))))]


def _inserted(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    at, length = _place(data, random)
    return put(data, at, random.choice((random.randbytes(length), bytes(length), data[at : at + length])), 0)


def _deleted(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    at, length = _place(data, random)
    return put(data, at, b"", length)


def _spliced(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    other = seeds[random.randrange(len(seeds))].data
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _place(data: bytes, random: Random) -> tuple[int, int]:
    return random.randrange(len(data) + 1), random.choice((1, 2, 4, 8, 16, 64, 256, 2000))


def _header(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    """A word of the header set to a number that breaks things: sizes, types, offsets, counts, scales."""
    size = random.choice((1, 2, 2, 4, 4, 8))
    if len(data) < size:
        return data
    at = random.randrange(min(len(data), _HEAD) // 2) * 2
    order = random.choice(("little", "little", "big"))
    if size >= 4 and random.random() < 0.25:
        value = random.choice((float("nan"), float("inf"), -1.0, 0.0, 1e38, 1e-40))
        return put(data, at, struct.pack(("<" if order == "little" else ">") + ("f" if size == 4 else "d"), value))
    word = random.choice((*_WORDS, random.getrandbits(32))) & ((1 << (8 * size)) - 1)
    return put(data, at, word.to_bytes(size, order))[: max(len(data), 1)]


def _codestream(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    """A marker segment of a JPEG, JPEG-LS or JPEG 2000 stream, wherever it is in the file."""
    start = next((data.find(head) for head in _STREAMS if head in data), -1)
    segments = marker_segments(data, start) if start >= 0 else []
    if not segments:
        return _flips(data, random, seeds)
    at, length = random.choice(segments)
    deed = random.randrange(6)
    if deed == 0:
        return put(data, at + 2, struct.pack(">H", random.choice((0, 1, 2, 3, length + 3, 0x7FFF, 0xFFFF))))
    if deed == 1:
        return put(data, at, b"", 2 + length)
    if deed == 2:
        return put(data, at, data[at : at + 2 + length] * random.choice((1, 1, 30)), 0)
    if deed == 3:
        return put(data, at + 1, bytes([random.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xD9, 0xF7, 0x51, 0x52, 0x90))]))
    inside = at + 4 + random.randrange(max(1, length - 2))
    size = random.choice((1, 2, 4))
    return put(data, inside, (random.choice(_WORDS) & ((1 << (8 * size)) - 1)).to_bytes(size, "big"))


def marker_segments(data: bytes, start: int) -> list[tuple[int, int]]:
    """Where each marker segment of a codestream begins, and the length that it declares."""
    found, at = [], start + 2
    while at + 4 <= len(data) and data[at] == 0xFF and len(found) < 200:
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        found.append((at, length))
        at += 2 + length
    return found


def _png(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    """A chunk with wrong numbers and a right checksum, or lost, doubled, renamed, or with its length wrong."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    if not chunks:
        return data
    number = random.choice((0, random.randrange(len(chunks))))
    deed = random.randrange(6)
    if deed == 0:
        del chunks[number]
    elif deed == 1:
        chunks.insert(random.randrange(len(chunks) + 1), list(chunks[number]))
    elif deed == 2:
        chunks[number][0] = random.choice(
            (b"IDAT", b"PLTE", b"tRNS", b"zTXt", b"iTXt", b"acTL", b"eXIf", b"IEND", b"IHDR")
        )
    elif deed == 3:
        chunks[number][1] = chunks[number][1] * random.choice((0, 2, 100))
    else:
        size = random.choice((1, 2, 4))
        word = (random.choice(_WORDS) & ((1 << (8 * size)) - 1)).to_bytes(size, "big")
        chunks[number][1] = put(chunks[number][1], random.randrange(len(chunks[number][1]) + 1), word)
    return data[:8] + b"".join(png_chunk(bytes(kind), bytes(body)) for kind, body in chunks)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its length and checksum (PNG 1.2, section 3.2)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _gzip(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    """What is packed is bent, and packed again."""
    try:
        plain = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _MOST_INFLATED)
    except zlib.error:
        return _flips(data, random, seeds)
    bend = random.choice((_header, _header, _flips, _cut, _inserted, _deleted, _run))
    return gzip.compress(bend(plain, random, seeds), 1, mtime=0)


def _zip(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    """One member is bent, renamed, given the name of another, or nested, and the archive written again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [[info.filename, archive.read(info)] for info in archive.infolist()]
    except Exception:
        return _flips(data, random, seeds)
    if not members:
        return data
    member = random.choice(members)
    deed = random.randrange(5)
    if deed == 0:
        member[0] = random.choice(("../../outside", "/etc/outside", "a" * 3000, "x\0y", "con/../.."))
    elif deed == 1:
        member[1] = data
    elif deed > 2:
        member[1] = mutate_dicom(bytes(member[1]), random)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in members:
            archive.writestr(_member(str(name), random), body)
    return out.getvalue().replace(b"/IM1", b"/IM0") if deed == 2 else out.getvalue()


def _member(name: str, random: Random) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name.split("\0")[0] or "x")
    info.compress_type = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    return info


def _dicom(data: bytes, random: Random, seeds: Sequence[Seed]) -> bytes:
    return mutate_dicom(data, random)


_OF_KIND: dict[str, tuple[str, Mutation]] = {
    "dicom": ("elements", _dicom),
    "png": ("chunk", _png),
    "gzip": ("packed", _gzip),
    "zip": ("member", _zip),
    "jpeg": ("codestream", _codestream),
}
_ANYWHERE: tuple[tuple[str, Mutation], ...] = (
    *(("flips", _flips), ("run", _run), ("noise", _noise), ("cut", _cut)),
    *(("inserted", _inserted), ("deleted", _deleted), ("spliced", _spliced)),
)
