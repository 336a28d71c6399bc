"""Reading series of plain files: all but the decoding is done here, and memory is touched once."""

from __future__ import annotations

from collections.abc import Iterator

from medcls.scans.dicom.assembly import Assembly
from medcls.scans.dicom.frames import Frame
from medcls.scans.dicom.instance import Scratch, open_plain
from medcls.scans.dicom.padding import is_padding
from medcls.scans.dicom.pixels import Pixels, stored_frames
from medcls.scans.dicom.volume import finish
from medcls.scans.guard import naming
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.sandbox.decoding import Decoding
from medcls.scans.scan import Scan
from medcls.scans.source import ScanSource


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
        for frame, stored in plain_frames(source):
            assembly.take(frame, stored, is_padding(stored, frame))
    except NotPlainError:
        return None
    return finish(assembly, source, leniency)


def plain_frames(source: ScanSource) -> Iterator[tuple[Frame, Pixels]]:
    """The frames of plain files in the order of the paths, with stored values ``(rows, columns)`` valid until the next.

    Raises:
        NotPlainError: A file is not plain.
        ScanRefused: Anything about one is not right.
    """
    scratch = Scratch()
    with Decoding() as decoding:
        for path in source.paths:
            with naming(path), open_plain(path) as plain:
                if plain is None or (plain.compressed and not decoding.possible):
                    raise NotPlainError
                if plain.compressed:
                    yield from decoding.add(plain)
                else:
                    for stored in stored_frames(plain.pixels(scratch), plain.frame.header, (0,)):
                        yield plain.frame, stored
        yield from decoding.rest()


class NotPlainError(Exception):
    """A file needs more than the fast parser and numpy."""
