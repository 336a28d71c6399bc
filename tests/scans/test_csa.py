"""Siemens' private headers are read as they were written, and as nibabel reads them."""

from __future__ import annotations

import struct
import warnings

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medcls.scans.dicom.parse.csa import CSA_TAGS, image_csa, read_csa
from tests.factories.mosaic import IMAGE, SERIES, csa, fmri, image_tags, sample


def nibabel_csa(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import csareader
    tags = csareader.read(data)["tags"]
    return {name: [item for item in tag["items"] if item != ""] for name, tag in tags.items()}


def assert_same_tags(data):
    ours, theirs = read_csa(data), nibabel_csa(data)
    assert list(ours) == list(theirs)
    for name, items in theirs.items():
        assert len(ours[name]) >= len(items)  # nibabel stops at the value multiplicity
        for one, other in zip(ours[name], items, strict=False):
            assert one == other.strip() if isinstance(other, str) else float(one) == other


@pytest.mark.parametrize("version", [1, 2])
def test_our_csa_reader_reads_what_was_written_and_what_nibabel_reads(version):
    tags = image_tags(36, [0.1, -0.2, 0.97])
    assert read_csa(csa(tags, version)) == {name: tuple(items) for name, items in tags.items()}
    if version == 1:
        ended = csa(tags, 1).replace(struct.pack("<4i", 6, 0, 77, 0), struct.pack("<4i", 5, 0, 77, 0), 1)
        assert read_csa(ended)["EchoLinePosition"] == ()  # a length below nothing ends a tag
    if version == 2:
        assert_same_tags(csa(tags, version))
        assert read_csa(csa({"A": ["1"], "B": ["12345678"] * 6})[:-8]) == {}  # the last item is cut short


def test_our_csa_reader_agrees_with_nibabel_on_real_headers(shared_data):
    assert_same_tags(pydicom.dcmread(fmri(shared_data)[0], stop_before_pixels=True)[SERIES].value)
    for tag in (IMAGE, SERIES):
        assert_same_tags(sample("siemens_dwi_1000.dcm.gz")[tag].value)


@given(st.binary(max_size=600), st.integers(0, 500), st.booleans())
def test_no_bytes_break_the_csa_reader(junk, cut, prefix):
    good = csa(image_tags(7, [0, 0, 1]))
    for data in (junk, b"SV10" + junk, good[:cut] + junk, good[:cut] + junk + good[cut:]):
        assert isinstance(read_csa(data), dict)


def test_private_blocks_are_found_by_their_creator_wherever_they_are():
    dataset = Dataset()
    dataset.add_new((0x0029, 0x0010), "LO", "SOMEONE ELSE")
    dataset.add_new(IMAGE, "OB", csa({"Wrong": ["1"]}))
    assert image_csa(dataset) == {}
    dataset.add_new((0x0029, 0x0012), "LO", "SIEMENS CSA HEADER")
    dataset.add_new((0x0029, 0x1210), "OB", csa({"Right": ["1"]}))
    assert image_csa(dataset) == {"Right": ("1",)}
    assert {0x00290012, 0x00291210, 0x00291220, 0x0019100A} <= set(CSA_TAGS)
