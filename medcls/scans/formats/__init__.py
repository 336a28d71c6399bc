"""Formats of scans beside DICOM, a row for each: a new one is its file here, with ``find`` and ``read``, and its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.video_files import is_video
from medcls.scans.formats.format import Format
from medcls.scans.formats.signatures import is_metaimage, is_mgh, is_nifti, is_nrrd, is_raster

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
_VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")


def _row(
    name: str,
    matches: Callable[[bytes], bool],
    endings: tuple[str, ...],
    *,
    packed: bool = False,
    voxels: Mapping[str, str] | None = None,
    title: str = "",
) -> Format:
    """The format of a module of this folder, which is imported, with its libraries, when a file of it is met."""
    module = f"{__name__}.{name}"

    def find(path: Path) -> ScanSource:
        found: ScanSource = import_module(module).find(path)
        return found

    def read(source: ScanSource) -> Scan:
        scan: Scan = import_module(module).read(source)
        return scan

    return Format(name, matches, find, read, endings, packed, voxels or {}, title)


FORMATS: Mapping[str, Format] = {
    row.name: row
    for row in (
        _row("raster", is_raster, _PICTURES, title="picture"),
        _row("nifti", is_nifti, (".nii", ".nii.gz", ".hdr"), packed=True, voxels={".img": ".hdr"}, title="NIfTI"),
        _row("mgh", is_mgh, (".mgz", ".mgh"), packed=True, title="MGH"),
        _row(
            "metaimage",
            is_metaimage,
            (".mha", ".mhd"),
            voxels=dict.fromkeys((".img", ".raw", ".zraw"), ".mhd"),
            title="MetaImage",
        ),
        _row(
            "nrrd",
            is_nrrd,
            (".nrrd", ".nhdr"),
            voxels=dict.fromkeys((".img", ".raw", ".raw.gz"), ".nhdr"),
            title="NRRD",
        ),
        _row("video", is_video, _VIDEOS),
    )
}
"""By name, in the order in which a file is held against them."""
