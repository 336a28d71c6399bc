"""Readers: which one reads which kind of source, with decoders and all, in the process that asks."""

from __future__ import annotations

from medcls.scans.core.leniency import Leniency
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource


def read_here(source: ScanSource, leniency: Leniency) -> Scan:
    """Read a source with decoders and all, in this process: for the sandbox.

    Raises:
        ScanRefused: It cannot be read correctly.
    """
    if source.kind == "dicom":
        from medcls.scans.dicom.series.volume import read_dicom

        return read_dicom(source, leniency)
    if source.kind == "nifti":
        from medcls.scans.formats.nifti import read_nifti

        return read_nifti(source)
    if source.kind == "mgh":
        from medcls.scans.formats.mgh import read_mgh

        return read_mgh(source)
    if source.kind in ("nrrd", "metaimage"):
        from medcls.scans.formats.itk_formats import read_itk

        return read_itk(source)
    if source.kind == "video":
        from medcls.scans.formats.video import read_video

        return read_video(source)
    from medcls.scans.formats.raster import read_raster

    return read_raster(source)
