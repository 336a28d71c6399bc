"""Files that are packed by themselves are read in place, as if they were not; FreeSurfer's volumes too."""

from __future__ import annotations

import bz2
import gc
import gzip
import lzma
import warnings
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from nibabel.freesurfer.mghformat import MGHHeader, MGHImage

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.archive import open_unpacked, unpacked_size
from medcls.scans.formats import mgh
from tests.factories.dicom import save_all, slices
from tests.fuzzing.seeds import REFUSED, project_seeds
from tests.fuzzing.trials import write

PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": imagecodecs.zstd_encode,
}
SEEDS = {seed.name: seed for seed in project_seeds()}
SINGLE = (
    "ct-explicit",
    "mr-implicit",
    "deflated",
    "jpeg-ls",
    "rgb",
    "enhanced-jpeg-ls",
    "nifti-1",
    "nifti-rgb",
    "nrrd-gzip",
)
SINGLE += ("metaimage", "png-16", "png-alpha-16", "jpeg-exif", "bmp", "tiff-plain", "tiff-16-tiled")
ROTATED = np.array([[0, 0.1, 2.5, -7], [-0.9, 0, 0.1, 5], [0, -0.8, 0, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_is_the_file(tmp_path, name, ending):
    seed = SEEDS[name]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / seed.file).write_bytes(seed.data)
    packed = tmp_path / (seed.file + ending)
    packed.write_bytes(PACKED[ending](seed.data))
    plain, scan = read_scan(tmp_path / "plain"), read_scan(packed)
    assert np.array_equal(scan.array, plain.array)
    assert np.array_equal(scan.affine, plain.affine)
    assert (scan.kind, scan.notes, scan.photometric) == (plain.kind, plain.notes, plain.photometric)


def test_a_series_of_packed_files_is_one_scan_named_after_its_folder(tmp_path):
    made = slices([0.0, 2.0, 4.0, 6.0])
    save_all(made, tmp_path / "plain")
    for path in (tmp_path / "plain").iterdir():
        (tmp_path / "ct").mkdir(exist_ok=True)
        (tmp_path / "ct" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    plain, packed = find_scans(tmp_path).scans[::-1]
    assert (plain.name, packed.name) == ("plain", "ct")
    assert np.array_equal(read_scan(plain).array, read_scan(packed).array)


def test_what_is_in_a_zip_may_be_packed_again(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("a/IM1.dcm.xz", lzma.compress(SEEDS["ct-explicit"].data))
    (found,) = find_scans(tmp_path).scans
    assert found.name == "study.zip/a/IM1.dcm.xz"
    assert read_scan(found).modality == "CT"


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_that_is_no_scan_is_called_what_it_is(tmp_path, ending):
    pack = PACKED[ending]
    cases = {
        "table.tsv": (b"a\tb\n1\t2\n" * 9, None),
        "page.dcm": (b"<html><body>404</body></html>", "not-an-image"),
        "empty.nii": (b"", "damaged"),
        "twice.nii.gz": (gzip.compress(SEEDS["nifti-1"].data), "not-an-image"),
        "cut.dcm": (SEEDS["ct-explicit"].data[:-90], "damaged"),
    }
    for name, (data, _) in cases.items():
        (tmp_path / (name + ending)).write_bytes(pack(data))
    codes = {}
    found = find_scans(tmp_path)
    codes.update({item.name: item.code for item in found.refused})
    for source in found.scans:
        with pytest.raises(ScanRefused) as refused:
            read_scan(source)
        codes[source.name] = refused.value.code
    assert codes == {name + ending: code for name, (_, code) in cases.items() if code}
    assert [path.name for path in found.ignored] == [f"table.tsv{ending}"]


@pytest.mark.parametrize("name", ["ct-explicit", "nifti-1", "png-16"])
@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_a_wrong_checksum_is_damage_even_where_all_bytes_are_there(tmp_path, name, ending):
    seed = SEEDS[name]
    data = bytearray(PACKED[ending](seed.data))
    data[{".gz": -8, ".bz2": -3, ".xz": -30}[ending]] ^= 0x11
    (tmp_path / (seed.file + ending)).write_bytes(data)
    with pytest.raises(ScanRefused) as refused:
        read_scan(tmp_path)
    assert refused.value.code == "damaged"


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("medcls.scans.archive.unpacked.FREE_OF_RATIO", 1 << 20)
    for ending in (".bz2", ".xz", ".zst"):  # gzip packs no better than what is believed
        path = tmp_path / f"x{ending}"
        path.write_bytes(PACKED[ending](bytes(1 << 25)))
        with pytest.raises(ScanRefused) as refused:
            unpacked_size(path)
        assert refused.value.code == "too-large", ending


@given(
    data=st.binary(max_size=5000), ending=st.sampled_from(sorted(PACKED)), at=st.lists(st.integers(0, 5000), max_size=5)
)
def test_the_inside_can_be_read_from_anywhere(tmp_path_factory, data, ending, at):
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    path.write_bytes(PACKED[ending](data))
    assert unpacked_size(path) == len(data)
    with open_unpacked(path) as handle:
        for place in at:
            handle.seek(place)
            assert handle.read(100) == data[place : place + 100]


VOLUMES = arrays(st.sampled_from(["u1", ">i2", ">i4", ">f4"]), array_shapes(min_dims=3, max_dims=3, max_side=4))


@given(volume=VOLUMES, packed=st.booleans())
def test_a_volume_of_freesurfer_is_what_nibabel_says(tmp_path_factory, volume, packed):
    path = tmp_path_factory.getbasetemp() / ("v.mgz" if packed else "v.mgh")
    if volume.dtype.kind == "f":
        volume = np.nan_to_num(volume)
    plain = MGHImage(volume, ROTATED).to_bytes()
    path.write_bytes(gzip.compress(plain) if packed else plain)
    if min(volume.shape) == 1:
        return
    theirs = MGHImage.from_bytes(plain)  # nibabel's own reader of files leaves them open
    ours = read_scan(path)
    assert np.array_equal(ours.array[0], np.asarray(theirs.dataobj))
    assert np.array_equal(ours.affine, theirs.affine)
    assert (ours.kind, ours.has_geometry) == ("mgh", True)


def saved(path: Path, volume: np.ndarray, **changes: object) -> Path:
    header = MGHHeader()
    header.set_data_dtype(volume.dtype)
    image = MGHImage(volume, ROTATED, header)
    for name, value in changes.items():
        image.header[name] = value
    image.to_filename(path)
    return path


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
def test_no_file_of_freesurfer_stays_open(tmp_path, ending):
    path = saved(tmp_path / f"x{ending}", np.ones((3, 4, 5), np.int16))
    whole, short = path.read_bytes(), tmp_path / f"short{ending}"
    short.write_bytes(gzip.compress(gzip.decompress(whole)[:300]) if ending == ".mgz" else whole[:300])
    with warnings.catch_warnings(record=True, category=ResourceWarning, action="always") as left_open:
        mgh.read(mgh.find(path))
        with pytest.raises(ScanRefused):
            mgh.find(short)
        gc.collect()
    assert not left_open


def test_freesurfers_volumes_that_are_not_read(tmp_path):
    frames = saved(tmp_path / "bold.mgz", np.zeros((3, 3, 3, 2), np.float32))
    with pytest.raises(ScanRefused) as refused:
        read_scan(frames)
    assert refused.value.code == "four-dimensional"
    surface = saved(tmp_path / "thickness.mgh", np.zeros((90, 1, 1), np.float32))
    with pytest.raises(ScanRefused) as refused:
        read_scan(surface)
    assert refused.value.code == "not-an-image"
    whole = saved(tmp_path / "x.mgh", np.ones((3, 3, 3), np.int16)).read_bytes()
    (tmp_path / "x.mgh").write_bytes(whole[:300])
    with pytest.raises(ScanRefused) as refused:
        read_scan(tmp_path / "x.mgh")
    assert refused.value.code == "damaged"


def test_a_volume_of_freesurfer_whose_place_is_not_known(tmp_path):
    data = bytearray(saved(tmp_path / "x.mgh", np.ones((3, 4, 5), np.int16)).read_bytes())
    data[28:30] = bytes(2)
    (tmp_path / "x.mgh").write_bytes(data)
    scan = read_scan(tmp_path / "x.mgh")
    assert not scan.has_geometry
    assert scan.notes[0].startswith("side-unknown: ")
    assert scan.spacing == (1.0, 1.0, 1.0)


def test_every_seed_that_is_one_file_can_be_packed(tmp_path):
    for number, seed in enumerate(SEEDS.values()):
        if seed.kind in ("dicom", "png") and not seed.beside and seed.name not in REFUSED:
            write(tmp_path / str(number), [(seed.file + ".gz", gzip.compress(seed.data))])
    found = find_scans(tmp_path)
    assert [(item.name, item.reason) for item in found.refused] == []
