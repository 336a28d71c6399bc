"""ScanSource, Refusal, Found: what is on disk, known from headers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from medcls.errors import ScanRefused
from medcls.scans.core.leniency import Leniency
from medcls.scans.core.scan import Scan, is_sized
from medcls.scans.core.sequence import some_frames, spread
from medcls.scans.core.transfer_syntaxes import VIDEO


@dataclass(frozen=True)
class ScanSource:
    """One scan that was found and can be read: light, plain data, safe to send to another process.

    Attributes:
        name: Path relative to the folder that was searched; a series is named after its folder, with ``#`` and a short
            suffix when the folder holds several scans.
        paths: The files it is read from, in slice order.
        kind: ``dicom``, or the name of a format (:mod:`medcls.scans.formats`), as ``nifti`` or ``raster``.
        modality: DICOM modality code; ``OT`` where the source does not say.
        shape: ``(x, y)``, ``(x, y, z)``, or ``(x, y, t)`` of a sequence.
        spacing: Millimetres along each spatial axis where it is :attr:`sized`; else pixels.
        axes: Where the voxel axes point, as nibabel's axis codes (``LPS`` …); empty where there is no geometry.
        channels: 1 for grey, 3 for colour.
        part: Which of several volumes of one series this is, in words (``echo 2``); empty for the only one.
        syntax: DICOM transfer syntax UID; empty for other kinds.
        attributes: Header attributes that name nobody, as :attr:`medcls.scans.Scan.attributes`.
        identity: Identifiers, as :attr:`medcls.scans.Scan.identity`.
        frames: For multi-frame files: which frames of each path belong to this scan; empty for single frames.
        times: ``(t,)`` seconds from the first frame of a sequence; empty for anything else.
        notes: What the search doubted; :attr:`medcls.scans.Scan.notes` begins with it.
    """

    name: str
    paths: Sequence[Path] = field(repr=False)
    kind: str
    modality: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    axes: str = ""
    channels: int = 1
    part: str = ""
    syntax: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    frames: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    times: tuple[float, ...] = field(default=(), repr=False)

    @property
    def sized(self) -> bool:
        """Whether voxel sizes are in millimetres."""
        return bool(self.axes) or is_sized(self.attributes)

    @property
    def walked(self) -> tuple[int, ...]:
        """Shape of all that has to be decoded, or more: of a video every frame, and the last one that is read is behind its
        middle.
        """
        if self.times and (self.kind == "video" or self.syntax in VIDEO):
            return (*self.shape[:2], 2 * (self.frames[0][-1] + 1))
        return self.shape

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID, or empty."""
        return self.identity.get("series_uid", "")

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID, or empty."""
        return self.identity.get("study_uid", "")

    @property
    def patient_id(self) -> str:
        """PatientID, or empty."""
        return self.identity.get("patient_id", "")

    def thinned(self, most: int) -> ScanSource:
        """Of a sequence the source of at most ``most`` frames, as :meth:`medcls.scans.Scan.thinned`; others are not read."""
        if len(self.times) <= most:
            return self
        chosen = spread(self.times, most)
        note = some_frames(len(chosen), len(self.times))
        return replace(
            self,
            shape=(*self.shape[:2], len(chosen)),
            frames=(tuple(self.frames[0][number] for number in chosen),),
            times=tuple(self.times[number] for number in chosen),
            notes=(*self.notes, note),
        )


@runtime_checkable
class OwnSource(Protocol):
    """A source of one's own, for scans of a kind that medcls does not read."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order that they are read."""

    def read(self, *, leniency: Leniency) -> Scan:
        """The scan; raises :class:`medcls.errors.ScanRefused` where it cannot be read correctly."""


ReadableScan = ScanSource | OwnSource
"""What can be read: found by a search, or of one's own."""


@dataclass(frozen=True)
class Refusal:
    """One scan, or one file, that was found and cannot be read correctly.

    Attributes:
        name: As :attr:`ScanSource.name`.
        code: One of :class:`medcls.scans.core.refusals.RefusalCode`.
        reason: Why, in words, with no name or identifier of a patient.
        remedy: What the user can do.
        paths: The files.
        identity: Identifiers, as far as the header gave them away.
    """

    name: str
    code: str
    reason: str
    remedy: str
    paths: Sequence[Path] = field(default=(), repr=False)
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, error: ScanRefused, name: str, paths: Sequence[Path], identity: Mapping[str, str] | None = None
    ) -> Refusal:
        """The refusal that an error stands for."""
        return cls(name, error.code, error.what, error.remedy, paths, identity or {})

    def error(self) -> ScanRefused:
        """The error that this refusal stands for."""
        return ScanRefused(self.code, self.reason, where=self.name, remedy=self.remedy)


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        scans: Scans that can be read, by name.
        refused: Scans and files that cannot, by name.
        ignored: Files that are part of no scan and pretend to be none: DICOMDIR, tables, sidecars, hidden files.
    """

    scans: tuple[ScanSource, ...] = ()
    refused: tuple[Refusal, ...] = ()
    ignored: Sequence[Path] = field(default=(), repr=False)
