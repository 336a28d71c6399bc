"""NIfTI-1 and NIfTI-2 volumes (https://nifti.nimh.nih.gov), single files and ``.hdr``/``.img`` pairs, packed or not.

Header parsing is nibabel's; which affine is taken, what counts as a volume and how many bytes are read is decided here,
so that nothing is guessed in silence.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import imagecodecs
import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medcls.scans.archive import exists, file_stat, is_regular, open_file, open_unpacked, unpacked_size
from medcls.scans.core.limits import MAX_DEFLATE_RATIO, check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.voxel_memory import empty
from medcls.scans.formats.checks import check_affine, finite_values, plain_values, spatial_shape

_TO_MM = {1: 1000.0, 2: 1.0, 3: 1e-3}  # xyzt_units: metre, millimetre, micrometre
_INTENTS = {  # nifti1.h
    **dict.fromkeys(range(2, 25), "a statistic"),
    **dict.fromkeys((1002, 1003), "labels"),
    **dict.fromkeys((1006, 1007), "vectors"),
}
_FORMS_DIFFER_MM = 0.1
_MOST_BEHIND = 1 << 28
_ROOM_BEHIND = 1 << 20  # bytes that may follow the voxels


@dataclass(frozen=True)
class Volume:
    """What a NIfTI header says.

    Attributes:
        path: The file that was named.
        pixels: The file that holds the voxels: the same, or the ``.img`` of a pair.
        offset: Where in it they begin, bytes.
        stored: ``dim``: the stored shape, up to 7 axes.
        shape: Spatial shape ``(x, y)`` or ``(x, y, z)``.
        dtype: Stored type, byte order included; structured for RGB.
        slope, intercept: Scaling, 1 and 0 when there is none.
        affine: ``(4, 4)`` voxel to RAS+ millimetres.
        has_geometry: Whether a form code says what the affine means.
        notes: What is doubtful.
    """

    path: Path
    pixels: Path
    offset: int
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    has_geometry: bool
    notes: tuple[str, ...]

    @property
    def colour(self) -> bool:
        """Whether voxels are RGB or RGBA."""
        return self.dtype.names is not None


def find(path: Path) -> ScanSource:
    """The source of a NIfTI file, from its header.

    Raises:
        ScanRefused: ``four-dimensional``, ``bad-geometry``, ``unsupported``, ``damaged`` or ``too-large``.
    """
    volume = read_volume_header(path)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)[: len(volume.shape)]
    axes = "".join(code or "?" for code in aff2axcodes(volume.affine))[: len(volume.shape)]
    return ScanSource(
        name="",
        paths=(path,) if volume.pixels == path else (path, volume.pixels),
        kind="nifti",
        modality="OT",
        shape=volume.shape,
        spacing=tuple(float(length) for length in spacing),
        axes=axes if volume.has_geometry else "",
        channels=3 if volume.colour else 1,
        attributes={"bit_depth": str(8 * (1 if volume.colour else volume.dtype.itemsize))},
    )


def read(source: ScanSource) -> Scan:
    """Read a NIfTI file.

    Voxels without a finite value become the lowest finite one (positive infinity the highest), and are noted.

    Raises:
        ScanRefused: As :func:`find`, and ``not-finite``.
    """
    volume = read_volume_header(source.paths[0])
    data = _voxels(volume)
    notes = list(volume.notes)
    if volume.colour:
        if data.dtype.names is not None and len(data.dtype.names) == 4:
            notes.append(Note.ALPHA.says("the alpha channel was dropped"))
        array: NDArray[np.generic] = np.stack([data[channel] for channel in ("R", "G", "B")])
    else:
        array = _values(data, volume, notes)[np.newaxis]
    return Scan(
        array=array,
        affine=volume.affine,
        modality="OT",
        kind="nifti",
        has_geometry=volume.has_geometry,
        photometric="rgb" if volume.colour else "grey",
        attributes=dict(source.attributes),
        identity={},
        notes=tuple(notes),
        paths=source.paths,
    )


def read_volume_header(path: Path) -> Volume:
    """Read and judge a NIfTI header; see :func:`find` for what is refused."""
    with _open(path) as stream:
        block = stream.read(544)
    header = _parse(block, path)
    if _is_surface(header):
        raise refusal(RefusalCode.NOT_AN_IMAGE, "a CIFTI file: values on a brain's surface, and no volume", where=path)
    stored = tuple(int(size) for size in header.get_data_shape())
    dtype = header.get_data_dtype()
    check_size(stored or (0,), path)
    shape = spatial_shape(stored, path)
    if dtype.kind not in "iufV" or (dtype.names is not None and dtype.names[:3] != ("R", "G", "B")):
        remedy = "Save the volume as whole or real numbers"
        raise refusal(RefusalCode.UNSUPPORTED, f"voxels of type {dtype}", where=path, remedy=remedy)
    affine, has_geometry, notes = _affine(header, path)
    slope, intercept = _scaling(header, path)
    pair = bytes(header["magic"].tobytes())[:2] == b"ni" and bytes(header["magic"].tobytes())[2:3] != b"+"
    pixels = _pixels_of_pair(path) if pair else path
    volume = Volume(
        path, pixels, int(header.get_data_offset()), stored, shape, dtype, slope, intercept, affine, has_geometry, notes
    )
    _check_room(volume)
    return volume


def _parse(block: bytes, path: Path) -> Any:
    if len(block) < 348:
        raise refusal(RefusalCode.DAMAGED, "the header is cut short", where=path)
    second = 540 in (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    if not second and block[344:346] != b"n+" and block[344:346] != b"ni":
        what = "an Analyze 7.5 file, which does not say left from right"
        remedy = "Convert it to NIfTI with a tool that knows how it was written"
        raise refusal(RefusalCode.UNSUPPORTED, what, where=path, remedy=remedy)
    block = block[: 540 if second else 348]
    try:
        header = kind(block, check=True)
    except (HeaderDataError, ValueError) as error:
        raise refusal(RefusalCode.DAMAGED, "the NIfTI header contradicts itself", where=path) from error
    # Checking makes sizes of zero to one, which only an axis of one voxel may have.
    nothing = (kind(block, check=False)["pixdim"][1:4] == 0) & (header["dim"][1:4] > 1)
    header["pixdim"][1:4][nothing] = 0
    return header


def _is_surface(header: Any) -> bool:
    """Whether the intent is one of CIFTI-2's (NIFTI_INTENT_CONNECTIVITY_UNKNOWN and on, 3000 to 3099)."""
    return 3000 <= int(header["intent_code"]) < 3100


def _affine(header: Any, path: Path) -> tuple[NDArray[np.float64], bool, tuple[str, ...]]:
    """The sform if it has a code, else the qform, else pixdim alone (methods 3, 2 and 1 of nifti1.h)."""
    notes: list[str] = []
    with_sform, with_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if with_sform:
        affine = header.get_sform()
        if with_qform and _far_apart(affine, header):
            notes.append(Note.FORMS_DIFFER.says("sform and qform differ: the sform was taken"))
    elif with_qform:
        try:
            affine = header.get_qform()
        except (HeaderDataError, ValueError) as error:
            raise refusal(RefusalCode.BAD_GEOMETRY, "the qform is no rotation", where=path) from error
    else:
        sizes = [abs(float(size)) for size in header["pixdim"][1:4]]
        affine = np.diag([*(size or 1.0 for size in sizes), 1.0])
        known = "voxel sizes are known, but" if all(sizes) else "voxel sizes are not known, and"
        notes.append(Note.SIDE_UNKNOWN.says(f"neither sform nor qform: {known} not which side is left"))
    if held := _INTENTS.get(int(header["intent_code"])):
        notes.append(Note.PRESENTATION.says(f"by the intent of its header the file holds {held}, and no picture"))
    unit = int(header["xyzt_units"]) & 7
    affine = np.asarray(affine, dtype=np.float64).copy()
    if _TO_MM.get(unit, 1.0) != 1.0:
        affine[:3] *= _TO_MM[unit]
        notes.append(Note.CONVERTED_UNIT.says("positions were not in millimetres: converted"))
    check_affine(affine, path)
    return affine, with_sform or with_qform, tuple(notes)


def _far_apart(sform: NDArray[np.float64], header: Any) -> bool:
    """Whether sform and qform place any corner of the volume apart."""
    sizes = [*header.get_data_shape(), 1, 1, 1][:3]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in sizes])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    try:
        difference = (np.asarray(sform) - header.get_qform()) @ corners
    except (HeaderDataError, ValueError):
        return True
    return not bool(np.abs(difference).max() <= _FORMS_DIFFER_MM)


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    if math.isinf(float(header["scl_slope"])) or math.isinf(float(header["scl_inter"])):
        raise refusal(RefusalCode.NOT_FINITE, "scl_slope or scl_inter is not finite", where=path)
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise refusal(RefusalCode.NOT_FINITE, "scl_slope or scl_inter is not finite", where=path) from error
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))


def _pixels_of_pair(path: Path) -> Path:
    for suffix in (".img", ".img.gz"):
        beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".hdr") + suffix)
        if is_regular(beside):
            return beside
        if exists(beside):
            raise refusal(RefusalCode.DAMAGED, "the .img file of this header is no regular file", where=path)
    raise refusal(RefusalCode.DAMAGED, "the .img file of this header is missing", where=path)


def _check_room(volume: Volume) -> None:
    """Refuse a header that declares more than its file can hold, before any memory is taken."""
    declared = volume.offset + _size_of(volume)
    pixels = volume.pixels
    size = file_stat(pixels)[0] * MAX_DEFLATE_RATIO if _is_gzip(pixels) else unpacked_size(pixels)
    if declared > size:
        raise refusal(RefusalCode.DAMAGED, "the file is shorter than its header declares", where=volume.path)


def _voxels(volume: Volume) -> NDArray[Any]:
    wanted = _size_of(volume)
    quick = _unpacked(volume.pixels, volume.offset + wanted)
    if quick is not None:
        return np.frombuffer(
            quick, dtype=volume.dtype, count=wanted // volume.dtype.itemsize, offset=volume.offset
        ).reshape(volume.shape, order="F")
    try:
        with _open(volume.pixels) as stream:
            stream.seek(volume.offset)
            data, there = empty((wanted,), np.uint8), 0
            while there < wanted and (count := stream.readinto(data.data[there:])):  # type: ignore[union-attr]
                there += count
            _read_out(stream, volume)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise refusal(RefusalCode.DAMAGED, "the compressed data are cut short or damaged", where=volume.path) from error
    if there < wanted:
        raise refusal(RefusalCode.DAMAGED, f"{there} of {wanted} bytes of voxels are there", where=volume.path)
    return data.view(volume.dtype).reshape(volume.shape, order="F")


def _read_out(stream: IO[bytes] | gzip.GzipFile, volume: Volume) -> None:
    """Read a gzip file to its end, where its checksum is."""
    left = _MOST_BEHIND
    while isinstance(stream, gzip.GzipFile) and (part := stream.read(_ROOM_BEHIND)):
        left -= len(part)
        if left < 0:
            raise refusal(RefusalCode.DAMAGED, "the file holds far more than its header declares", where=volume.path)


def _unpacked(path: Path, needed: int) -> NDArray[Any] | None:
    """All bytes of a gzip file of one member, through libdeflate; ``None`` where Python's own gzip is to judge.

    The length at the end of the file (ISIZE, RFC 1952) bounds what is unpacked.
    """
    if not _is_gzip(path):
        return None
    with open_file(path) as handle:
        packed = handle.read()
    length = int.from_bytes(packed[-4:], "little")
    if not needed <= length <= needed + _ROOM_BEHIND:
        return None
    room = empty((length,), np.uint8)
    try:
        unpacked = imagecodecs.gzip_decode(packed, out=room.data)
    except (imagecodecs.GzipError, ValueError):
        return None
    return room if len(unpacked) == length else None


def _size_of(volume: Volume) -> int:
    return int(np.prod(volume.stored, dtype=object)) * volume.dtype.itemsize


def _values(data: NDArray[Any], volume: Volume, notes: list[str]) -> NDArray[np.generic]:
    """Scale, make native, and deal with voxels that are not finite. ``(x, y, z)`` both ways."""
    if volume.slope != 1.0 or volume.intercept != 0.0:
        scaled = data.astype(np.float64) * volume.slope + volume.intercept
        return finite_values(scaled, volume.path, notes)
    return plain_values(data, volume.path, notes)


def _is_gzip(path: Path) -> bool:
    with open_file(path) as handle:
        return handle.read(2) == b"\x1f\x8b"


def _open(path: Path) -> gzip.GzipFile | IO[bytes]:
    return gzip.open(open_file(path), "rb") if _is_gzip(path) else open_unpacked(path)
