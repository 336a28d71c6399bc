"""Reading one DICOM scan: decode, rescale, place, and say what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.guard import naming
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.limits import check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.pixel_shape import plane_affine
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import STORED_UNIT, Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.transfer_syntaxes import VIDEO
from medcls.scans.dicom.frame import ABSENT, HALF, UNUSED, Frame, counted
from medcls.scans.dicom.frames.geometry import Layout, axis_codes, slice_affine
from medcls.scans.dicom.frames.instance import Instance, Scratch, open_instance
from medcls.scans.dicom.frames.pixel_size import pixel_size_doubts
from medcls.scans.dicom.frames.presentation import inverted_by, presentation_doubts
from medcls.scans.dicom.parse.sop_classes import is_xray_projection
from medcls.scans.dicom.pixels.decode import stored_frames, uncounted_frames
from medcls.scans.dicom.pixels.padding import CT_AIR, is_padding
from medcls.scans.dicom.pixels.video_stream import video_frames
from medcls.scans.dicom.series.assembly import Assembly
from medcls.scans.dicom.series.group_series import Stack, stacks_of
from medcls.scans.dicom.series.resampling import even_grid, fill_holes, regrid, straight_grid, straighten
from medcls.scans.dicom.series.split_volumes import changes_within, says_in_turn
from medcls.scans.dicom.values.rescale import leads_back_to_intensity
from medcls.scans.dicom.values.suv import agreed, factor

Pixels = NDArray[np.generic]


def source_of(stack: Stack, name: str, leniency: Leniency) -> ScanSource:
    """The source of a stack that can be read."""
    first = stack.frames[0]
    header = first.header
    affine, placed = _affine(stack)
    shape: tuple[int, ...] = (header.columns, header.rows)
    if stack.layout is not None:
        shape, affine = _planned(stack.layout, shape, leniency)
        check_size((*shape, 3 if header.colour else 1), name)
    if stack.times:
        shape = (*shape, len(stack.frames))
    spacing = tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    paths = stack.paths
    return ScanSource(
        name=name,
        paths=paths,
        kind="dicom",
        modality=header.modality,
        shape=shape,
        spacing=spacing[: 2 if stack.times else len(shape)],
        axes=axis_codes(affine)[: len(shape)] if placed else "",
        channels=3 if header.colour else 1,
        part=stack.part,
        syntax=header.syntax,
        attributes=_attributes(stack.frames),
        identity=stack.identity,
        frames=_numbers(stack),
        times=stack.times,
    )


def read_dicom(source: ScanSource, leniency: Leniency = STRICT) -> Scan:
    """Read a DICOM scan that :func:`medcls.scans.find_scans` found.

    Raises:
        ScanRefused: Anything about it is not right.
    """
    count = sum(map(len, source.frames)) or len(source.paths)
    assembly, scratch = Assembly(count), Scratch()
    for number, path in enumerate(source.paths):
        wanted = source.frames[number] if source.frames else (0,)
        with naming(path), open_instance(path, scratch, by_frames=bool(source.times)) as instance:
            _take(assembly, instance, wanted, path)
    return finish(assembly, source, leniency)


def _take(assembly: Assembly, instance: Instance, wanted: Sequence[int], path: Path) -> None:
    frames = instance.frames
    if max(wanted) >= len(frames):
        raise refusal(RefusalCode.CHANGED, f"frame {max(wanted) + 1} is no longer there", where=path)
    if frames[0].header.syntax in VIDEO:
        decoded, header = video_frames(instance.pixels, frames[0].header, wanted, path)
        frames = [replace(frame, header=header) for frame in frames]
    else:
        more = uncounted_frames(instance.pixels, frames[0].header)
        frames = [counted(frame, more) for frame in frames]
        decoded = stored_frames(instance.pixels, frames[0].header, wanted)
    for index, pixels in zip(wanted, decoded, strict=True):
        frame, values = _looked_up(frames[index], pixels, instance)
        padding = is_padding(pixels, frames[index])
        assembly.take([frame], values[np.newaxis], None if padding is None else padding[np.newaxis])


def _looked_up(frame: Frame, stored: Pixels, instance: Instance) -> tuple[Frame, Pixels]:
    """The frame and its values behind a modality look-up table, where the file has one (PS3.3 C.11.1)."""
    dataset, header = instance.pixels.dataset, frame.header
    if dataset is None or "ModalityLUTSequence" not in dataset or header.colour:
        return frame, stored
    from medcls.scans.dicom.values.modality_lut import modality_lut, table_items

    if leads_back_to_intensity(header.sop_class):
        return replace(frame, rescale=UNUSED if table_items(dataset) else frame.rescale), stored
    lut = modality_lut(dataset, header)
    if lut is None:
        return frame, stored
    values = lut.apply(stored)
    attributes = {**header.attributes, **({"units": lut.unit} if lut.unit not in ("", "US") else {})}
    looked = replace(header, bits_stored=values.dtype.itemsize * 8, signed=False, attributes=attributes)
    return replace(frame, header=looked, slope=1.0, intercept=0.0), values


def finish(assembly: Assembly, source: ScanSource, leniency: Leniency) -> Scan:
    """The scan of frames that were all taken.

    Raises:
        ScanRefused: They do not make one scan, or no more.
    """
    stack = only_stack(assembly.frames, source, leniency)
    notes: list[str] = []
    if stack.copies:
        assembly.check_copies(stack)
        notes.append(Note.COPIES.says(f"copies of slices were left out: {len(stack.copies)}"))
    array = assembly.arranged(stack.frames)
    header = stack.frames[0].header
    affine, placed = _affine(stack)
    notes.extend(filter(None, [assembly.padding.fill(array, ct=stack.frames[0].rescaled_ct)]))
    if is_xray_projection(header.modality) and (by := inverted_by(header)):
        together = 1 if stack.times else len(array)  # a frame is the same whichever others are read
        for first in range(0, len(array), together):
            assembly.invert(array[first : first + together], first)
        notes.append(Note.INVERTED.says(f"{by} was inverted: max + min - value"))
    if stack.layout is not None:
        array, affine = _placed(array, stack.layout, leniency, notes)
    return described(stack, source, array, affine, placed, notes)


def only_stack(frames: Sequence[Frame], source: ScanSource, leniency: Leniency) -> Stack:
    """The one stack that the frames of a source make.

    Raises:
        ScanRefused: They do not make one scan, or no more.
    """
    stacks = stacks_of(frames, leniency)
    # A split volume was one stack when it was found; the same frames alone must be one stack again.
    if len(stacks) != 1 or len(stacks[0].frames) + len(stacks[0].copies) != len(frames):
        raise refusal(RefusalCode.CHANGED, "the files no longer make one scan", where=source.name)
    if stacks[0].error is not None:
        raise stacks[0].error
    return stacks[0]


def described(
    stack: Stack, source: ScanSource, array: Pixels, affine: NDArray[np.float64], placed: bool, notes: Sequence[str]
) -> Scan:
    """The scan of a stack: voxels ``(n, C, rows, columns)`` in their final place, and what the headers say."""
    said = list(notes)
    if not placed:
        header = stack.frames[0].header
        said.extend(pixel_size_doubts(header))
    if stack.part or source.part:
        said.append(Note.PART.says(f"one of several volumes of its series: {source.part or stack.part}"))
    header = stack.frames[0].header
    if header.timing:
        said.append(Note.FRAME_TIMES.says(header.timing))
    said.extend(_doubts(stack.frames))
    # (n, C, rows, columns) to (C, x, y, z): a view, so that nothing is copied.
    shaped = np.transpose(array, (1, 3, 2, 0))
    return Scan(
        array=shaped if len(stack.frames) > 1 or stack.times else shaped[..., 0],
        affine=affine,
        modality=header.modality,
        kind="dicom",
        has_geometry=placed,
        photometric="rgb" if header.colour else "grey",
        attributes=_attributes(stack.frames),
        identity=stack.identity,
        notes=tuple(said),
        paths=stack.paths,
        times=stack.times,
    )


def _numbers(stack: Stack) -> tuple[tuple[int, ...], ...]:
    """Which frames of each file belong to the stack; empty where every file has one."""
    if all(frame.header.count == 1 for frame in stack.frames):
        return ()
    numbers: dict[str, list[int]] = {name: [] for name in stack.paths.names}
    for frame in (*stack.frames, *stack.copies):
        numbers[frame.path].append(frame.index)
    return tuple(tuple(sorted(found)) for found in numbers.values())


def _affine(stack: Stack) -> tuple[NDArray[np.float64], bool]:
    """Affine as measured, and whether it is in millimetres."""
    first = stack.frames[0]
    if stack.layout is not None:
        return stack.layout.affine, True
    if not first.placed or first.header.projection:
        return plane_affine(*(first.header.pixel_spacing or (1.0, 1.0))), False
    thickness = first.thickness if first.thickness and first.thickness > 0 else 1.0
    position, orientation, spacing = first.position or (), first.orientation or (), first.spacing or ()
    return slice_affine(position, orientation, spacing, thickness), True


def _placed(array: Pixels, layout: Layout, leniency: Leniency, notes: list[str]) -> tuple[Pixels, NDArray[np.float64]]:
    """Put slices ``(n, C, rows, columns)`` on their grid, and say what had to be done."""
    affine = _evened(layout, leniency)[1]
    if layout.missing:
        how, done = ("nearest", "repeat a neighbour") if leniency.on_gap == "warn" else ("linear", "were interpolated")
        array = fill_holes(array, layout.places, layout.slices, how)  # type: ignore[arg-type]
        numbers = _listed([place + 1 for place in layout.missing])
        notes.append(Note.GAP.says(f"missing slices {done}: {numbers} of {layout.slices}"))
    if layout.heights:
        steps = np.diff(layout.heights)
        uneven = f"the slices are {steps.min():.3f} to {steps.max():.3f} mm apart"
        if leniency.on_uneven == "resample":
            array, spacing = regrid(array, layout.heights)
            notes.append(Note.UNEVEN.says(f"{uneven}: they were interpolated to {spacing:.3f} mm"))
        else:
            notes.append(Note.UNEVEN.says(f"{uneven}: the affine has their mean"))
    if layout.tilt:
        tilted = f"the gantry was tilted by {layout.tilt:.2f} degrees"
        if leniency.on_tilt == "resample":
            lowest = array.min() if array.min() > CT_AIR or array.dtype.kind == "u" else CT_AIR
            array, affine = straighten(array, affine, float(lowest))
            notes.append(Note.TILTED.says(f"{tilted}: the slices were shifted onto a right-angled grid"))
        else:
            notes.append(Note.TILTED.says(f"{tilted}: the affine is sheared"))
    return array, affine


def _planned(layout: Layout, plane: tuple[int, ...], leniency: Leniency) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Shape ``(x, y, z)`` and affine of what :func:`_placed` will give, from the layout alone."""
    slices, affine = _evened(layout, leniency)
    if not (layout.tilt and leniency.on_tilt == "resample"):
        return (*plane, slices), affine
    grid = straight_grid(affine, slices)
    return (plane[0] + grid.more[0], plane[1] + grid.more[1], slices), grid.affine


def _evened(layout: Layout, leniency: Leniency) -> tuple[int, NDArray[np.float64]]:
    """Slices and affine once holes are filled and distances are even, before a tilt is made straight."""
    if not layout.heights or leniency.on_uneven != "resample":
        return layout.slices, layout.affine
    slices, spacing = even_grid(layout.heights)
    return slices, _stretched(layout.affine, spacing)


def _stretched(affine: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """The same affine with slices ``spacing`` apart along their normal."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    height = abs(float(affine[:3, 2] @ normal)) / float(np.linalg.norm(normal))
    stretched = affine.copy()
    stretched[:3, 2] *= spacing / height
    return stretched


def _doubts(frames: Sequence[Frame]) -> list[str]:
    """What a careful reader would want to know, though the scan is read."""
    notes = []
    instances = Counter(frame.sop_uid for frame in frames if frame.header.count == 1)
    if instances and max(instances.values()) > 1:
        notes.append(Note.SAME_INSTANCE.says("several slices carry the same SOPInstanceUID"))
    if more := sum({frame.path: frame.uncounted for frame in frames}.values()):
        notes.append(Note.INCOMPLETE.says(f"frames of pixels that the header does not count were not read: {more}"))
    notes.extend(_doubts_of_unit(frames))
    changes = changes_within(frames)
    if changes:
        notes.append(Note.CHANGES.says(f"the parts of the volume differ: {', '.join(changes)}"))
    if names := says_in_turn(frames):
        what = f"slices in turn differ in their {' and '.join(names)}, and make one even grid: taken as one volume"
        notes.append(Note.CHANGES.says(what))
    if frames[0].header.attributes.get("burned_in") == "yes":
        notes.append(Note.BURNED_IN.says("the header says that annotations are burned into the pixels"))
    return [*notes, *presentation_doubts(frames[0].header)]


def _doubts_of_unit(frames: Sequence[Frame]) -> list[str]:
    notes = []
    modality, said = frames[0].header.modality, {frame.rescale for frame in frames}
    units = {frame.header.attributes.get("units", "") for frame in frames} - {""}
    if modality == "CT" and ABSENT in said:
        notes.append(Note.NOT_HOUNSFIELD.says("the header has no rescale: CT values are as stored, in no known unit"))
    elif modality == "CT" and units - {"HU"}:
        notes.append(Note.NOT_HOUNSFIELD.says(f"CT values are not in HU but in {'/'.join(sorted(units - {'HU'}))}"))
    elif modality == "PT" and factor(why := _attributes(frames)["suv_bw"]) is None:
        notes.append(Note.PET_UNITS.says(f"no SUV can be computed: {why}"))
    if HALF in said:
        notes.append(Note.HALF_RESCALE.says("slope or intercept is missing in the header: 1 or 0 was taken for it"))
    if UNUSED in said:
        notes.append(
            Note.UNUSED_TABLE.says("values are as stored: the header's way back to X-ray intensity was not taken")
        )
    return notes


def _attributes(frames: Sequence[Frame]) -> dict[str, str]:
    """What all frames agree on; CT values without a rescale have no unit, whatever the header calls them."""
    attributes = _common(frames, "attributes")
    if frames[0].header.modality == "CT" and any(frame.rescale == ABSENT for frame in frames):
        attributes["units"] = STORED_UNIT
    if frames[0].header.modality == "PT":
        attributes |= agreed([{} if frame.rescale == ABSENT else frame.header.attributes for frame in frames])
    return attributes


def _common(frames: Sequence[Frame], name: str) -> dict[str, str]:
    """What all frames agree on."""
    first: dict[str, str] = dict(getattr(frames[0].header, name))
    for header in {id(frame.header): frame.header for frame in frames}.values():
        other = getattr(header, name)
        first = {key: value for key, value in first.items() if other.get(key) == value}
    return first


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    return shown + (", …" if len(numbers) > 8 else "")
