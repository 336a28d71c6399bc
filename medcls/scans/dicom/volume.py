"""Reading one DICOM scan: decode, rescale, place, and say what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.dicom import text as t
from medcls.scans.dicom.decoders import LOSSY
from medcls.scans.dicom.frames import Frame
from medcls.scans.dicom.geometry import slice_affine
from medcls.scans.dicom.headers import read_whole
from medcls.scans.dicom.objects import is_xray_projection
from medcls.scans.dicom.parsing import frames_of
from medcls.scans.dicom.pixels import rescale, stored_frames, value_dtype
from medcls.scans.dicom.series import Stack, layout_of, stacks_of
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.limits import check_size
from medcls.scans.scan import Scan
from medcls.scans.source import ScanSource

CT_AIR = -1024
"""What padded CT voxels become: the lowest value of the usual CT scale, PS3.3 C.7.5.1.1.2 leaves it to the reader."""

Pixels = NDArray[np.generic]


def source_of(stack: Stack, name: str) -> ScanSource:
    """The source of a stack that can be read."""
    first = stack.frames[0]
    header = first.header
    affine, placed, _ = _geometry(stack.frames, fill_gaps=True)
    volume = len(stack.frames) > 1
    slices = layout_of(stack.frames, fill_gaps=True).slices if volume else 1
    spacing = tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    paths = stack.paths
    frames: dict[Path, list[int]] = {path: [] for path in paths}
    for frame in stack.frames:
        frames[frame.header.path].append(frame.index)
    multi = any(frame.header.count > 1 for frame in stack.frames)
    return ScanSource(
        name=name,
        paths=paths,
        kind="dicom",
        modality=header.modality,
        shape=(header.columns, header.rows) + ((slices,) if volume else ()),
        spacing=spacing if volume else spacing[:2],
        reader=read_dicom,
        axes="".join(code or "?" for code in aff2axcodes(affine))[: 3 if volume else 2] if placed else "",
        channels=3 if _is_colour(header.samples, header.photometric) else 1,
        part=stack.part,
        syntax=header.syntax,
        facts=_common(stack.frames, "facts"),
        identity=_identity(stack.frames),
        frames=tuple(tuple(sorted(frames[path])) for path in paths) if multi else (),
    )


def read_dicom(source: ScanSource, leniency: Leniency = STRICT) -> Scan:
    """Read a DICOM scan that :func:`medcls.scans.find_scans` found.

    Raises:
        ScanRefused: Anything about it is not right.
    """
    decoded: dict[tuple[Path, int], Pixels] = {}
    frames: list[Frame] = []
    for number, path in enumerate(source.paths):
        wanted = source.frames[number] if source.frames else (0,)
        for frame, pixels in _decode(path, wanted):
            frames.append(frame)
            decoded[(path, frame.index)] = pixels
        if number == 0:
            _check_memory(frames[0], sum(map(len, source.frames)) or len(source.paths), source.name)
    stacks = stacks_of(frames, fill_gaps=leniency.on_gap != "error")
    stack = _only(stacks, len(frames), source)
    return _assemble(stack, decoded, source, leniency)


def _decode(path: Path, wanted: Sequence[int]) -> Iterator[tuple[Frame, Pixels]]:
    dataset = read_whole(path)
    frames = frames_of(dataset, path)
    if max(wanted) >= len(frames):
        raise refusal(RefusalCode.CHANGED, f"frame {max(wanted) + 1} is no longer there", where=path)
    header = frames[0].header
    if "ModalityLUTSequence" in dataset and t.value(dataset, "ModalityLUTSequence"):
        raise refusal(RefusalCode.UNSUPPORTED, "the values pass through a modality look-up table", where=path)
    try:
        for index, pixels in zip(wanted, stored_frames(dataset, header, wanted), strict=True):
            yield frames[index], pixels
    except ScanRefused as error:
        raise ScanRefused(error.code, error.what, where=error.where or str(path), remedy=error.remedy) from error


def _check_memory(first: Frame, count: int, where: str) -> None:
    check_size((first.header.columns, first.header.rows, first.header.samples, count), where)


def _only(stacks: list[Stack], count: int, source: ScanSource) -> Stack:
    # A split volume was one stack when it was found; the same frames alone must be one stack again.
    if len(stacks) != 1 or len(stacks[0].frames) != count:
        raise refusal(RefusalCode.CHANGED, "the files no longer make one scan", where=source.name)
    if stacks[0].error is not None:
        raise stacks[0].error
    return stacks[0]


def _assemble(stack: Stack, decoded: dict[tuple[Path, int], Pixels], source: ScanSource, leniency: Leniency) -> Scan:
    frames = stack.frames
    notes: list[str] = []
    header = frames[0].header
    affine, placed, tilt = _geometry(frames, fill_gaps=leniency.on_gap != "error")
    if tilt:
        notes.append(f"the gantry was tilted by {tilt:.2f} degrees: the affine is sheared")
    colour = _is_colour(header.samples, header.photometric)
    array, padding = _values(frames, decoded, colour)
    if padding is not None and padding.any():
        notes.append(_fill_padding(array, padding, frames))
    if header.photometric == "MONOCHROME1" and is_xray_projection(header.modality):
        _invert(array, padding)
        notes.append("MONOCHROME1 was inverted: max + min - value")
    if len(frames) > 1:
        layout = layout_of(frames, fill_gaps=leniency.on_gap != "error")
        if layout.missing:
            array = _interpolate(array, layout.places, layout.slices)
            notes.append(f"{len(layout.missing)} missing slices were interpolated: {_listed(layout.missing)}")
    if not placed:
        notes.append("the file does not say where the image lies: the unit is the pixel")
    if stack.part or source.part:
        notes.append(f"one of several volumes of its series: {source.part or stack.part}")
    notes.extend(_doubts(frames))
    # (n, C, rows, columns) to (C, x, y, z): a view, so that nothing is copied.
    shaped = np.transpose(array, (1, 3, 2, 0))
    return Scan(
        array=shaped if len(frames) > 1 else shaped[..., 0],
        affine=affine,
        modality=header.modality,
        kind="dicom",
        has_geometry=placed,
        photometric="rgb" if colour else "grey",
        facts=_common(frames, "facts"),
        identity=_identity(frames),
        notes=tuple(notes),
        paths=stack.paths,
    )


def _geometry(frames: Sequence[Frame], *, fill_gaps: bool) -> tuple[NDArray[np.float64], bool, float]:
    """Affine, whether it is in millimetres, and the tilt in degrees."""
    first = frames[0]
    if len(frames) > 1:
        layout = layout_of(frames, fill_gaps=fill_gaps)
        return layout.affine, True, layout.tilt
    if not first.placed or first.header.projection:
        return np.eye(4), False, 0.0
    thickness = first.thickness if first.thickness and first.thickness > 0 else 1.0
    position, orientation, spacing = first.position or (), first.orientation or (), first.spacing or ()
    return slice_affine(position, orientation, spacing, thickness), True, 0.0


def _values(
    frames: Sequence[Frame], decoded: dict[tuple[Path, int], Pixels], colour: bool
) -> tuple[Pixels, NDArray[np.bool_] | None]:
    """Values ``(n, C, rows, columns)`` in the source's unit, and which voxels are padding."""
    header = frames[0].header
    rows, columns = header.rows, header.columns
    if colour:
        first = decoded[(header.path, frames[0].index)]
        array: Pixels = np.empty((len(frames), 3, rows, columns), dtype=first.dtype)
        for number, frame in enumerate(frames):
            array[number] = np.moveaxis(decoded.pop((frame.header.path, frame.index)), -1, 0)
        return array, None
    widest = max((frame.header for frame in frames), key=lambda item: item.bits_stored)
    dtype = value_dtype(widest, [(frame.slope, frame.intercept) for frame in frames])
    array = np.empty((len(frames), 1, rows, columns), dtype=dtype)
    padded = any(frame.header.padding is not None for frame in frames)
    padding = np.zeros(array.shape, dtype=np.bool_) if padded else None
    for number, frame in enumerate(frames):
        stored = decoded.pop((frame.header.path, frame.index))
        if padding is not None and frame.header.padding is not None:
            padding[number, 0] = _is_padding(stored, frame)
        rescale(stored, frame.slope, frame.intercept, array[number, 0])
    if np.issubdtype(dtype, np.floating) and not np.isfinite(array).all():
        raise refusal(RefusalCode.NOT_FINITE, "the rescaled values are not finite")
    return array, padding


def _is_padding(stored: Pixels, frame: Frame) -> NDArray[np.bool_]:
    """Which stored values are padding: those in PixelPaddingValue..RangeLimit (PS3.3 C.7.5.1.1.2).

    Lossy compression blurs the padding value. In CT, where it lies below air, everything nearer to it than to air is
    padding then.
    """
    low, high = frame.header.padding or (0, -1)
    values = stored.astype(np.int64)
    if frame.header.modality == "CT" and frame.header.syntax in LOSSY and frame.slope > 0:
        air = (CT_AIR - frame.intercept) / frame.slope
        if high < air:
            return np.asarray(values <= (high + air) / 2)
    return np.asarray((values >= low) & (values <= high))


def _fill_padding(array: Pixels, padding: NDArray[np.bool_], frames: Sequence[Frame]) -> str:
    """Give padded voxels a value that no statistics stumble over: air in CT, else the lowest real value.

    A padding value of zero outside CT is left alone: it already is the background.
    """
    modality, count = frames[0].header.modality, int(padding.sum())
    if padding.all():
        return f"all {count} voxels hold the padding value"
    if modality == "CT":
        fill = array.dtype.type(CT_AIR) if np.issubdtype(array.dtype, np.signedinteger) else None
        fill = array.dtype.type(CT_AIR) if np.issubdtype(array.dtype, np.floating) else fill
    else:
        fill = None
        if not array[padding].any():
            return f"{count} voxels are padding, of value 0"
    if fill is None:
        fill = array[~padding].min()
    array[padding] = fill
    return f"{count} padded voxels were set to {fill:g}"


def _invert(array: Pixels, padding: NDArray[np.bool_] | None) -> None:
    """Turn the grey scale round within its range, so that bright stays dense (PS3.3 C.7.6.3.1.2)."""
    real = ~padding if padding is not None and not padding.all() else np.ones(array.shape, dtype=np.bool_)
    low, high = array[real].min(), array[real].max()
    array[real] = (high - (array[real] - low)).astype(array.dtype)
    array[~real] = low


def _interpolate(array: Pixels, places: Sequence[int], slices: int) -> Pixels:
    """Put slices at their grid places, and fill holes linearly from the two neighbours. ``(n, C, rows, columns)``."""
    full = np.empty((slices, *array.shape[1:]), dtype=array.dtype)
    integer = np.issubdtype(array.dtype, np.integer)
    for number, place in enumerate(places):
        full[place] = array[number]
        before = places[number - 1] if number else place
        for hole in range(before + 1, place):
            weight = (hole - before) / (place - before)
            mixed = array[number - 1] * (1 - weight) + array[number] * weight
            full[hole] = np.rint(mixed) if integer else mixed
    return full


def _doubts(frames: Sequence[Frame]) -> list[str]:
    """What a careful reader would want to know, though the scan is read."""
    notes = []
    instances = Counter(frame.header.identity.get("sop_uids", "") for frame in frames if frame.header.count == 1)
    if instances and max(instances.values()) > 1:
        notes.append("several slices carry the same SOPInstanceUID")
    units = {frame.header.facts.get("units", "") for frame in frames}
    if frames[0].header.modality == "CT" and units - {"", "HU"}:
        notes.append(f"CT values are not in HU but in {'/'.join(sorted(units - {'', 'HU'}))}")
    if frames[0].header.facts.get("burned_in") == "yes":
        notes.append("the header says that annotations are burned into the pixels")
    return notes


def _is_colour(samples: int, photometric: str) -> bool:
    return samples >= 3 or photometric == "PALETTE COLOR"


def _common(frames: Sequence[Frame], name: str) -> dict[str, str]:
    """What all frames agree on."""
    first: dict[str, str] = dict(getattr(frames[0].header, name))
    for header in {id(frame.header): frame.header for frame in frames}.values():
        other = getattr(header, name)
        first = {key: value for key, value in first.items() if other.get(key) == value}
    return first


def _identity(frames: Sequence[Frame]) -> dict[str, str]:
    identity = _common(frames, "identity")
    uids = dict.fromkeys(frame.header.identity.get("sop_uids", "") for frame in frames)
    joined = " ".join(uid for uid in uids if uid)
    return {**identity, "sop_uids": joined} if joined else identity


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    return shown + (", …" if len(numbers) > 8 else "")
