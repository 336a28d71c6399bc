"""Videos: files of their own (MP4, AVI, MOV, Matroska, WebM, MPEG), and the bit streams within DICOM (PS3.5 8.2.5 to 8.2.8).

OpenCV, whose wheels bundle FFmpeg without parts under the GPL, is an optional part (``medcls[video]``). It sees only what
begins as a container or a stream that is known here: FFmpeg by itself also follows playlists, to other files and addresses.
Frames are decoded one after the other and counted, as jumping to a frame is not exact.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.bounded import open_regular
from medcls.scans.core.libraries import make_room, on_disk
from medcls.scans.core.limits import MAX_FRAMES, check_image_size
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.video_files import can_decode_videos, is_stream, is_video, no_decoder
from medcls.scans.core.voxel_memory import empty

_LIBRARY_BYTES = 2**30
"""Address space that loading OpenCV takes, and what its decoders hold: frames that others refer to."""

_HIDDEN_FRAMES = "VP80"
"""A codec of whose packets some give no picture."""

Pixels = NDArray[np.uint8]


def find(path: Path) -> ScanSource:
    """The source of a video file: its packets are counted and their times read, and none is decoded.

    Raises:
        ScanRefused: ``unsupported`` (also when OpenCV is not installed), ``not-an-image``, ``damaged`` or ``too-large``.
    """
    if not can_decode_videos():
        raise no_decoder("this is a video")
    with on_disk(path) as file:
        film = _opened(file)
        size = _size(film)
        times, said = _times(film, file)
        declared = film.get(_library().CAP_PROP_FRAME_COUNT)
        turned = film.get(_library().CAP_PROP_ORIENTATION_META)
    notes = [Note.FRAME_TIMES.says(said)] if said else []
    if declared > len(times) + 1:
        notes.append(Note.INCOMPLETE.says(f"the header says {declared:.0f} frames, and there are {len(times)}"))
    if turned:
        notes.append(Note.TURNED.says("turned upright as the video says"))
    return ScanSource(
        name="",
        paths=(path,),
        kind="video",
        modality="OT",
        shape=(*size, len(times)),
        spacing=(1.0, 1.0),
        channels=3,
        frames=(tuple(range(len(times))),),
        notes=tuple(notes),
        times=times,
    )


def read(source: ScanSource) -> Scan:
    """Read the frames of a video file.

    Raises:
        ScanRefused: As :func:`find`.
    """
    with on_disk(source.paths[0]) as file:
        frames, _ = decoded(file, source.frames[0])
    array = empty((len(frames), *frames[0].shape), np.uint8)
    np.stack(frames, out=array)
    return Scan(
        array=np.transpose(array, (3, 2, 1, 0)),
        affine=np.eye(4),
        kind="video",
        has_geometry=False,
        photometric="rgb",
        paths=source.paths,
        times=source.times,
    )


def decoded(file: str, wanted: Sequence[int]) -> tuple[list[Pixels], int]:
    """Decode frames.

    Args:
        file: Name of the file.
        wanted: Frame numbers from 0, ascending.

    Returns:
        ``(rows, columns, 3)`` RGB of each, upright, and how many frames there are.

    Raises:
        ScanRefused: ``damaged`` when there are too few.
    """
    film = _opened(file)
    _size(film)
    found, count, chosen = [], 0, set(wanted)
    while count < MAX_FRAMES and film.grab():
        if count in chosen:
            there, pixels = film.retrieve()
            if not there:
                break
            found.append(np.ascontiguousarray(pixels[..., ::-1]))  # OpenCV has blue first
        count += 1
    if len(found) < len(wanted):
        what = f"frame {wanted[-1] + 1} is asked for, and the video has {count}"
        raise refusal(RefusalCode.DAMAGED, what)
    return found, count


def _library() -> Any:
    if "cv2" not in sys.modules:
        make_room(_LIBRARY_BYTES)
    import cv2

    cv2.setNumThreads(1)
    return cv2


def _opened(file: str, *, packets: bool = False) -> Any:
    """A video, or its packets without their being decoded."""
    with open_regular(file) as handle:
        head = handle.read(1024)
    if not (is_video(head) or is_stream(head)):
        raise refusal(RefusalCode.UNSUPPORTED, "the video is in no container that is known")
    cv2 = _library()
    options = [cv2.CAP_PROP_N_THREADS, 1, *([cv2.CAP_PROP_FORMAT, -1] if packets else [])]
    film = cv2.VideoCapture(file, cv2.CAP_FFMPEG, options)
    if not film.isOpened():
        what = "the video cannot be opened: it is cut short, has no pictures, or is of an unknown codec"
        raise refusal(RefusalCode.DAMAGED, what)
    return film


def _size(film: Any) -> tuple[int, int]:
    """Columns and rows, upright."""
    cv2 = _library()
    columns, rows = int(film.get(cv2.CAP_PROP_FRAME_WIDTH)), int(film.get(cv2.CAP_PROP_FRAME_HEIGHT))
    check_image_size(columns, rows, "")
    return columns, rows


def _times(film: Any, file: str) -> tuple[tuple[float, ...], str]:
    """Seconds of each frame from the first, and what is doubtful about them."""
    cv2 = _library()
    codec = int(film.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1")
    packets = _opened(file, packets=codec != _HIDDEN_FRAMES)
    moments: list[float] = []
    while packets.grab():
        moments.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        if len(moments) > MAX_FRAMES:
            raise refusal(RefusalCode.TOO_LARGE, f"the video has more than {MAX_FRAMES} frames")
    if not moments:
        raise refusal(RefusalCode.DAMAGED, "the video has no frames")
    moments.sort()  # packets come in the order in which they are decoded
    if all(later > earlier for earlier, later in pairwise(moments)):
        return tuple(moment - moments[0] for moment in moments), ""
    rate = film.get(cv2.CAP_PROP_FPS)
    step = 1 / rate if 0 < rate < 1e6 else 1.0
    said = "the video gives no times of frames: those of its rate were taken"
    return tuple(number * step for number in range(len(moments))), said
