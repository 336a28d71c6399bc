"""Siemens mosaics come apart into slices that are where they were measured; dcm2niix and nibabel are the judges."""

from __future__ import annotations

import struct
import subprocess
import warnings
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dcm2niix import bin as dcm2niix
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.frames.frame_places import layout_of
from medcls.scans.dicom.frames.mosaic import cut_tiles, is_tiled, tiled_frames, whole_header
from medcls.scans.dicom.parse.csa import protocol_slices
from medcls.scans.dicom.series.group_series import stacks_of
from tests.factories.dicom import save
from tests.factories.mosaic import (
    COUNT,
    IMAGE,
    PLANES,
    SERIES,
    csa,
    fmri,
    geometry,
    image_tags,
    mosaic,
    sample,
    unit,
    volume,
)


def whole(dataset, path=Path("x")):
    """The mosaic taken as one image."""
    header = Header(
        sop_class=dataset.SOPClassUID,
        syntax="1.2.840.10008.1.2.1",
        modality=dataset.Modality,
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples=1,
        bits_allocated=16,
        bits_stored=16,
        high_bit=15,
        signed=False,
        photometric="MONOCHROME2",
        padding=None,
        pixel_spacing=None,
        attributes={},
        identity={"series_uid": dataset.SeriesInstanceUID},
    )

    def numbers(keyword):
        return tuple(float(value) for value in dataset[keyword].value) if keyword in dataset else None

    return Frame(
        path=path,
        sop_uid=dataset.SOPInstanceUID,
        header=header,
        index=0,
        position=numbers("ImagePositionPatient"),
        orientation=numbers("ImageOrientationPatient"),
        spacing=numbers("PixelSpacing"),
        slope=1.0,
        intercept=0.0,
        thickness=3.0,
        splits={"acquisition": str(dataset.AcquisitionNumber)} if "AcquisitionNumber" in dataset else {},
    )


def unpacked(dataset):
    """Array ``(columns, rows, slices)`` and RAS+ affine of a mosaic, in the order of our slices."""
    frames = tiled_frames(dataset, whole(dataset))
    layout = layout_of(frames)
    header = frames[0].header
    picture = np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns)
    tiles = cut_tiles(picture, len(frames), header.rows, header.columns)
    return np.stack([tiles[frames[index].index].T for index in layout.order], axis=-1), layout.affine


def converted(folder):
    """What dcm2niix makes of the files in a folder: ``(columns, rows, slices, times)`` and affine."""
    out = folder.parent / f"{folder.name}-out"
    out.mkdir()
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "x", "-o", str(out), str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    (path,) = out.glob("*.nii")
    image = nibabel.load(path)
    data = np.asanyarray(image.dataobj)
    return data.reshape(*data.shape[:3], -1), image.affine


def assert_agree(array, affine, theirs, their_affine):
    """Both give every voxel the same value at the same place."""
    steps = np.linalg.inv(their_affine) @ affine
    steps_whole = np.rint(steps)
    assert np.abs(their_affine @ steps_whole - affine)[:3, :3].max() <= 1e-4
    corners = np.array([[*corner, 1] for corner in product(*[(0, size - 1) for size in array.shape])]).T
    assert np.abs(their_affine @ steps_whole @ corners - affine @ corners).max() <= 1e-3
    index = np.rint(steps_whole[:3, :3] @ np.indices(array.shape).reshape(3, -1) + steps_whole[:3, 3:]).astype(int)
    assert index.min() >= 0
    assert np.array_equal(theirs[tuple(index)], array.ravel())


@pytest.mark.parametrize("way", [1.0, -1.0], ids=["upwards", "downwards"])
@pytest.mark.parametrize("plane", PLANES)
def test_tiles_lie_where_dcm2niix_puts_them(tmp_path, plane, way):
    dataset = mosaic(plane=plane, way=way)
    save(dataset, tmp_path / "in" / "x")
    theirs, affine = converted(tmp_path / "in")
    assert theirs.shape[3] == 1
    assert_agree(*unpacked(dataset), theirs[..., 0], affine)


@given(
    st.integers(2, 26),
    st.sampled_from(list(PLANES)),
    st.sampled_from([1.0, -1.0]),
    st.sampled_from([1, 2]),
)
@settings(max_examples=40)
def test_every_voxel_comes_back_to_the_place_it_was_measured_at(tiles, plane, way, version):
    array, affine = unpacked(mosaic(tiles, plane, way, version))
    expected = np.diag([-1.0, -1, 1, 1]) @ geometry(plane, way)
    assert array.shape == (16, 12, tiles)
    stored = volume(tiles)
    for number in (0, tiles // 2, tiles - 1):
        for column, row in ((0, 0), (15, 0), (3, 11)):
            place = np.linalg.inv(affine) @ expected @ [column, row, number, 1]
            nearest = np.rint(place[:3]).astype(int)
            assert np.abs(place[:3] - nearest).max() < 1e-5
            assert array[tuple(nearest)] == stored[number, row, column]
    assert np.linalg.det(affine[:3, :3]) > 0  # as ImageOrientationPatient has it: never mirrored


def test_the_untiled_rest_of_the_square_is_left_out():
    array, _ = unpacked(mosaic(tiles=10))
    assert array.shape == (16, 12, 10)
    assert array.min() > 0


def test_frames_have_the_size_of_a_tile_and_know_their_picture():
    dataset = mosaic(tiles=7)
    frames = tiled_frames(dataset, whole(dataset))
    assert [frame.index for frame in frames] == list(range(7))
    assert {(frame.header.rows, frame.header.columns, frame.header.count) for frame in frames} == {(12, 16, 7)}
    assert whole_header(dataset, frames[0].header) == whole(dataset).header


def test_the_times_of_an_fmri_become_volumes_that_say_which_they_are():
    frames = []
    for time in range(1, 13):
        dataset = mosaic(AcquisitionNumber=time, seed=time)
        frames += tiled_frames(dataset, whole(dataset, Path(f"x{time}")))
    stacks = stacks_of(frames[::-1])
    assert [stack.part for stack in stacks] == [f"acquisition {time}" for time in range(1, 13)]
    assert [stack.paths for stack in stacks] == [(Path(f"x{time}"),) for time in range(1, 13)]
    assert all(stack.error is None and len(stack.frames) == 7 for stack in stacks)


def test_a_folder_of_mosaics_is_read_as_the_volumes_it_holds(tmp_path):
    for time in range(1, 4):
        save(mosaic(AcquisitionNumber=time, way=-1.0, seed=time), tmp_path / f"x{time}")
    found = find_scans(tmp_path)
    assert [source.part for source in found.scans] == ["acquisition 1", "acquisition 2", "acquisition 3"]
    for time, source in enumerate(found.scans, start=1):
        scan = read_scan(source)
        array, affine = unpacked(mosaic(way=-1.0, seed=time))
        assert scan.shape == source.shape == (16, 12, 7)
        assert np.array_equal(scan.array[0], array)
        assert np.allclose(scan.affine, affine)


@pytest.mark.parametrize("numbered", [True, False])
def test_files_that_nothing_else_tells_apart_are_volumes_by_their_instance(numbered):
    frames = []
    for time in range(1, 4):
        dataset = mosaic(AcquisitionNumber=None, seed=time, InstanceNumber=time if numbered else None)
        frames += tiled_frames(dataset, whole(dataset, Path(f"x{time}")))
    names = [stack.part for stack in stacks_of(frames)]
    assert names == [f"{'instance' if numbered else 'file'} {time}" for time in range(1, 4)]


def test_diffusion_weights_of_old_files_come_from_their_csa_header():
    dataset = mosaic()
    tags = image_tags(7, unit(PLANES["oblique"])[2])
    tags |= {"B_value": ["1000"], "DiffusionGradientDirection": ["0.6", "-0.8", "0.0"]}
    dataset[0x0029, 0x1010].value = csa(tags)
    splits = tiled_frames(dataset, whole(dataset))[0].splits
    assert (splits["b-value"], splits["direction"]) == ("1000", "0.6\\-0.8\\0.0")


def drop(dataset, *tags):
    for tag in tags:
        del dataset[tag]
    return dataset


def refused(dataset):
    with pytest.raises(ScanRefused) as caught:
        tiled_frames(dataset, whole(dataset))
    assert caught.value.where == "x"
    return caught.value


def test_the_number_of_tiles_is_found_in_either_place_and_must_agree():
    for tag in ((COUNT,), ()):
        assert unpacked(drop(mosaic(), *tag))[0].shape[2] == 7
    raw = mosaic()
    raw[COUNT].value = 8
    assert refused(raw).code == "inconsistent"
    for number, shape in ((7, 7), (8, None)):
        unknown = drop(mosaic(), COUNT)
        unknown.add_new(COUNT, "UN", struct.pack("<H", number))
        assert unpacked(unknown)[0].shape[2] == shape if shape else refused(unknown).code == "inconsistent"


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (lambda d: drop(d, COUNT, IMAGE), "no-geometry"),  # as the XA line and anonymisers leave it
        (lambda d: drop(d, IMAGE), "no-geometry"),  # number known, direction not
        (lambda d: drop(d, "ImagePositionPatient"), "no-geometry"),
        (lambda d: drop(d, "ImageOrientationPatient"), "no-geometry"),
        (lambda d: drop(d, "SpacingBetweenSlices"), "no-geometry"),
        (lambda d: setattr(d[IMAGE], "value", d[IMAGE].value[:200]), "no-geometry"),
        (lambda d: setattr(d[IMAGE], "value", csa(image_tags(7, [1, 0, 0]))), "bad-geometry"),
        (lambda d: (setattr(d[COUNT], "value", 50), setattr(d[IMAGE], "value", b"")), "damaged"),
        (lambda d: setattr(d, "Rows", d.Rows - 1), "damaged"),
    ],
)
def test_a_mosaic_of_which_too_little_is_known_is_refused(bend, code):
    dataset = mosaic()
    bend(dataset)
    assert refused(dataset).code == code


def with_protocol(dataset, slices):
    """Leave nothing but the protocol in the series header, as some anonymisers do."""
    lines = [f"sSliceArray.lSize = {len(slices)}"]
    for number, place in enumerate(slices):
        lines.append(f"sSliceArray.asSlice[{number}].dThickness        = 3")
        for axis, value in zip(("Sag", "Cor", "Tra"), place, strict=True):
            if value:
                lines.append(f"sSliceArray.asSlice[{number}].sPosition.d{axis}   = {value:.9g}")
    dataset.add_new(SERIES, "OB", csa({"A": ["1"], "MrPhoenixProtocol": ["\n".join(lines)]}))
    return drop(dataset, COUNT, IMAGE, (0x0029, 0x0010), (0x0019, 0x0010))


def middles(affine, tiles=7):
    return [(affine @ [8, 6, number, 1])[:3] for number in range(tiles)]


@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize("turned", [False, True])
def test_the_protocol_says_number_and_direction_where_the_image_header_was_removed(way, turned):
    slices = middles(geometry(way=way))
    plain = unpacked(mosaic(way=way))
    for dataset in (
        with_protocol(mosaic(way=way), slices[::-1] if turned else slices),
        with_protocol(mosaic(way=way, SpacingBetweenSlices=None), slices),
    ):
        array, affine = unpacked(dataset)
        assert np.array_equal(array, plain[0])
        assert np.allclose(affine, plain[1], atol=1e-5)


def test_a_protocol_leaves_out_what_is_zero_but_no_slice():
    dataset = with_protocol(mosaic(), [[0, 0, -3.3], [0, 0, 0], [0, 0, 3.3]])
    assert protocol_slices(dataset).tolist() == [[0, 0, -3.3], [0, 0, 0], [0, 0, 3.3]]
    for old, new in ((b"lSize = 3", b"lSize = 4"), (b"lSize = 3", b"lSize = 2"), (b"= -3.3", b"= -3..")):
        bent = with_protocol(mosaic(), [[0, 0, -3.3], [0, 0, 0], [0, 0, 3.3]])
        bent[SERIES].value = bent[SERIES].value.replace(old, new)
        assert protocol_slices(bent) is None


def test_a_picture_of_another_size_is_not_cut():
    assert len(cut_tiles(np.zeros((36, 36, 3)), 5, 12, 12)) == 5
    for size in ((24, 24), (36, 40)):
        with pytest.raises(ScanRefused) as caught:
            cut_tiles(np.zeros(size), 5, 12, 12)
        assert caught.value.code == "damaged"


def test_a_protocol_that_does_not_fit_the_picture_is_no_evidence():
    affine = geometry()
    shifted = geometry()
    shifted[:3, 3] += affine[:3, 2] * 3  # the first tile would be in the middle of the stack
    assert refused(with_protocol(mosaic(), middles(shifted))).code == "no-geometry"
    assert refused(with_protocol(mosaic(SpacingBetweenSlices=4.0), middles(affine))).code == "inconsistent"
    beside = [place + affine[:3, 0] * 10 for place in middles(affine)]
    assert refused(with_protocol(mosaic(), beside)).code == "no-geometry"
    uneven = middles(affine)
    uneven[3] = uneven[3] + 2 * unit(PLANES["oblique"])[2]
    assert refused(with_protocol(mosaic(), uneven)).code == "no-geometry"


def test_only_one_picture_that_calls_itself_a_mosaic_or_counts_tiles_is_one():
    assert is_tiled(mosaic())
    assert is_tiled(mosaic(ImageType=["ORIGINAL", "PRIMARY", "M", "ND"]))
    assert not is_tiled(mosaic(ImageType=["ORIGINAL", "PRIMARY", "M", "ND"], Manufacturer="another"))
    assert not is_tiled(mosaic(NumberOfFrames=3))
    enhanced = mosaic()
    enhanced.PerFrameFunctionalGroupsSequence = [Dataset()]
    assert not is_tiled(enhanced)


@pytest.mark.parametrize("name", ["siemens_dwi_0.dcm.gz", "siemens_dwi_1000.dcm.gz"])
def test_real_mosaics_come_apart_as_dcm2niix_and_nibabel_take_them(tmp_path, name):
    dataset = sample(name)
    array, affine = unpacked(dataset)
    assert array.shape == (128, 128, 48)
    dataset.save_as(_folder(tmp_path / "in") / "x")
    theirs, their_affine = converted(tmp_path / "in")
    assert_agree(array, affine, theirs[..., 0], their_affine)
    other = nibabel_of(dataset)
    assert_agree(array, affine, other.get_data(), np.diag([-1, -1, 1, 1]) @ other.affine)
    weight = tiled_frames(dataset, whole(dataset))[0].splits["b-value"]
    assert weight == {"siemens_dwi_0.dcm.gz": "0", "siemens_dwi_1000.dcm.gz": "1000"}[name]


def nibabel_of(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom.dicomwrappers import wrapper_from_data
    return wrapper_from_data(dataset)


def test_a_real_fmri_without_image_header_is_placed_by_its_protocol(shared_data, tmp_path):
    """dcm2niix has no evidence for these files but the picture, and says so: it takes 64 tiles for 50, stacked upwards.

    The protocol in the same files has 50 slices from -60 to 88 mm, SliceLocation and position put the first tile at 88 mm:
    so they are stacked downwards. Told as much in an image header, dcm2niix agrees.
    """
    for number, path in enumerate(fmri(shared_data)):
        dataset = pydicom.dcmread(path)
        array, affine = unpacked(dataset)
        assert array.shape == (80, 80, 50)
        centres = np.array([[40, 40, index, 1] for index in range(50)]) @ (np.diag([-1, -1, 1, 1]) @ affine).T
        assert np.abs(centres[:, :3] - protocol_slices(dataset)).max() < 0.01
        normal = np.cross(dataset.ImageOrientationPatient[:3], dataset.ImageOrientationPatient[3:])
        assert centres[-1, :3] @ normal == pytest.approx(dataset.SliceLocation, abs=0.01)
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        dataset.add_new(IMAGE, "OB", csa(image_tags(50, -normal) | {"AcquisitionMatrixText": ["80*80"]}))
        dataset.SOPInstanceUID = generate_uid()
        dataset.save_as(_folder(tmp_path / f"in{number}") / "x")
        theirs, their_affine = converted(tmp_path / f"in{number}")
        assert_agree(array, affine, theirs[..., 0], their_affine)


def _folder(path):
    path.mkdir()
    return path
