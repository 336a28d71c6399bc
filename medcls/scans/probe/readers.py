"""Readers: which one reads which kind of source, with decoders and all, in the process that asks."""

from __future__ import annotations

from medcls.scans.core.leniency import Leniency
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.formats import FORMATS
from medcls.scans.formats.installed import named


def read_here(source: ScanSource, leniency: Leniency) -> Scan:
    """Read a source with decoders and all, in this process: for the sandbox.

    Raises:
        ScanRefused: It cannot be read correctly.
    """
    if source.kind == "dicom":
        from medcls.scans.dicom.series.volume import read_dicom

        return read_dicom(source, leniency)
    return (FORMATS.get(source.kind) or named(source.kind)).read(source)
