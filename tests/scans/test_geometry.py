"""Slices are laid out by measured positions, exactly, or refused."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medcls.errors import ScanRefused
from medcls.scans import Leniency
from medcls.scans.dicom.frames.geometry import axis_codes, lay_out, slice_affine

RAS = np.diag([-1.0, -1.0, 1.0])

SHEARED, HOLED = Leniency(on_tilt="warn"), Leniency(on_tilt="warn", on_gap="warn")


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, object]:
    rotation = Rotation.random(random_state=draw(st.integers(0, 10_000))).as_matrix()
    count = draw(st.integers(3, 12))
    spacing = draw(st.floats(0.2, 10))
    shear = draw(st.sampled_from([0.0, 0.0, 0.15, -0.4]))
    origin = np.array(draw(st.tuples(*[st.floats(-300, 300)] * 3)))
    row, column = rotation[0], rotation[1]
    step = np.cross(row, column) * spacing + column * shear * spacing
    positions = origin + np.arange(count)[:, None] * step
    order = draw(st.permutations(range(count)))
    return {
        "positions": np.round(positions, 5)[list(order)],
        "orientation": np.concatenate([row, column]),
        "spacing": (draw(st.floats(0.2, 3)), draw(st.floats(0.2, 3))),
        "order": order,
        "step": step,
        "shear": shear,
        "origin": origin,
    }


@given(stacks())
@settings(max_examples=150, deadline=None)
def test_any_even_stack_is_ordered_and_every_voxel_lands_where_the_header_says(stack):
    expected = np.degrees(np.arctan(abs(stack["shear"])))
    if expected > 0.12:
        with pytest.raises(ScanRefused) as refused:
            lay_out(stack["positions"], stack["orientation"], stack["spacing"])
        assert refused.value.code == "tilted"
    layout = lay_out(stack["positions"], stack["orientation"], stack["spacing"], SHEARED)
    assert [stack["order"][index] for index in layout.order] == sorted(stack["order"])
    assert not layout.missing
    assert layout.slices == len(stack["order"])
    row, column = stack["orientation"][:3], stack["orientation"][3:]
    between_rows, between_columns = stack["spacing"]
    for place, index in enumerate(layout.order):
        # PS3.3 C.7.6.2.1.1, by hand, for the voxel at column 7, row 5.
        lps = stack["positions"][index] + row * between_columns * 7 + column * between_rows * 5
        assert np.allclose(layout.affine @ [7, 5, place, 1], [*(RAS @ lps), 1], atol=1e-4)
    assert layout.tilt == pytest.approx(expected, abs=0.02 if expected > 0.12 else 0.13)


@given(stacks(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_missing_slice_is_refused_or_located(stack, data):
    count = len(stack["order"])
    if count < 4:
        return
    lost = data.draw(st.integers(1, count - 2))
    keep = [i for i, place in enumerate(stack["order"]) if place != lost]
    if count == 4:  # three slices: distances 1 and 2 steps
        assert len(keep) == 3
    with pytest.raises(ScanRefused) as refused:
        lay_out(stack["positions"][keep], stack["orientation"], stack["spacing"], SHEARED)
    assert refused.value.code == "gap"
    layout = lay_out(stack["positions"][keep], stack["orientation"], stack["spacing"], HOLED)
    assert layout.missing == (lost,)
    whole = lay_out(stack["positions"], stack["orientation"], stack["spacing"], SHEARED)
    assert np.allclose(layout.affine, whole.affine, atol=1e-4)


@given(stacks(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_doubled_or_moved_slice_is_refused(stack, data):
    which = data.draw(st.integers(0, len(stack["order"]) - 1))
    doubled = np.vstack([stack["positions"], stack["positions"][which]])
    with pytest.raises(ScanRefused) as refused:
        lay_out(doubled, stack["orientation"], stack["spacing"])
    assert refused.value.code == "duplicate-slices"
    moved = stack["positions"].copy()
    moved[list(stack["order"]).index(1)] += 0.3 * stack["step"]
    with pytest.raises(ScanRefused) as refused:
        lay_out(moved, stack["orientation"], stack["spacing"])
    assert refused.value.code in ("uneven-spacing", "gap")


def test_a_stack_that_jumps_sideways_is_refused():
    positions = [[0, 0, 0], [0, 0, 2], [3, 0, 4], [0, 0, 6]]
    with pytest.raises(ScanRefused, match="sideways"):
        lay_out(positions, [1, 0, 0, 0, 1, 0], [1, 1])


def test_rounding_of_positions_is_no_unevenness():
    heights = [0.0, 0.33, 0.67, 1.0, 1.33, 1.67, 2.0]
    layout = lay_out([[0, 0, h] for h in heights], [1, 0, 0, 0, 1, 0], [1, 1])
    assert layout.affine[2, 2] == pytest.approx(1 / 3)


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 40),
    spacing=st.floats(0.5, 10),
    digits=st.sampled_from([1, 2]),
    relative=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_even_grid_is_read_whatever_its_positions_were_rounded_to(seed, count, spacing, digits, relative):
    rotation = Rotation.random(random_state=seed).as_matrix()
    origin = np.random.default_rng(seed).uniform(-300, 300, 3)
    exact = np.arange(count)[:, None] * rotation[2] * spacing
    # Some scanners round the way from the first slice, others the position itself.
    positions = origin + np.round(exact, digits) if relative else np.round(origin + exact, digits)
    layout = lay_out(positions, np.concatenate([rotation[0], rotation[1]]), [0.5, 0.5])
    assert (layout.heights, layout.missing, layout.tilt) == ((), (), 0.0)
    true = RAS @ (origin + exact).T
    ours = layout.affine[:3, 3:] + layout.affine[:3, 2:3] * np.arange(count)
    assert np.abs(ours - true).max() <= 2 * 10.0**-digits


def test_positions_that_a_scanner_rounded_to_tenths_are_even():
    # Steps of 7 mm, tilted by 7.7 degrees; only differences were rounded, so that the distances run from 6.958 to 7.057 mm.
    positions = [[-110.5, -79.3063, -65.7575], [-110.5, -80.2063, -58.8575], [-110.5, -81.2063, -51.9575]]
    positions += [[-110.5, -82.1063, -44.9575], [-110.5, -83.0063, -38.0575]]
    layout = lay_out(positions, [1, 0, 0, 0, 0.99096, 0.134158], [0.86, 0.86])
    assert np.linalg.norm(layout.affine[:3, 2]) == pytest.approx(7.0, abs=0.02)
    assert layout.tilt == 0.0


@given(count=st.integers(8, 40), spacing=st.floats(2, 10), change=st.sampled_from([0.1, 0.25, -0.2]), data=st.data())
@settings(max_examples=60, deadline=None)
def test_distances_that_change_are_refused_rounded_or_not(count, spacing, change, data):
    steps = np.full(count, spacing)
    steps[count // 2 :] *= 1 + change
    heights = np.concatenate([[0], np.cumsum(steps)])
    digits = data.draw(st.sampled_from([1, 2, 6]))
    with pytest.raises(ScanRefused) as refused:
        lay_out([[0, 0, height] for height in np.round(heights, digits)], [1, 0, 0, 0, 1, 0], [1, 1])
    assert refused.value.code == "uneven-spacing"


@given(count=st.integers(4, 40), spacing=st.floats(0.5, 10), digits=st.sampled_from([1, 2]), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_slice_that_is_missing_is_missed_among_rounded_positions_too(count, spacing, digits, data):
    lost = data.draw(st.integers(1, count - 2))
    heights = [round(spacing * number, digits) for number in range(count) if number != lost]
    with pytest.raises(ScanRefused) as refused:
        lay_out([[0, 0, height] for height in heights], [1, 0, 0, 0, 1, 0], [1, 1])
    assert refused.value.code == "gap"


def test_a_step_aside_is_seen_beyond_the_rounding():
    def aside(by: float) -> list[list[float]]:
        return [[0.0, by * (number == 3), 2.5 * number] for number in range(8)]

    assert lay_out(aside(0.1), [1, 0, 0, 0, 1, 0], [0.5, 0.5]).tilt == 0.0
    with pytest.raises(ScanRefused, match="sideways"):
        lay_out(aside(0.4), [1, 0, 0, 0, 1, 0], [0.5, 0.5])


@pytest.mark.parametrize(
    "orientation",
    [
        [1, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 1, 0],
        [float("nan"), 0, 0, 0, 1, 0],
        [1, 0, 0, 0.3, 0.954, 0],
    ],
)
def test_impossible_orientations_are_refused(orientation):
    with pytest.raises(ScanRefused) as refused:
        slice_affine([0, 0, 0], orientation, [1, 1], 1.0)
    assert refused.value.code == "bad-geometry"


def test_left_and_right_keep_their_sides():
    # An axial slice as every scanner writes it: columns run to the patient's left, rows to the back.
    affine = slice_affine([-100, -80, 30], [1, 0, 0, 0, 1, 0], [0.5, 0.25], 3.0)
    assert np.allclose(affine @ [0, 0, 0, 1], [100, 80, 30, 1])
    assert np.allclose(affine @ [1, 0, 0, 1], [99.75, 80, 30, 1])  # one column further is towards the left
    assert np.allclose(affine @ [0, 1, 0, 1], [100, 79.5, 30, 1])


@given(
    seed=st.integers(0, 10_000),
    spacing=st.tuples(*[st.floats(0.2, 8)] * 3),
    sides=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shear=st.sampled_from([0.0, 0.3, -0.3]),
)
def test_axes_are_named_as_nibabel_names_them(seed, spacing, sides, shear):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() * spacing * sides
    affine[:3, 2] += shear * affine[:3, 1]
    assert axis_codes(affine) == "".join(nibabel.aff2axcodes(affine))
