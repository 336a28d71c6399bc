"""Near-duplicates: copies are found however they were saved, other patients' images are not, and thousands take seconds."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from medcls.cohort import Case
from medcls.cohort.leakage import near_duplicates
from medcls.cohort.leakage.fingerprints import BITS, Fingerprint, bits_of, fingerprint
from medcls.cohort.leakage.near_duplicates import (
    LEAST_CORRELATION,
    MOST_DIFFERENT_BITS,
    find_near_duplicates,
    find_near_known,
    join_digests,
)
from medcls.cohort.leakage.relations import find_relations


def picture(seed: int, side: int = 160) -> NDArray[np.uint8]:
    """A textured picture: coarse shapes and fine detail, another for each seed."""
    noise = np.random.default_rng(seed)
    coarse = gaussian_filter(noise.normal(size=(side, side)), side / 12)
    fine = gaussian_filter(noise.normal(size=(side, side)), side / 60)
    both = coarse / coarse.std() + 0.6 * fine / fine.std()
    return np.asarray((127 + 40 * both).clip(0, 255), np.uint8)


def printed(image: NDArray[np.generic]) -> Fingerprint:
    found = fingerprint(np.asarray(image, np.float32)[None])
    assert found is not None
    return found


def jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


@given(st.integers(0, 10_000), st.integers(30, 95), st.floats(0.5, 1.5), st.floats(0.7, 1.2), st.floats(-20, 20))
def test_a_picture_saved_smaller_brighter_and_compressed_is_still_the_same(
    seed: int, quality: int, factor: float, contrast: float, brightness: float
) -> None:
    image = picture(seed)
    grey = (image.astype(np.float64) * contrast + brightness).clip(0, 255).astype(np.uint8)
    found = find_near_duplicates({"a": printed(image), "b": printed(jpeg(resized(grey, factor), quality))})
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b")]


def test_different_pictures_are_no_duplicates() -> None:
    found = find_near_duplicates({str(seed): printed(picture(seed)) for seed in range(150)})
    assert found.pairs == ()
    assert found.images == 150
    assert not found.too_alike


def test_brightness_and_contrast_alone_change_no_bit() -> None:
    image = picture(0).astype(np.float32)
    assert (printed(image).bits == printed(image * 3 - 1000).bits).all()


def test_a_grey_picture_saved_in_colour_and_a_volume_have_fingerprints_too() -> None:
    image = picture(1)
    colour = fingerprint(np.stack([image, image, image]).astype(np.float32))
    assert colour is not None
    assert (colour.bits == printed(image).bits).all()
    volume = np.random.default_rng(0).normal(size=(1, 40, 40, 20)).astype(np.float32)
    noisy = volume + 0.1 * np.random.default_rng(1).normal(size=volume.shape).astype(np.float32)
    other = np.random.default_rng(2).normal(size=volume.shape).astype(np.float32)
    prints = {name: found for name, one in (("a", volume), ("b", noisy), ("c", other)) if (found := fingerprint(one))}
    assert [(pair.first, pair.second) for pair in find_near_duplicates(prints).pairs] == [("a", "b")]


@pytest.mark.parametrize("value", [0.0, 1.0, -1024.0])
def test_blank_images_are_copies_of_nothing(value: float) -> None:
    assert fingerprint(np.full((1, 50, 60), value, np.float32)) is None
    assert fingerprint(np.full((3, 8, 9, 10), value, np.float32)) is None


def test_the_search_finds_what_comparing_every_pair_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)  # many blocks
    rng = np.random.default_rng(0)
    prints: dict[str, Fingerprint] = {}
    for number in range(40):
        image = picture(number // 4).astype(np.float32) + rng.normal(0, 5 * (number % 4) ** 2, (160, 160))
        prints[f"{number:02}"] = printed(image)
    expected = set()
    for one, first in prints.items():
        for other, second in prints.items():
            bits = int((first.bits != second.bits).sum())
            correlation = np.corrcoef(first.detail.astype(float), second.detail.astype(float))[0, 1]
            if one < other and bits <= MOST_DIFFERENT_BITS and correlation >= LEAST_CORRELATION:
                expected.add((one, other, bits))
    found = find_near_duplicates(prints).pairs
    assert {(pair.first, pair.second, pair.different_bits) for pair in found} == expected
    assert len(expected) > 20


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_mirror_images_are_found_and_called_so(axes: tuple[int, ...]) -> None:
    image = picture(5)
    turned = jpeg(np.ascontiguousarray(np.flip(image, axes)), 60)
    (pair,) = find_near_duplicates({"a": printed(image), "b": printed(turned)}).pairs
    assert pair.mirrored
    volume = np.random.default_rng(0).normal(size=(1, 40, 40, 20)).astype(np.float32)
    one, other = fingerprint(volume), fingerprint(np.flip(volume, [axis + 1 for axis in axes]))
    assert one is not None
    assert other is not None
    assert [pair.mirrored for pair in find_near_duplicates({"a": one, "b": other}).pairs] == [True]


def test_a_fingerprint_kept_in_the_store_comes_back_and_other_texts_do_not() -> None:
    one = printed(picture(2))
    back = Fingerprint.unpacked(one.packed())
    assert back is not None
    assert (back.bits == one.bits).all()
    assert (back.detail == one.detail).all()
    assert [Fingerprint.unpacked(text) for text in ("", "no base64!", "AAAA")] == [None, None, None]


def test_images_that_are_all_alike_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_MOST_CANDIDATES", 100)
    found = find_near_duplicates({str(number): printed(picture(0)) for number in range(30)})
    assert found.too_alike
    assert found.pairs == ()


@pytest.mark.parametrize(
    ("alike", "named", "told_apart"),
    [(4, True, True), (12, True, False), (12, False, True), (25, False, False)],
    ids=["copies", "one image of many patients", "slices of nobody in particular", "nearly all"],
)
def test_images_that_tie_many_patients_are_of_one_kind_and_no_copies(alike: int, named: bool, told_apart: bool) -> None:
    # Patients may be called as their only case is.
    cases = [Case(f"c{n}", f"c{n}", Path(f"c{n}"), (n % 2,), names_patient=named) for n in range(40)]
    prints = {case.name: printed(picture(0 if n < alike else n)) for n, case in enumerate(cases)}
    content = {case.name: case.name for case in cases}
    found = find_relations(cases, content, prints)
    assert found.near is not None
    assert found.near.too_alike is not told_apart
    groups = set(found.grouping(content, near=True).values())
    assert len(groups) == (40 - alike + 1 if told_apart else 40)


def test_ten_thousand_fingerprints_are_compared_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    bits = rng.random((10_000, BITS)) < 0.5
    bits[1::1000] = bits[0::1000]
    detail = rng.integers(-127, 128, (10_000, 16), dtype=np.int8)
    detail[1::1000] = detail[0::1000]
    prints = {f"{row:05}": Fingerprint(bits[row], detail[row]) for row in range(10_000)}
    found = find_near_duplicates(prints)
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        (f"{row:05}", f"{row + 1:05}") for row in range(0, 10_000, 1000)
    ]


@given(st.integers(0, 2**BITS - 1))
def test_a_kept_hash_comes_back(number: int) -> None:
    bits = np.array([number >> index & 1 for index in range(BITS)], np.bool_)
    kept = Fingerprint(bits, np.zeros(1, np.int8)).text
    assert len(kept) == 64
    back = bits_of(kept)
    assert back is not None
    assert (back == bits).all()


def test_kept_hashes_are_met_without_pictures_and_damaged_ones_meet_nobody() -> None:
    known = {"old": printed(picture(3)).text, "other": printed(picture(4)).text, "broken": "xyz", "empty": ""}
    found = find_near_known({"new": printed(jpeg(picture(3), 60)).text}, known)
    assert [(pair.first, pair.second) for pair in found] == [("new", "old")]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_joined_digests_are_equal_just_where_pairs_connect(pairs: list[tuple[int, int]]) -> None:
    names = [f"c{number}" for number in range(10)]
    joined = join_digests({name: name for name in names}, [(names[one], names[other]) for one, other in pairs])
    reach = np.eye(10, dtype=bool)
    for one, other in pairs:
        reach[one, other] = reach[other, one] = True
    for _ in range(4):
        reach = reach @ reach
    for one in range(10):
        for other in range(10):
            assert (joined[names[one]] == joined[names[other]]) == bool(reach[one, other])


def test_the_known_duplicates_of_a_public_brain_set_are_found(shared_data: Path) -> None:
    """The set is known for pictures that are in its training and its test folders, some as grey and some as colour."""
    prints: dict[str, Fingerprint] = {}
    equal: dict[str, list[str]] = defaultdict(list)
    for path in sorted((shared_data / "brain_tumor4").glob("*/*/*.jpg")):
        grey = np.asarray(Image.open(path).convert("L"))
        name = path.relative_to(shared_data).as_posix()
        prints[name] = printed(grey)
        equal[hashlib.sha256(grey.tobytes()).hexdigest()].append(name)
    found = {(pair.first, pair.second) for pair in find_near_duplicates(prints).pairs}
    copies = {(group[0], other) for group in equal.values() for other in group[1:]}
    assert len(copies) > 50
    assert copies <= found
    crossing = {pair for pair in found if pair[0].split("/")[1] != pair[1].split("/")[1]}
    assert len({name for pair in crossing for name in pair if "Testing" in name}) > 20
    assert len(crossing - copies) > 0
