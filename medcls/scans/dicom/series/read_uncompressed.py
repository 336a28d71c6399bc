"""Reading series of plain files: all but the decoding is done here, and memory is touched once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from medcls.scans.core.guard import naming
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.paths import Paths
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.dicom.frame import Frame, alike, counted
from medcls.scans.dicom.frames.instance import PlainFile, Scratch, open_plain
from medcls.scans.dicom.pixels.decode import (
    Pixels,
    stored_frames,
    to_stored,
    uncounted_frames,
    uncounted_native,
    word_type,
)
from medcls.scans.dicom.pixels.decode_apart import Decoding
from medcls.scans.dicom.pixels.padding import is_padding
from medcls.scans.dicom.series.assembly import Assembly
from medcls.scans.dicom.series.volume import finish

Room = Callable[[Sequence[Frame], np.dtype[np.generic]], Pixels | None]

_AHEAD = 64
"""Files that are open at once."""

_AHEAD_BYTES = 1 << 25
"""Bytes of pixels in them: members of an archive are in memory while they are open."""

_TOGETHER = 1 << 21
"""Bytes of pixels that are worked on at once: few enough to stay in a processor's cache."""

_ASIDE = 1 << 19
"""As many where each is copied from memory that is used again and again."""


def read_plain(source: ScanSource, leniency: Leniency = STRICT) -> Scan | None:
    """Read a scan whose files are all plain; ``None`` when one is not, so that more is needed.

    Nothing but the fast parser and numpy looks at the files in this process. Compressed pixels go through a worker.

    Raises:
        ScanRefused: Anything about it is not right.
    """
    if source.kind != "dicom" or source.frames or source.channels != 1:
        return None
    assembly = Assembly(len(source.paths))
    try:
        for frames, stored in plain_frames(source, assembly.room):
            assembly.take(frames, stored, is_padding(stored, frames[0]))
    except NotPlainError:
        return None
    return finish(assembly, source, leniency)


def plain_frames(source: ScanSource, room: Room | None = None) -> Iterator[tuple[Sequence[Frame], Pixels]]:
    """The frames of plain files in the order of the paths, a few at a time.

    Args:
        source: Where they are.
        room: Memory for the stored values of frames that are alike, ``(k, rows, columns)`` of this type, where there is
            some; else they are read aside.

    Yields:
        Frames that are alike (:func:`medcls.scans.dicom.frame.alike`), and their stored values ``(k, rows, columns)``,
        valid until the next.

    Raises:
        NotPlainError: A file is not plain.
        ScanRefused: Anything about one is not right.
    """
    scratch = Scratch()
    with Decoding() as decoding:
        for files in _opened(Paths.of(source.paths).names):
            for numbers in alike([file.frame for file in files]):
                some = files[numbers.start : numbers.stop]
                if not some[0].compressed:
                    yield from _uncompressed(some, room, scratch)
                elif decoding.possible:
                    yield from decoding.add(some)
                else:
                    raise NotPlainError
        yield from decoding.rest()


def _opened(names: Iterable[str]) -> Iterator[list[PlainFile]]:
    """Some files at a time, open, their headers read: headers after headers, as the pixels between them would drive out of
    the processor's cache what reads them.

    Raises:
        NotPlainError: A file is not plain.
        ScanRefused: It holds no image, or its kind is not supported.
    """
    left = iter(names)
    while True:
        with contextlib.ExitStack() as stack:
            files: list[PlainFile] = []
            size = 0
            for name in left:
                with naming(name):
                    plain = open_plain(name)
                if plain is None:
                    raise NotPlainError
                files.append(stack.enter_context(plain))
                size += plain.length
                if len(files) == _AHEAD or size >= _AHEAD_BYTES:
                    break
            if not files:
                return
            yield files


def _uncompressed(
    files: Sequence[PlainFile], room: Room | None, scratch: Scratch
) -> Iterator[tuple[Sequence[Frame], Pixels]]:
    """As :func:`plain_frames`, for files that are alike and not compressed."""
    header = files[0].frame.header
    word = word_type(header)
    if word is None:
        for file in files:
            with naming(file.path):
                pixels = file.pixels(scratch)
                (stored,) = stored_frames(pixels, header, (0,))
            yield [counted(file.frame, uncounted_frames(pixels, header))], stored[np.newaxis]
        return
    size = header.rows * header.columns * word.itemsize
    most = max(1, (_TOGETHER if room else _ASIDE) // size)
    for some in (files[start : start + most] for start in range(0, len(files), most)):
        frames = [counted(file.frame, uncounted_native(file.length, header)) for file in some]
        words = room(frames, word) if room else None
        if words is None:
            memory = scratch.room(size * len(some))
            words = np.frombuffer(memory, word).reshape(len(some), header.rows, header.columns)
        for file, place in zip(some, words, strict=True):
            file.read_into(memoryview(place).cast("B"))
        yield frames, to_stored(words, header)


class NotPlainError(Exception):
    """A file needs more than the fast parser and numpy."""
