"""Overlays: the right side is the right side, the peak is the peak, and nothing is stretched into evidence."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from medcls.errors import StorageError
from medcls.explanation.overlay import NO_EVIDENCE, NO_PEAK, draw_overlay, draw_slices, png_bytes, save_png
from medcls.explanation.slices import edge_letters, slices_through_peak

ORIENTATIONS = [
    "".join(side[pick] for side, pick in zip(order, picks, strict=True))
    for order in itertools.permutations(("LR", "PA", "IS"))
    for picks in itertools.product((0, 1), repeat=3)
]


def planted(codes: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A volume stored along ``codes`` with one bright spot at the patient's right, front and head, and its map."""
    shape, spacing, spot = (7, 9, 11), (1.0, 2.0, 3.0), (6, 7, 9)  # along R, A, S; a little off the corner
    volume = np.zeros(shape)
    volume[spot] = 1.0
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt(("R", "A", "S")), nib.orientations.axcodes2ornt(tuple(codes))
    )
    affine = np.diag([*spacing, 1.0]) @ nib.orientations.inv_ornt_aff(turn, shape)
    stored = nib.orientations.apply_orientation(volume, turn)
    assert "".join(nib.aff2axcodes(affine)) == codes
    return stored, stored * 0.004, affine


def axes_of(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.images]


def by_gid(axes: object, gid: str) -> list:
    return [one for one in axes.findobj() if one.get_gid() == gid]  # type: ignore[attr-defined]


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_spot_at_the_patients_right_front_head_is_shown_there_however_the_volume_is_stored(codes: str) -> None:
    axial, coronal, sagittal = slices_through_peak(*planted(codes))

    assert [view.plane for view in (axial, coronal, sagittal)] == ["Axial", "Coronal", "Sagittal"]
    # Radiological: the right of the patient is on the left of the picture; front and head are at the top.
    assert axial.plain.shape == (9, 7)
    assert axial.plain[1, 0] == 1
    assert (axial.left_right, axial.top_bottom) == (("R", "L"), ("A", "P"))
    assert coronal.plain.shape == (11, 7)
    assert coronal.plain[1, 0] == 1
    assert (coronal.left_right, coronal.top_bottom) == (("R", "L"), ("S", "I"))
    assert sagittal.plain.shape == (11, 9)
    assert sagittal.plain[1, 1] == 1
    assert (sagittal.left_right, sagittal.top_bottom) == (("A", "P"), ("S", "I"))
    assert (axial.spacing, coronal.spacing, sagittal.spacing) == ((2.0, 1.0), (3.0, 1.0), (3.0, 2.0))
    for view in (axial, coronal, sagittal):
        assert view.plain[view.peak] == 1


def test_the_letters_are_drawn_at_the_edges_they_name() -> None:
    figure = draw_slices(slices_through_peak(*planted("LPS")), title="evidence")
    figure.draw_without_rendering()
    for axes in axes_of(figure):
        middle = {side: by_gid(axes, f"edge-{side}")[0] for side in ("left", "right", "top", "bottom")}
        assert middle["left"].get_position()[0] < 0.5 < middle["right"].get_position()[0]
        assert middle["bottom"].get_position()[1] < 0.5 < middle["top"].get_position()[1]
    axial = axes_of(figure)[0]
    assert [by_gid(axial, f"edge-{side}")[0].get_text() for side in ("left", "right")] == ["R", "L"]


def test_a_bright_spot_at_the_patients_right_is_on_the_left_of_the_pixels() -> None:
    volume, heat, affine = planted("PIR")
    axial = slices_through_peak(volume, heat, affine)[0]
    figure = draw_overlay(axial.plain, np.zeros_like(axial.heat), title="", spacing=(1, 1))
    picture = np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("L")).astype(float)
    box = axes_of(figure)[0].get_position()
    height, width = picture.shape
    panel = picture[
        int((1 - box.y1) * height) + 4 : int((1 - box.y0) * height) - 4,
        int(box.x0 * width) + 4 : int(box.x1 * width) - 4,
    ]
    left, right = np.hsplit(panel[:, : panel.shape[1] // 2 * 2], 2)
    upper, lower = np.array_split(left, 2)
    assert (left > 250).sum() > 100
    assert (left > 250).sum() > 20 * (right > 250).sum()
    assert (upper > 250).sum() > 5 * (lower > 250).sum()  # the scale bar is white too, and is below


def test_without_geometry_there_are_no_letters_and_no_scale() -> None:
    volume, heat, _ = planted("RAS")
    figure = draw_slices(slices_through_peak(volume, heat, None), title="evidence")
    for axes in axes_of(figure):
        assert not [one for one in axes.findobj() if str(one.get_gid() or "").startswith(("edge-", "scale"))]
    assert "mm" not in words(figure)


def test_a_tilted_volume_says_by_how_much() -> None:
    angle = np.radians(20)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = np.zeros((5, 5, 5))
    assert slices_through_peak(volume, volume, affine)[0].plane == "Axial (tilted 20°)"


def test_edge_letters_of_a_picture_follow_its_affine() -> None:
    # DICOM axial: columns run to the patient's left, rows to the back; both are negative in RAS.
    assert edge_letters(np.diag([-1.0, -1.0, 1.0, 1.0])) == (("R", "L"), ("A", "P"))
    assert edge_letters(np.diag([1.0, -1.0, 1.0, 1.0])) == (("L", "R"), ("A", "P"))


def test_the_bare_picture_stands_beside_at_the_same_window() -> None:
    plain = np.linspace(0, 1, 30 * 20).reshape(30, 20)
    heat = np.zeros((30, 20))
    heat[4, 15] = 2.5
    bare, covered = axes_of(draw_overlay(plain, heat, title="evidence"))
    assert len(bare.images) == 1
    for axes in (bare, covered):
        np.testing.assert_array_equal(axes.images[0].get_array(), plain)
        assert axes.images[0].get_clim() == (0, 1)
    np.testing.assert_array_equal(covered.images[1].get_array(), heat)


def test_eight_bit_and_float_pictures_look_the_same() -> None:
    plain = np.arange(256, dtype=np.uint8).reshape(16, 16)
    heat = np.eye(16)
    assert png_bytes(draw_overlay(plain, heat, title="t")) == png_bytes(draw_overlay(plain / 255, heat, title="t"))


def test_the_peak_is_marked_and_the_bar_has_the_raw_range() -> None:
    heat = np.zeros((30, 20))
    heat[4, 15] = 0.00314
    figure = draw_overlay(np.zeros((30, 20)), heat, title="evidence for 'nodule'")
    (mark,) = by_gid(axes_of(figure)[1], "peak")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (15, 4)
    assert not by_gid(axes_of(figure)[0], "peak")
    assert "0.00314" in words(figure)
    assert "evidence for 'nodule'" in words(figure)


def test_slices_of_one_map_share_one_scale() -> None:
    volume, heat, affine = planted("RAS")
    heat[0, 0, 0] = heat.max() / 2
    figure = draw_slices(slices_through_peak(volume, heat, affine), title="evidence")
    assert {axes.images[1].get_clim() for axes in axes_of(figure) if len(axes.images) == 2} == {(0.0, 0.004)}


@pytest.mark.parametrize("heat", [np.zeros((8, 8)), np.full((8, 8), np.nan)])
def test_an_empty_map_is_said_in_words_and_not_coloured(heat: np.ndarray) -> None:
    figure = draw_overlay(np.ones((8, 8)), heat, title="evidence")
    assert NO_EVIDENCE in words(figure)
    assert [len(axes.images) for axes in axes_of(figure)] == [1, 1]  # no map, no colour bar


def test_a_flat_map_has_no_peak() -> None:
    figure = draw_overlay(np.ones((8, 8)), np.full((8, 8), 0.3), title="evidence")
    assert NO_PEAK in words(figure)
    assert not by_gid(figure, "peak")


def test_where_the_network_did_not_look_nothing_is_drawn() -> None:
    heat = np.ones((8, 8))
    heat[:, :4] = np.nan
    heat[2, 6] = 3
    _, covered = axes_of(draw_overlay(np.ones((8, 8)), heat, title="evidence"))
    alpha = covered.images[1].get_alpha()
    assert (alpha[:, :4] == 0).all()
    assert (alpha[:, 4:] > 0).all()
    assert alpha.max() < 0.7  # the picture stays visible under the peak


@pytest.mark.parametrize(
    ("heat", "said"),
    [(np.full((8, 8), -1.0), "not negative"), (np.full((8, 8), np.inf), "finite"), (np.ones((4, 4)), "shape")],
)
def test_a_map_that_cannot_be_right_is_refused(heat: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        draw_overlay(np.ones((8, 8)), heat, title="evidence")


@pytest.mark.parametrize("title", ["$\\frac$", "100 % <b>", "病变", ""])
def test_any_title_is_drawn_as_it_is(title: str) -> None:
    figure = draw_overlay(np.ones((4, 4)), np.eye(4), title=title)
    assert figure.get_suptitle() == title
    assert png_bytes(figure)


def test_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = draw_overlay(np.ones((8, 8, 3)), np.eye(8), title="evidence")
    save_png(figure, tmp_path / "maps" / "one.png")
    with Image.open(tmp_path / "maps" / "one.png") as picture:
        assert picture.width > 300
    assert [one.name for one in (tmp_path / "maps").iterdir()] == ["one.png"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((StorageError, OSError)):
        save_png(figure, tmp_path / "file" / "one.png")


def test_drawing_needs_no_pyplot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now fails
    assert png_bytes(draw_overlay(np.ones((8, 8)), np.eye(8), title="t"))
