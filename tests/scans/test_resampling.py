"""Irregular stacks onto even, right-angled grids: what was measured at a place in the world is found at that place."""

from __future__ import annotations

import subprocess

import nibabel
import numpy as np
import pytest
from dcm2niix import bin as dcm2niix
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medcls.errors import ScanRefused
from medcls.scans.dicom.series.resampling import even_grid, fill_holes, regrid, straight_grid, straighten
from tests.factories.dicom import instance, save

FILL = -1e6


def world(affine, shape):
    """World coordinates ``(3, n, rows, columns)`` of every voxel of ``(n, C, rows, columns)``."""
    slices, _, rows, columns = shape
    z, y, x = np.meshgrid(np.arange(slices), np.arange(rows), np.arange(columns), indexing="ij")
    return (
        np.einsum("ij,jnrc->inrc", affine[:3, :3], np.stack([x, y, z]).astype(float)) + affine[:3, 3, None, None, None]
    )


def ramp(affine, shape, gradient):
    """A ramp through the world, as a scan of this affine would measure it."""
    return np.einsum("i,inrc->nrc", gradient, world(affine, shape))[:, None]


def geometry(turn, spacing, shear):
    """Affine of a stack whose slice axis leans ``shear`` millimetres along a row and a column, per slice."""
    matrix = Rotation.from_rotvec(turn).as_matrix()
    across, down, apart = spacing
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = matrix[:, 0] * across, matrix[:, 1] * down
    affine[:3, 2] = matrix @ [shear[0], shear[1], apart]
    affine[:3, 3] = [12.0, -30.0, 7.0]
    return affine


turns = st.tuples(*[st.floats(-3, 3)] * 3)
spacings = st.tuples(st.floats(0.4, 3), st.floats(0.4, 3), st.floats(0.5, 6))
shears = st.tuples(st.floats(-4, 4), st.floats(-4, 4))
gradients = st.tuples(*[st.floats(-5, 5)] * 3).map(np.array)


@given(turns, spacings, shears, gradients, st.sampled_from([1.0, -1.0]))
@settings(max_examples=60)
def test_a_ramp_on_a_tilted_stack_is_the_same_ramp_on_the_straight_grid(turn, spacing, shear, gradient, way):
    affine = geometry(turn, (*spacing[:2], way * spacing[2]), shear)
    measured = ramp(affine, (5, 1, 6, 7), gradient)
    straight, upright = straighten(measured, affine, FILL)
    grid = straight_grid(affine, 5)  # known before anything is read
    assert straight.shape == (5, 1, 6 + grid.more[1], 7 + grid.more[0])
    assert np.array_equal(upright, grid.affine)
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    assert np.allclose(np.cross(upright[:3, 2], normal), 0, atol=1e-6)
    assert np.allclose(np.dot(upright[:3, 2], normal), np.dot(affine[:3, 2], normal))
    assert np.array_equal(upright[:3, :2], affine[:3, :2])  # neither turned nor flipped
    expected = ramp(upright, straight.shape, gradient)
    covered = straight != FILL
    inner = covered & _not_at_the_rim(covered)
    assert inner.sum() >= 5 * 4 * 5
    assert np.allclose(straight[inner], expected[inner], atol=1e-2)
    assert (covered.sum(axis=(1, 2, 3)) == 6 * 7).all()  # every slice is there as a whole
    rows, columns = covered.any(axis=(0, 1, 3)), covered.any(axis=(0, 1, 2))
    assert all([rows[0], rows[-1], columns[0], columns[-1]])  # and the plane is no larger than it must be


def _not_at_the_rim(covered):
    """The rim takes the value of the outermost pixel, up to half a pixel away."""
    inner = np.ones_like(covered)
    for axis in (2, 3):
        for step in (1, -1):
            neighbour = np.roll(covered, step, axis=axis)
            edge = [slice(None)] * 4
            edge[axis] = 0 if step == 1 else -1
            neighbour[tuple(edge)] = False
            inner &= neighbour
    return inner


def test_whole_shifts_move_pixels_and_never_blur_them():
    array = np.arange(3 * 2 * 4 * 5, dtype=np.uint8).reshape(3, 2, 4, 5)
    affine = np.array([[0.5, 0, -1.0, 1], [0, 0.5, 0.5, 2], [0, 0, 3, 3], [0, 0, 0, 1.0]])
    straight, upright = straighten(array, affine, 255)
    assert straight.dtype == np.uint8
    assert straight.shape == (3, 2, 6, 9)
    for number in range(3):
        row, column = number, 4 - 2 * number
        assert np.array_equal(straight[number, :, row : row + 4, column : column + 5], array[number])
        assert (straight[number] == 255).sum() == 2 * (54 - 20)
    assert np.allclose(upright, [[0.5, 0, 0, -1.0], [0, 0.5, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]])


def test_a_straight_stack_stays_as_it_is():
    affine = geometry((0.3, -0.2, 0.9), (0.7, 0.8, 2.0), (0.0, 0.0))
    array = np.random.default_rng(1).integers(-1000, 3000, (4, 1, 6, 5), dtype=np.int16)
    straight, upright = straighten(array, affine, -1024)
    assert np.array_equal(straight, array)
    assert np.allclose(upright, affine)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4"])
@given(st.floats(-0.45, 0.45).filter(lambda lean: abs(lean) > 1e-3), st.integers(0, 99))
@settings(max_examples=20)
def test_types_are_kept_integers_rounded_and_extremes_survive(dtype, lean, seed):
    kind = np.dtype(dtype)
    ends = (-1e3, 1e3) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    array = np.random.default_rng(seed).choice(np.array(ends, dtype=kind), (2, 1, 4, 5))
    straight, _ = straighten(array, geometry((0, 0, 0), (1.0, 1.0, 2.0), (lean, 0.0)), 0)
    assert straight.dtype == kind
    assert np.array_equal(straight[0], array[0])
    # Slice 1 is ``lean`` to the right, so that a place of the grid falls that much to the left in it.
    plain = array[1, 0].astype(np.float64)
    mixed = plain * (1 - abs(lean)) + np.roll(plain, 1 if lean > 0 else -1, axis=1) * abs(lean)
    error = np.abs(straight[1, 0].astype(np.float64) - mixed)[:, 1:-1].max()
    assert error <= (1e-3 if kind.kind == "f" else 0.501)


def test_a_tilt_that_would_need_endless_memory_is_refused():
    affine = geometry((0, 0, 0), (0.001, 0.001, 1.0), (1e6, 1e6))
    with pytest.raises(ScanRefused) as caught:
        straighten(np.zeros((9, 1, 4, 4), np.int16), affine, 0)
    assert caught.value.code == "too-large"


steps = st.lists(st.floats(0.5, 4), min_size=1, max_size=12)


@given(steps, st.floats(-100, 100), st.floats(-20, 20))
@settings(max_examples=60)
def test_a_ramp_on_uneven_slices_is_the_same_ramp_on_even_ones(distances, start, gradient):
    heights = start + np.cumsum([0.0, *distances])
    measured = np.broadcast_to((heights * gradient)[:, None, None, None], (len(heights), 2, 3, 4)).copy()
    even, spacing = regrid(measured, heights)
    at = start + np.arange(len(even)) * spacing
    assert (len(even), spacing) == even_grid(heights)  # known before anything is read
    assert at[-1] == pytest.approx(heights[-1])  # both ends are kept
    usual = sorted(distances)[(len(distances) - 1) // 2]
    assert abs(spacing - usual) * (len(even) - 1) <= usual / 2 + 1e-9
    assert np.allclose(even, (at * gradient)[:, None, None, None], atol=0.01)


def test_even_slices_pass_unchanged_and_measured_places_are_never_blurred():
    array = np.random.default_rng(2).integers(0, 60000, (5, 3, 4, 4), dtype=np.uint16)
    for values in (array, array.astype(np.float32) / 7):
        same, spacing = regrid(values, [0, 2.5, 5, 7.50001, 10])
        assert np.array_equal(same, values)
    assert spacing == pytest.approx(2.5)
    even, spacing = regrid(array, [0, 2.5, 5, 10, 15])
    assert spacing == pytest.approx(2.5)
    assert np.array_equal(even[[0, 1, 2, 4, 6]], array)
    assert np.array_equal(even[3], np.rint((array[2].astype(float) + array[3]) / 2))


def test_what_is_no_ascending_stack_or_one_far_hole_is_not_interpolated():
    array = np.zeros((3, 1, 2, 2))
    for heights in ([0, 2, 1], [0, 1], [0, 1, 1]):
        with pytest.raises(ValueError, match="ascending"):
            regrid(array, heights)
    with pytest.raises(ScanRefused) as caught:
        regrid(np.zeros((4, 1, 2, 2)), [0, 1, 2, 500])
    assert caught.value.code == "gap"


@given(st.sets(st.integers(1, 14), max_size=10), st.floats(-9, 9))
def test_a_ramp_with_holes_is_the_same_ramp_when_they_are_interpolated(inside, gradient):
    places = [0, *sorted(inside), 15]
    measured = np.broadcast_to((np.array(places) * gradient)[:, None, None, None], (len(places), 1, 2, 3)).copy()
    full = fill_holes(measured, places, 16, "linear")
    assert np.allclose(full[:, 0, 1, 1], np.arange(16) * gradient, atol=1e-3)


@given(st.sets(st.integers(1, 14), max_size=10))
def test_the_nearest_slice_is_repeated_exactly(inside):
    places = np.array([0, *sorted(inside), 15])
    measured = np.broadcast_to(places[:, None, None, None], (len(places), 1, 2, 3)).astype(np.uint8)
    full = fill_holes(measured, list(places), 16, "nearest")[:, 0, 0, 0].astype(int)
    assert np.array_equal(full[places], places)
    assert set(full) <= set(places)
    assert (np.abs(full - np.arange(16)) == np.abs(places[:, None] - np.arange(16)).min(axis=0)).all()


def test_holes_between_integers_are_rounded_and_halves_go_to_the_lower_slice():
    array = np.array([10, 13], dtype=np.int16).reshape(2, 1, 1, 1)
    assert fill_holes(array, [0, 3], 4, "linear").ravel().tolist() == [10, 11, 12, 13]
    assert fill_holes(array, [0, 2], 3, "nearest").ravel().tolist() == [10, 10, 13]
    assert fill_holes(array, [0, 3], 4, "linear").dtype == np.int16


AIR = -1000


def tilted(degrees):
    """A soft ball around (0, 0, 65), LPS, seen by a gantry that leans back: ``(n, 1, rows, columns)`` and LPS affine."""
    lean = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:3, 1], affine[:3, 2] = [0, np.cos(lean), np.sin(lean)], [0, 0, 3]
    affine[:3, 3] = [-16, -20, 44]
    away = np.linalg.norm(world(affine, (14, 1, 40, 32)) - np.array([0, 0, 65])[:, None, None, None], axis=0)
    return np.where(away < 9, 300 - 10 * away, AIR).astype(np.int16)[:, None], affine


def convert(array, affine, degrees, folder):
    """What dcm2niix makes of it, straightened by its own rules; arrays as ours."""
    column = [float(value) for value in affine[:3, 1].round(9)]
    for number, pixels in enumerate(array[:, 0]):
        position = [float(value) for value in affine[:3, 3] + number * affine[:3, 2]]
        changes = {"ImagePositionPatient": position, "ImageOrientationPatient": [1.0, 0.0, 0.0, *column]}
        changes |= {
            "PixelSpacing": [1, 1],
            "SliceThickness": 3,
            "GantryDetectorTilt": degrees,
            "InstanceNumber": number,
        }
        save(instance(pixels, **changes), folder / "in" / f"I{number:02d}")
    (folder / "out").mkdir()
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "x", "-o", str(folder / "out"), str(folder / "in")]
    subprocess.run(command, capture_output=True, check=True)
    image = nibabel.load(folder / "out" / "x_Tilt_1.nii")
    return np.asanyarray(image.dataobj).transpose(2, 1, 0)[:, None], image.affine


def centre(array, affine):
    """Where the ball's centre of mass is in the world."""
    weight = np.clip(array[:, 0].astype(float), 0, None)
    return (world(affine, array.shape) * weight).sum(axis=(1, 2, 3)) / weight.sum()


RAS = np.diag([-1.0, -1, 1, 1])


@pytest.mark.parametrize("degrees", [-7.5, -12, -17])
def test_a_tilted_series_comes_out_as_dcm2niix_straightens_it(tmp_path, degrees):
    array, lps = tilted(degrees)
    ours, upright = straighten(array, RAS @ lps, AIR)
    theirs, affine = convert(array, lps, degrees, tmp_path)
    step = np.linalg.inv(affine) @ upright
    assert np.abs(step - np.rint(step)).max() < 1e-4  # the same places; theirs counts the rows from below
    flipped, shift = theirs[:, :, ::-1], theirs.shape[2] - 1 - round(step[1, 3])
    assert step[1, 1] == pytest.approx(-1)
    rows = min(ours.shape[2], flipped.shape[2] - shift)
    assert rows >= ours.shape[2] - 1  # its plane may be a row larger or smaller
    difference = np.abs(flipped[:, :, shift : shift + rows].astype(int) - ours[:, :, :rows])
    assert difference.max() <= 1  # where a half is rounded
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("degrees", [-17, -12, -7.5, 7.5, 12, 17])
def test_a_ball_seen_by_a_tilted_gantry_stays_where_it_was(degrees):
    array, lps = tilted(degrees)
    assert np.allclose(centre(*straighten(array, RAS @ lps, AIR)), [0, 0, 65], atol=0.15)


def test_dcm2niix_is_no_judge_of_the_other_way_of_leaning(tmp_path):
    """There it adds a row of its matrix to the origin where a column is due, so that its own ball moves."""
    array, lps = tilted(12)
    theirs, affine = convert(array, lps, 12, tmp_path)
    _, upright = straighten(array, RAS @ lps, AIR)
    assert np.abs(affine[:3, 2] - upright[:3, 2]).max() < 1e-4
    assert np.linalg.norm(centre(theirs, affine) - [0, 0, 65]) > 2
