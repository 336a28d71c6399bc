"""Decoding: codestreams go to a worker, and stored values come back, through memory that both processes share."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.limits import LOOK_SECONDS, read_seconds
from medcls.scans.core.refusals import refusal_from_json
from medcls.scans.dicom.frame import Frame, Header, alike, counted, header_to_json
from medcls.scans.dicom.frames.instance import PixelBytes, PlainFile
from medcls.scans.dicom.pixels.decode import stored_dtype, uncounted_frames
from medcls.scans.workers.pool import Died, Worker, workers

Pixels = NDArray[np.generic]

_REGION = 1 << 23
"""Bytes of codestreams, and of decoded frames, that go at once."""

_MOST_FRAMES = 64

_MOST_KEPT = 1 << 25
"""Bytes of shared memory that wait for the next scan."""


@dataclass(frozen=True)
class _Shared:
    """Memory for codestreams, and behind them for frames.

    Attributes:
        memory: All of it.
        streams: Bytes for codestreams.
        place: Bytes of one frame.
        count: How many frames there is room for.
    """

    memory: mmap.mmap
    streams: int
    place: int
    count: int

    def stream(self, start: int, length: int) -> memoryview:
        return memoryview(self.memory)[start : start + length]

    def frames(self, numbers: range, header: Header) -> Pixels:
        start, shape = self.streams + numbers.start * self.place, (len(numbers), header.rows, header.columns)
        return np.frombuffer(self.memory, stored_dtype(header), math.prod(shape), start).reshape(shape)


class Decoding:
    """The compressed grey frames of one scan, on their way through a worker.

    Nothing that the worker writes is trusted: it is pixels of a known number and type, whatever their values.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._shared: _Shared | None = None
        self._frames: list[Frame] = []
        self._spans: list[tuple[int, int]] = []

    @property
    def possible(self) -> bool:
        """Whether this system can share memory in this way."""
        return hasattr(os, "memfd_create")

    def __enter__(self) -> Decoding:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._worker is None:
            return
        if kind is None or issubclass(kind, (Exception, GeneratorExit)):
            if self._worker.alive:
                with contextlib.suppress(Died):
                    self._worker.unshare(_MOST_KEPT, LOOK_SECONDS)
            workers.give_back(self._worker)
        else:
            self._worker.end()

    def add(self, files: Iterable[PlainFile]) -> Iterator[tuple[Sequence[Frame], Pixels]]:
        """Take the frames of files.

        Yields:
            Frames that are decoded by then and alike (:func:`medcls.scans.dicom.frame.alike`), and their stored values
            ``(k, rows, columns)``, valid until the next call.

        Raises:
            ScanRefused: A frame cannot be read or decoded.
        """
        for file in files:
            start = sum(self._spans[-1]) if self._spans else 0
            shared = self._shared if self._has_room(file, start) else None
            if shared is None:
                yield from self.rest()
                start, shared = 0, self._room(file)
            with shared.stream(start, file.length) as stream:
                file.read_into(stream)
                more = uncounted_frames(PixelBytes(stream), file.frame.header)
            self._frames.append(counted(file.frame, more))
            self._spans.append((start, file.length))

    def rest(self) -> Iterator[tuple[Sequence[Frame], Pixels]]:
        """The frames that are still to come, as :meth:`add`."""
        if self._frames and self._shared is not None:
            self._decode(self._frames, self._spans, self._shared)
            for numbers in alike(self._frames):
                some = self._frames[numbers.start : numbers.stop]
                yield some, self._shared.frames(numbers, some[0].header)
        self._frames, self._spans = [], []

    def _has_room(self, file: PlainFile, start: int) -> bool:
        """Whether a file can go with those that wait."""
        if self._shared is None or not self._frames or self._frames[0].header is not file.frame.header:
            return False
        return start + file.length <= self._shared.streams and len(self._frames) < self._shared.count

    def _room(self, file: PlainFile) -> _Shared:
        """Memory for frames like this one, shared with a worker."""
        header = file.frame.header
        place = header.rows * header.columns * stored_dtype(header).itemsize
        if self._shared is None or self._shared.place != place or self._shared.streams < file.length:
            streams = -(-max(file.length, _REGION) // mmap.PAGESIZE) * mmap.PAGESIZE
            count = max(1, min(_REGION // place, _MOST_FRAMES))
            with self._naming(file.frame):
                memory = self._asked().shared(streams + count * place, LOOK_SECONDS)
            self._shared = _Shared(memory, streams, place, count)
        return self._shared

    def _decode(self, frames: list[Frame], spans: list[tuple[int, int]], shared: _Shared) -> None:
        header = frames[0].header
        job = {"job": "decode", "header": header_to_json(header), "streams": spans, "places": shared.streams}
        seconds = read_seconds((header.rows, header.columns), 1)
        with self._naming(*frames):
            answer = self._asked().ask(job, seconds, pieces=len(frames))
        if "refused" in answer:
            broken = frames[min(max(0, int(answer["number"])), len(frames) - 1)]
            raise refusal_from_json(answer["refused"]).at(broken.path)

    def _asked(self) -> Worker:
        if self._worker is None:
            self._worker = workers.take()
        return self._worker

    @staticmethod
    @contextlib.contextmanager
    def _naming(*frames: Frame) -> Iterator[None]:
        try:
            yield
        except Died as death:
            raise death.reason.at(frames[death.at].path) from death
