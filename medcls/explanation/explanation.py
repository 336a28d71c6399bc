"""Explanation: where the network looked, in the scan's own space."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.display import one_line
from medcls.errors import UsageError
from medcls.explanation.methods import METHODS, Attribution
from medcls.explanation.native import cell_affines, to_scan_space
from medcls.explanation.overlay import draw_overlay, draw_slices, save_png
from medcls.explanation.slices import edge_letters, hottest_frames, slices_through_peak
from medcls.files import as_path, whole_file
from medcls.networks import ClassificationNetwork
from medcls.preprocessing.images.prepared import Prepared
from medcls.progress import SILENT, Progress
from medcls.scans import Scan
from medcls.values.map_methods import GRAD_CAM, MapChoice

_CT_WINDOW = (-1000.0, 400.0)  # HU; shows lung, soft tissue and bone at once
_FEWEST_CELLS = 4


@dataclass(frozen=True, eq=False)
class Explanation:
    """A map of one scan for one label.

    Attributes:
        label: The label that the map argues for.
        map: ``(x, y)``, ``(x, y, z)`` or ``(x, y, t)`` float32 on the scan's own voxels: raw, not negative, 0 where nothing
            argues for the label or the network did not look. It is relative to a probability of 0.5, whatever the threshold: a
            label may be predicted over an empty map.
        seen: Which voxels the network looked at, of the same shape.
        affine: ``(4, 4)``, the scan's: voxel index to RAS+ millimetres.
        peak: World position of the map's hottest cell, in millimetres (pixels where there is no geometry), the middle one of
            several; ``None`` for an empty map.
        cells: Cells along each axis of a view: the true resolution of the map. They are those of a feature map, or of
            the image itself.
        cell_size: Size of a cell along each of the view's axes, in millimetres (pixels without geometry).
        cell_axes: ``(3, axes)``, unit vectors of the cells' axes in the scan's world.
        scan: The scan that is explained.
        notes: What a reader of the map should know.
        by: What made the map.
    """

    label: str
    map: NDArray[np.float32]
    seen: NDArray[np.bool_]
    affine: NDArray[np.float64]
    peak: tuple[float, float, float] | None
    cells: tuple[int, ...]
    cell_size: tuple[float, ...]
    cell_axes: NDArray[np.float64]
    scan: Scan = field(repr=False)
    notes: tuple[str, ...] = ()
    by: MapChoice = GRAD_CAM

    @property
    def resolution(self) -> str:
        """How many cells there are, and how large: ``7 x 7 cells, 32 x 32 mm each``."""
        count = " x ".join(map(str, self.cells))
        size = " x ".join(f"{one:.0f}" if one >= 10 else f"{one:.2g}" for one in self.cell_size)
        return f"{count} cells, {size} {'mm' if self.scan.sized else 'pixels'} each"

    @property
    def is_empty(self) -> bool:
        """Whether nothing in the scan argues for the label."""
        return self.peak is None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as NIfTI, with the scan's affine and shape.

        A sheared affine (a tilted gantry) has no qform, so only the sform is set then; otherwise the two are the same.

        Raises:
            UsageError: The path does not end in ``.nii`` or ``.nii.gz``.
        """
        import nibabel

        target = as_path(path, "the file of a map")
        if not target.name.endswith((".nii", ".nii.gz")):
            raise UsageError("a map is saved as NIfTI", where=str(target), remedy="Use a name that ends in .nii.gz")
        values = self.map if self.map.ndim == 3 else self.map[..., None]
        image = nibabel.Nifti1Image(values, self.affine)
        image.set_sform(self.affine, code=1)
        image.set_qform(self.affine, code=0 if _is_sheared(self.affine) else 1, strip_shears=True)
        data = image.to_bytes()
        if target.name.endswith(".gz"):
            import gzip

            data = gzip.compress(data, mtime=0)
        with whole_file(target) as handle:
            handle.write(data)

    def figure(self, title: str = "", below: Sequence[str] = ()) -> Any:
        """The plain image beside the image under the map, as a matplotlib ``PointEstimate``.

        ``below`` are further lines of the title.

        Volumes are shown as three orthogonal slices through the peak, in radiological convention, sequences as the three
        frames with the highest values.
        """
        plain = display_image(self.scan)
        heat = self._heat()
        top = float(self.map.max())
        title = "\n".join(one_line(line) for line in (title or f"{self.by.title} for '{self.label}'", *below))
        unit = f"{self.by.title}, raw"
        if self.scan.times:
            return draw_slices(hottest_frames(plain, heat, self.scan.times), title=title, unit=unit, heat_maximum=top)
        if self.scan.dimensions == 3:
            affine = self.affine if self.scan.has_geometry else None
            slices = slices_through_peak(plain[..., 0] if plain.ndim == 4 else plain, heat, affine)
            return draw_slices(slices, title=title, unit=unit, heat_maximum=top)
        letters = edge_letters(self.affine) if self.scan.has_geometry else (None, None)
        spacing = (self.scan.spacing[1], self.scan.spacing[0]) if self.scan.has_geometry else None
        upright = plain.transpose(1, 0, 2) if plain.ndim == 3 else plain.T
        return draw_overlay(
            upright,
            heat.T,
            title=title,
            unit=unit,
            left_right=letters[0],
            top_bottom=letters[1],
            spacing=spacing,
            heat_maximum=top,
        )

    def _heat(self) -> NDArray[np.float32]:
        """The map for drawing: NaN where the network did not look, and one highest voxel, at the hottest cell's centre.

        Beyond the centres of the outermost cells the map is level, so its first highest voxel would be a corner.
        """
        heat = np.where(self.seen, self.map, np.nan).astype(np.float32)
        if self.peak is not None:
            index = np.rint(np.linalg.inv(self.affine) @ [*self.peak, 1.0]).astype(int)[: heat.ndim]
            centre = tuple(np.clip(index, 0, np.array(heat.shape) - 1))
            if np.isfinite(heat[centre]):
                heat[centre] = np.nextafter(np.nanmax(heat), np.float32(np.inf))
        return heat

    def save_png(self, path: str | os.PathLike[str], title: str = "", below: Sequence[str] = ()) -> None:
        """Draw :meth:`figure` into a PNG file."""
        save_png(self.figure(title, below), path)


def explain_scan(
    network: ClassificationNetwork | Sequence[ClassificationNetwork],
    scan: Scan,
    prepared: Prepared,
    *,
    target: int,
    label: str,
    multilabel: bool = False,
    by: MapChoice = GRAD_CAM,
    batch_size: int = 8,
    progress: Progress = SILENT,
) -> Explanation:
    """Compute the map of a scan and bring it home to the scan's voxels.

    Args:
        network: In evaluation mode; or several of one architecture, whose maps are averaged.
        scan: The scan as read.
        prepared: What the classifier's recipe made of it.
        target: Index of the label to argue for.
        label: Its name.
        multilabel: Whether labels do not exclude each other.
        by: What makes the map: see :mod:`medcls.explanation.methods`.
        batch_size: Views explained at once.
        progress: Where to say how far it is.

    Raises:
        UsageError: The network has no such block, or no layer of it gives maps.
    """
    networks = list(network) if isinstance(network, Sequence) else [network]
    explain = functools.partial(METHODS[by.method], multilabel=multilabel, layer=by.layer, progress=progress)
    maps = np.mean([_maps(one, explain, prepared, target, batch_size) for one in networks], axis=0)
    values, seen = to_scan_space(maps, prepared, scan.affine, scan.shape)
    affines = cell_affines(maps, prepared)
    cells = maps.shape[1:]
    steps = affines[0][:3, : len(cells)]
    size = np.linalg.norm(steps, axis=0)
    return Explanation(
        label=label,
        map=values,
        seen=seen,
        affine=scan.affine,
        peak=_peak(maps, affines),
        cells=cells,
        cell_size=tuple(float(length) for length in size),
        cell_axes=steps / size,
        scan=scan,
        notes=_notes(maps, label, by),
        by=by,
    )


def display_image(scan: Scan) -> NDArray[np.float32]:
    """The scan in display range 0..1: ``(x, y[, z])``, with a last axis of 3 for colour.

    CT is shown through a window of -1000 to 400 HU, colour as it is, everything else from its 0.5th to its 99.5th
    percentile.
    """
    array = scan.array.astype(np.float32)
    if scan.photometric == "rgb":
        return np.moveaxis(array / max(float(array.max()), 255.0), 0, -1)
    grey = array[0]
    low, high = _CT_WINDOW if scan.modality == "CT" else np.percentile(grey[np.isfinite(grey)], (0.5, 99.5))
    scaled: NDArray[np.float32] = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1)
    return scaled


def _maps(
    network: ClassificationNetwork,
    explain: Callable[..., Attribution],
    prepared: Prepared,
    target: int,
    batch_size: int,
) -> NDArray[np.float32]:
    import torch

    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(prepared.images), batch_size):
        images = torch.from_numpy(prepared.images[start : start + batch_size].astype(np.float32)).to(device)
        targets = torch.full((len(images),), target, device=device)
        parts.append(explain(network, images, targets).maps.cpu().numpy())
    return np.concatenate(parts)


def _peak(maps: NDArray[np.float32], affines: NDArray[np.float64]) -> tuple[float, float, float] | None:
    if not maps.max() > 0:
        return None
    highest = np.argwhere(maps == maps.max())
    highest = highest[highest[:, 0] == highest[0, 0]]  # of the first view
    view, *cell = highest[np.abs(highest - highest.mean(axis=0)).sum(axis=1).argmin()]  # of a region, its middle
    index = np.array([*cell, *[0] * (3 - len(cell)), 1.0])
    x, y, z = (affines[view] @ index)[:3]
    return float(x), float(y), float(z)


def _notes(maps: NDArray[np.float32], label: str, by: MapChoice) -> tuple[str, ...]:
    notes = []
    if not maps.max() > 0:
        notes.append(f"nothing in the scan argues for '{label}' more than against it")
    cells = maps.shape[1:]
    if min(cells) < _FEWEST_CELLS:
        finer = (
            "; an earlier block of the network has more cells (--layer)" if by.told.of_layer and not by.layer else ""
        )
        notes.append(f"the map has only {' x '.join(map(str, cells))} cells: it shows a region, not an outline{finer}")
    return tuple(notes)


def _is_sheared(affine: NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
