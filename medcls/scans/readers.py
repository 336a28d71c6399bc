"""Readers: which one reads which kind of source, with decoders and all, in the process that asks."""

from __future__ import annotations

from medcls.scans.leniency import Leniency
from medcls.scans.scan import Scan
from medcls.scans.source import ScanSource


def read_here(source: ScanSource, leniency: Leniency) -> Scan:
    """Read a source with decoders and all, in this process: for the sandbox.

    Raises:
        ScanRefused: It cannot be read rightly.
    """
    if source.kind == "dicom":
        from medcls.scans.dicom.volume import read_dicom

        return read_dicom(source, leniency)
    if source.kind == "nifti":
        from medcls.scans.nifti import read_nifti

        return read_nifti(source)
    if source.kind == "mgh":
        from medcls.scans.mgh import read_mgh

        return read_mgh(source)
    if source.kind in ("nrrd", "metaimage"):
        from medcls.scans.itk_formats import read_itk

        return read_itk(source)
    if source.kind == "video":
        from medcls.scans.video import read_video

        return read_video(source)
    from medcls.scans.raster import read_raster

    return read_raster(source)
