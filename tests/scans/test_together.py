"""Files of a series are opened and worked on several at once: the values are those of one file after the other."""

from __future__ import annotations

from unittest.mock import patch

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.errors import ScanRefused
from medcls.scans import find_scans, pass_slices, read_scan
from medcls.scans.core.leniency import STRICT
from medcls.scans.dicom.frames.instance import open_plain
from medcls.scans.dicom.series import read_uncompressed
from medcls.scans.dicom.series.read_uncompressed import read_plain
from medcls.scans.sandbox import read_apart
from tests.factories.dicom import instance, save

EXPLICIT, IMPLICIT, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.80"
ROWS, COLUMNS = 5, 7
SLICE = ROWS * COLUMNS * 2

kinds = st.fixed_dictionaries(
    {
        "syntax": st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT, JPEG_LS]),
        "BitsStored": st.sampled_from([12, 12, 16]),
        "RescaleSlope": st.sampled_from([1, 1, 1, 0.5]),
        "PixelPaddingValue": st.sampled_from([None, None, 0, 7]),
        "junk": st.booleans(),
    }
)
intercepts = st.sampled_from([-1024, -1024, -1024, 0, 3])
several = st.lists(kinds, min_size=1, max_size=3)
slices = several.flatmap(lambda some: st.lists(st.tuples(st.sampled_from(some), intercepts), min_size=2, max_size=9))


def write(folder, kinds, modality, seed):
    rng = np.random.default_rng(seed)
    for number, kind in enumerate(kinds):
        header = {key: value for key, value in kind.items() if key not in ("syntax", "junk") and value is not None}
        top = 1 << kind["BitsStored"]
        pixels = rng.integers(0, top, (ROWS, COLUMNS), dtype=np.uint32).astype(np.uint16)
        pixels[0, : 1 + number % 3] = 7 * (number % 2)
        compressed = kind["syntax"] == JPEG_LS
        if kind["junk"] and not compressed:
            pixels |= np.uint16(0xFFFF & ~(top - 1))  # an old overlay above the stored bits
        place = {"ImagePositionPatient": [0, 0, 2 * number], "SOPInstanceUID": f"1.{number + 1}"}
        made = instance(pixels, Modality=modality, HighBit=kind["BitsStored"] - 1, **header, **place)
        frames = [imagecodecs.jpegls_encode(pixels)] if compressed else None
        save(made, folder / f"{number:02}", kind["syntax"], *([frames] if frames else []))


@settings(max_examples=60, deadline=None)
@given(
    slices=slices,
    modality=st.sampled_from(["CT", "MR"]),
    ahead=st.integers(1, 10),
    together=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_however_many_are_taken_at_once(tmp_path_factory, slices, modality, ahead, together, seed):
    folder = tmp_path_factory.mktemp("series")
    write(folder, [{**kind, "RescaleIntercept": intercept} for kind, intercept in slices], modality, seed)
    (source,) = find_scans(folder).scans
    one_by_one = read_apart(source, STRICT)
    passed = []
    bytes_at_once = dict.fromkeys(("_TOGETHER", "_ASIDE", "_AHEAD_BYTES"), together * SLICE)
    with patch.multiple(read_uncompressed, _AHEAD=ahead, **bytes_at_once):
        scan = read_plain(source)
        through = pass_slices(source, lambda values: passed.append(values.copy()))
    assert scan is not None
    assert np.array_equal(scan.array, one_by_one.array)
    assert scan.array.dtype == one_by_one.array.dtype
    assert (scan.notes, scan.attributes, scan.identity) == (
        one_by_one.notes,
        one_by_one.attributes,
        one_by_one.identity,
    )
    if through is not None:
        assert np.array_equal(np.stack(passed), scan.array[0].transpose(2, 1, 0))


@pytest.mark.parametrize("broken", [0, 3, 8])
def test_one_file_cut_short_is_named(tmp_path, broken):
    kind = {"syntax": EXPLICIT, "BitsStored": 12, "RescaleIntercept": -1024, "PixelPaddingValue": None, "junk": False}
    write(tmp_path, [kind] * 9, "CT", 0)
    (source,) = find_scans(tmp_path).scans
    path = source.paths[broken]
    data = path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OW") + 8
    shorter = (SLICE - 10).to_bytes(4, "little")
    path.write_bytes(data[:at] + shorter + data[at + 4 : -10] + b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0")
    with pytest.raises(ScanRefused) as caught:
        read_scan(source)
    assert caught.value.code == "damaged"
    assert caught.value.where == str(path)
    assert f"{SLICE - 10} of {SLICE} bytes" in str(caught.value)


@pytest.mark.parametrize(("limits", "most"), [({"_AHEAD": 4}, 4), ({"_AHEAD_BYTES": 3 * SLICE}, 3)])
def test_no_more_files_are_open_than_allowed(tmp_path, monkeypatch, limits, most):
    kind = {"syntax": EXPLICIT, "BitsStored": 12, "RescaleIntercept": -1024, "PixelPaddingValue": None, "junk": False}
    write(tmp_path, [kind] * 11, "CT", 0)
    (source,) = find_scans(tmp_path).scans
    files, counts = [], []

    def counted(name):
        files.append(open_plain(name))
        counts.append(sum(not file.handle.closed for file in files))
        return files[-1]

    monkeypatch.setattr(read_uncompressed, "open_plain", counted)
    for name, limit in limits.items():
        monkeypatch.setattr(read_uncompressed, name, limit)
    assert read_scan(source).array.shape[-1] == 11
    assert max(counts) == most
    assert all(file.handle.closed for file in files)
