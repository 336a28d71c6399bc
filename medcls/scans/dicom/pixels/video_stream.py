"""Videos within DICOM: one bit stream of MPEG-2, H.264 or H.265 over all fragments (PS3.5 8.2.5 to 8.2.8, A.4.5 to A.4.10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from medcls.scans.codecs.encapsulation import stream
from medcls.scans.core.libraries import in_memory
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.frames.instance import PixelBytes
from medcls.scans.dicom.pixels.decode import Pixels
from medcls.scans.formats.video import decoded


def video_frames(
    pixels: PixelBytes, header: Header, wanted: Sequence[int], path: Path
) -> tuple[Iterator[Pixels], Header]:
    """Decode frames of a video.

    Args:
        pixels: What the file holds.
        header: What its header says.
        wanted: Frame numbers from 0, ascending.
        path: The file.

    Returns:
        ``(rows, columns, 3)`` RGB of each, and the header, with a word where the video has another number of frames.

    Raises:
        ScanRefused: ``damaged`` or ``unsupported``.
    """
    if pixels.data is None or header.samples != 3:
        raise refusal(RefusalCode.UNSUPPORTED, "a video without colour")
    with in_memory(stream(pixels.data), path) as file:
        frames, count = decoded(file, wanted)
    size = frames[0].shape[:2]
    if size != (header.rows, header.columns):
        what = f"the video is {size[1]}x{size[0]}, and the header says {header.columns}x{header.rows}"
        raise refusal(RefusalCode.DAMAGED, what)
    if count != header.count and not header.times:
        raise refusal(RefusalCode.DAMAGED, f"the header says one picture, and the video has {count}")
    if count != header.count:
        said = f"the header says {header.count} frames, and the video has {count}"
        header = replace(header, timing="; ".join(filter(None, (header.timing, said))))
    return iter(frames), header
