"""Looks, sources and scans as JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.paths import Paths
from medcls.scans.core.refusals import refusal_from_json, refusal_to_json
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.dicom.frame import Frame, Header, header_from_json, header_to_json
from medcls.scans.probe.probe import IGNORED, Probed

Json = dict[str, Any]


def probed_to_json(probed: Sequence[Probed]) -> Json:
    """Looks; what frames share, each once, as a frame that comes back is to cost less than a look."""
    headers, planes = _Once(header_to_json), _Once(_plane_to_json)
    rows: list[Any] = []
    for one in probed:
        if one.ignored:
            rows.append(None)
        elif one.refused is not None:
            rows.append({"refused": refusal_to_json(one.refused), "identity": dict(one.identity)})
        elif one.scan is not None:
            rows.append({"scan": source_to_json(one.scan)})
        elif one.members:
            rows.append({"members": list(one.members)})
        else:
            rows.append(
                [
                    (
                        frame.sop_uid,
                        headers.number(id(frame.header), frame.header),
                        frame.index,
                        frame.position,
                        planes.number(_plane_key(frame), frame),
                        frame.number,
                    )
                    for frame in one.frames
                ]
            )
    return {"headers": headers.written, "planes": planes.written, "looks": rows}


def probed_from_json(data: Json, paths: Sequence[str]) -> list[Probed]:
    """The looks of :func:`probed_to_json`, at these files."""
    headers = [header_from_json(one) for one in data["headers"]]
    planes = [_plane_from_json(one) for one in data["planes"]]
    return [_probed_from_json(row, path, headers, planes) for row, path in zip(data["looks"], paths, strict=True)]


def _probed_from_json(row: Any, path: str, headers: Sequence[Header], planes: Sequence[Any]) -> Probed:
    if row is None:
        return IGNORED
    if isinstance(row, list):
        return Probed(
            frames=tuple(
                _FRAME(path, uid, headers[header], index, position and tuple(position), *planes[plane], number)
                for uid, header, index, position, plane, number in row
            )
        )
    if "refused" in row:
        return Probed(refused=refusal_from_json(row["refused"]), identity=row["identity"])
    if "members" in row:
        return Probed(members=tuple(row["members"]))
    return Probed(scan=source_from_json(row["scan"]))


_FRAME: Callable[..., Frame] = Frame  # what is between position and number comes as a list
_Thing = TypeVar("_Thing")


class _Once(Generic[_Thing]):
    """Things that are written once, however many mention them.

    Args:
        write: How one is written.
    """

    def __init__(self, write: Callable[[_Thing], Any]) -> None:
        self.written: list[Any] = []
        self._write = write
        self._numbers: dict[object, int] = {}

    def number(self, key: object, thing: _Thing) -> int:
        """Where the thing of this key stands."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.written)
            self.written.append(self._write(thing))
        return number


def _plane_key(frame: Frame) -> tuple[object, ...]:
    """The same for frames whose :func:`_plane_to_json` is; those of a series mostly have the very same objects."""
    shared = id(frame.orientation), id(frame.spacing), id(frame.splits)
    return (*shared, frame.slope, frame.intercept, frame.thickness, frame.rescale)


def _plane_to_json(frame: Frame) -> list[Any]:
    """What follows the position in a frame."""
    splits = dict(frame.splits)
    return [frame.orientation, frame.spacing, frame.slope, frame.intercept, frame.thickness, splits, frame.rescale]


def _plane_from_json(row: list[Any]) -> tuple[Any, ...]:
    orientation, spacing, *others = row
    return (orientation and tuple(orientation), spacing and tuple(spacing), *others)


def source_to_json(source: ScanSource) -> Json:
    """A source, without its identifiers: whoever reads it finds them in the files."""
    values = {one.name: getattr(source, one.name) for one in fields(source)}
    return {
        **values,
        "paths": Paths.of(source.paths).names,
        "attributes": dict(source.attributes),
        "identity": {},
    }


def source_from_json(data: Json) -> ScanSource:
    """The source of :func:`source_to_json`."""
    return ScanSource(
        **{
            **data,
            "paths": Paths(data["paths"]),
            "shape": tuple(data["shape"]),
            "spacing": tuple(data["spacing"]),
            "frames": tuple(tuple(one) for one in data["frames"]),
            "notes": tuple(data["notes"]),
            "times": tuple(data["times"]),
        }
    )


def scan_to_json(scan: Scan) -> Json:
    """A scan without its voxels; they go their own way, see :func:`memory_order`."""
    return {
        "affine": scan.affine.tolist(),
        "modality": scan.modality,
        "kind": scan.kind,
        "has_geometry": scan.has_geometry,
        "photometric": scan.photometric,
        "attributes": dict(scan.attributes),
        "identity": dict(scan.identity),
        "notes": list(scan.notes),
        "paths": Paths.of(scan.paths).names,
        "times": list(scan.times),
        "dtype": scan.array.dtype.str,
        "shape": list(scan.array.shape),
        "order": list(memory_order(scan.array)),
    }


def scan_from_json(data: Json, memory: Any) -> Scan:
    """The scan of :func:`scan_to_json`, its voxels in ``memory``."""
    values = dict(data)
    dtype, shape, order = np.dtype(values.pop("dtype")), values.pop("shape"), values.pop("order")
    plain = np.frombuffer(memory, dtype=dtype, count=int(np.prod(shape)))
    array = plain.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
    affine = np.array(values.pop("affine"), dtype=np.float64)
    paths, notes, times = Paths(values.pop("paths")), tuple(values.pop("notes")), tuple(values.pop("times"))
    return Scan(array=array, affine=affine, notes=notes, paths=paths, times=times, **values)


def memory_order(array: NDArray[np.generic]) -> tuple[int, ...]:
    """The order of axes in which an array is in memory, slowest first: transposed by it, a dense array is contiguous."""
    return tuple(int(axis) for axis in np.argsort([-abs(step) for step in array.strides], kind="stable"))
