"""False NRRD and MetaImage files are refused, with a code and a remedy."""

from __future__ import annotations

import os
import sys
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from medcls.errors import ScanRefused
from medcls.scans import STRICT, find_scans, read_scan
from medcls.scans.probe.probe import probe
from medcls.scans.probe.readers import read_here
from tests.factories.itk import (
    ATTACHED,
    MAKE,
    RAW,
    VOXELS,
    metaimage,
    nrrd,
    packed,
    put,
    refused,
    write,
)


@pytest.mark.parametrize("ending", ATTACHED)
def test_more_than_one_volume_and_other_vectors_are_refused(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    assert (
        refused(write(path, sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16), isVector=False))).code
        == "four-dimensional"
    )
    for many, dtype in ((2, np.uint8), (4, np.uint8), (3, np.float32)):
        made = sitk.GetImageFromArray(np.zeros((3, 4, 5, many), dtype), isVector=True)
        assert refused(write(path, made)).code == "unsupported"
    series = nrrd(RAW, dimension="4", sizes="2 3 5 4", kinds="list domain domain domain", space=None, **_NOWHERE)
    assert refused(put(path, series)).code == "four-dimensional"


_NOWHERE = {"space_directions": None, "space_origin": None}


@pytest.mark.parametrize(
    "name",
    ["../secret.raw", "/etc/hostname", "sub/../../secret.raw", "..\\secret.raw", "C:\\secret.raw", "~/x", "file:x.raw"],
)
def test_data_outside_the_folder_of_the_header_are_refused(tmp_path, name):
    put(tmp_path / "secret.raw", RAW)
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    for path in (
        put(folder / "x.nhdr", nrrd(b"", data_file=name)),
        put(folder / "x.mhd", metaimage(b"", ElementDataFile=name)),
    ):
        error = refused(path)
        assert (error.code, "outside" in error.what) == ("unsupported", True)
    put(folder / "sub" / "x.raw", RAW)
    inside = put(folder / "inside.mhd", metaimage(b"", ElementDataFile="sub/x.raw"))
    assert np.array_equal(read_scan(inside).array[0], VOXELS.T)


@pytest.mark.parametrize("name", ["LIST", "LIST 2", "x%03d.raw 1 4 1", "slice.%03d 1 4 1 2"])
def test_lists_and_patterns_of_files_are_refused(tmp_path, name):
    assert refused(put(tmp_path / "x.nhdr", nrrd(b"", data_file=name))).code == "unsupported"
    assert refused(put(tmp_path / "x.mhd", metaimage(b"", ElementDataFile=name))).code == "unsupported"


def test_data_that_are_no_regular_file_are_refused(tmp_path):
    os.mkfifo(tmp_path / "x.raw")
    for path in (
        put(tmp_path / "x.mhd", metaimage(b"", ElementDataFile="x.raw")),
        put(tmp_path / "y.mhd", metaimage(b"", ElementDataFile=".")),
        put(tmp_path / "x.nhdr", nrrd(b"", data_file="x.raw")),
    ):
        error = refused(path)
        assert (error.code, "no regular file" in error.what) == ("damaged", True)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", ATTACHED)
def test_a_file_that_is_cut_short_is_refused(tmp_path, ending, compressed):
    noise = np.random.default_rng(0).integers(0, 999, (8, 20, 20), dtype=np.int16)
    data = packed(tmp_path, ending, noise, compressed)
    for length in (1, 7, 300, 2000):
        assert refused(put(tmp_path / "x", data[:-length])).code == "damaged"


@pytest.mark.parametrize("ending", ATTACHED)
def test_compressed_data_of_another_size_or_checksum_are_refused(tmp_path, ending):
    """SimpleITK alone would fill up what is missing in silence, and pass over a wrong checksum."""
    whole = packed(tmp_path, ending, VOXELS, True)
    path = put(tmp_path / "x", whole)
    assert np.array_equal(read_scan(path).array[0], VOXELS.T)
    assert refused(put(path, whole.replace(b"6 5 4", b"6 5 8"))).code == "damaged"
    assert refused(put(path, whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])).code == "damaged"
    assert refused(put(path, whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])).code == "damaged"


@pytest.mark.parametrize("ending", ATTACHED)
def test_bombs_are_refused_by_their_header(tmp_path, ending):
    make, path = MAKE[ending], tmp_path / "x"
    sizes = "sizes" if ending == ".nrrd" else "DimSize"
    how = {"encoding": "gzip"} if ending == ".nrrd" else {"CompressedData": "True"}
    for declared, code in (
        ("60000 60000 60000", "too-large"),
        ("2000 1000 1000", "damaged"),
        ("0 5 4", "damaged"),
        ("-6 5 4", "damaged"),
        ("99999999999999999999 1 1", "damaged"),
        ("6 5", "damaged"),
    ):
        for more in ({}, how):
            assert refused(put(path, make(zlib.compress(RAW), **{sizes: declared}, **more))).code == code
    swollen = zlib.compressobj(9, zlib.DEFLATED, 31 if ending == ".nrrd" else 15)
    bomb = swollen.compress(bytes(2**25)) + swollen.flush()
    assert refused(put(path, make(bomb, **how))).code == "damaged"


@pytest.mark.parametrize(
    ("ending", "fields", "code"),
    [
        (".nrrd", {"space_directions": "(1,0,0) (0,1,0) (1,1,0)"}, "bad-geometry"),
        (".nrrd", {"space_directions": "(1,0,0) (0,1,0) (0,0,0)"}, "bad-geometry"),
        (".nrrd", {"space_origin": "(nan,0,0)"}, "bad-geometry"),
        (".nrrd", {"space_directions": "(1,0,0) (0,1,0)"}, "damaged"),
        (".nrrd", {"space_directions": "(1,0) (0,1) (1,1)"}, "unsupported"),
        (".nrrd", {"space": "left-posterior-superior-time"}, "four-dimensional"),
        (".nrrd", {"type": "block"}, "unsupported"),
        (".nrrd", {"encoding": "bzip2"}, "unsupported"),
        (".nrrd", {"encoding": "ascii"}, "unsupported"),
        (".nrrd", {"line_skip": "1"}, "unsupported"),
        (".nrrd", {"endian": None}, "damaged"),
        (".nrrd", {"dimension": "4"}, "damaged"),
        (".nrrd", {"Type": "float"}, "damaged"),
        (".mha", {"TransformMatrix": "1 0 0 0 1 0 1 1 0"}, "bad-geometry"),
        (".mha", {"Offset": "nan 0 0"}, "bad-geometry"),
        (".mha", {"ElementSpacing": "1 0 1"}, "bad-geometry"),
        (".mha", {"TransformMatrix": "1 0 0 0 1 0"}, "damaged"),
        (".mha", {"Position": "1 2 3"}, "damaged"),
        (".mha", {"Comment": "ElementDataFile = /etc/passwd"}, "damaged"),
        (".mha", {"Comment": "\x1b"}, "damaged"),
        (".mha", {"ElementType": "MET_SHORT_ARRAY"}, "unsupported"),
        (".mha", {"BinaryData": "False"}, "unsupported"),
        (".mha", {"ElementToIntensityFunctionSlope": "2"}, "unsupported"),
        (".mha", {"HeaderSize": "3"}, "unsupported"),
    ],
)
def test_headers_that_lie_or_ask_for_more_are_refused(tmp_path, ending, fields, code):
    error = refused(put(tmp_path / "x", MAKE[ending](RAW, **fields)))
    assert error.code == code


@pytest.mark.parametrize(("ending", "name"), [(".nrrd", "NRRD"), (".mha", "MetaImage")])
def test_without_simpleitk_the_remedy_is_the_extra(tmp_path, monkeypatch, ending, name):
    path = write(tmp_path / f"x{ending}")
    source = find_scans(path).scans[0]
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    errors = [probe(str(path)).refused]
    with pytest.raises(ScanRefused) as caught:
        read_here(source, STRICT)
    errors.append(caught.value)
    for error in errors:
        assert error.code == "unsupported"
        assert name in error.what
        assert error.remedy == "Install it with: pip install 'medcls[itk]'"
