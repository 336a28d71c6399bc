"""Near-duplicates: the same picture saved again, smaller, brighter or compressed harder, and next slices of one volume.

The bits of fingerprints find candidates fast; the fine detail decides, because images of one body part are all alike in the
large and differ in the small. ``docs/explanation/partitions-and-leakage.md`` has the measured rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.cohort.leakage.fingerprints import BITS, Fingerprint, bits_of, parity, reversed_order

MOST_DIFFERENT_BITS = 40
"""Of 255. Different patients of one cohort of chest CT differ in 47 or more."""
LEAST_CORRELATION = 0.8
"""Of the fine detail. Different patients of that cohort reach 0.54."""
MOST_DIFFERENT_BITS_ALONE = 20
"""Where only bits were kept, and no detail can be compared."""

MIRRORED = ((), (0,), (1,), (0, 1))
"""Axes along which a copy may run the other way: as it is, mirrored, upside down, turned by half."""

_ROWS = 1024  # fingerprints compared with all others at once
_PAIRS = 1024  # pairs whose detail is compared at once
_MOST_CANDIDATES = 2_000_000  # from which on images are too alike, and comparing all their detail would take minutes


@dataclass(frozen=True, order=True)
class NearPair:
    """Two images that are nearly the same.

    Attributes:
        first, second: Their names.
        different_bits: Of 255.
        correlation: Of the fine detail, -1 to 1; ``None`` where only bits were compared.
        mirrored: One is a mirror image of the other, upside down, or turned by half.
    """

    first: str
    second: str
    different_bits: int
    correlation: float | None = None
    mirrored: bool = False


@dataclass(frozen=True)
class NearDuplicates:
    """What a search found.

    Attributes:
        pairs: All pairs, sorted.
        images: How many images were compared; blank ones are not.
        too_alike: The images are so alike that copies cannot be told from others; ``pairs`` is then empty.
    """

    pairs: tuple[NearPair, ...] = ()
    images: int = 0
    too_alike: bool = False


def find_near_duplicates(fingerprints: Mapping[str, Fingerprint]) -> NearDuplicates:
    """All pairs that differ in at most 40 bits and whose detail correlates by at least 0.8, as they are or mirrored.

    Time grows with the square of the number of images, but slowly: a block of fingerprints is compared with all others by
    one matrix product. Memory grows with the number of images.

    Args:
        fingerprints: By name; all of one dimension.
    """
    names = sorted(fingerprints)
    if len(names) < 2:
        return NearDuplicates(images=len(names))
    signs = _signs([fingerprints[name].bits for name in names])
    detail = np.stack([fingerprints[name].detail for name in names])
    found: dict[tuple[str, str], NearPair] = {}
    candidates = 0
    for axes in MIRRORED:
        turned, order = signs * parity(detail.shape[1], axes), reversed_order(detail.shape[1], axes)
        for start in range(0, len(names), _ROWS):
            first, second, different = _candidates(turned[start : start + _ROWS], signs[start:])
            later = second > first
            first, second, different = first[later] + start, second[later] + start, different[later]
            candidates += len(first)
            if candidates > _MOST_CANDIDATES:
                return NearDuplicates(images=len(names), too_alike=True)
            correlation = _correlations(detail, first, second, order)
            for one, other, bits, value in zip(first, second, different, correlation, strict=True):
                if value >= LEAST_CORRELATION:
                    pair = NearPair(names[one], names[other], int(bits), round(float(value), 3), bool(axes))
                    found.setdefault((pair.first, pair.second), pair)
    return NearDuplicates(tuple(sorted(found.values())), len(names))


def find_near_known(hashes: Mapping[str, str], known: Mapping[str, str]) -> tuple[NearPair, ...]:
    """Pairs of an image and a kept hash that differ in at most 20 bits.

    Args:
        hashes: Name to :attr:`Fingerprint.text`; the ``first`` of each pair. What is no such text matches nothing.
        known: The same of other images; the ``second`` of each pair.
    """
    bits, kept = _all_bits(hashes), _all_bits(known)
    if not bits or not kept:
        return ()
    names, others = sorted(bits), sorted(kept)
    signs, kept_signs = _signs([bits[name] for name in names]), _signs([kept[name] for name in others])
    found = []
    for start in range(0, len(names), _ROWS):
        near = _candidates(signs[start : start + _ROWS], kept_signs, MOST_DIFFERENT_BITS_ALONE)
        for one, other, different in zip(*near, strict=True):
            found.append(NearPair(names[start + one], others[other], int(different)))
    return tuple(sorted(found))


def join_digests(content: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Digests with which related cases count as the same picture, so that whoever groups by digest keeps them together.

    Args:
        content: Case name to a digest of its voxels.
        pairs: Names of two cases that belong together.

    Returns:
        Case name to the digest of one case of its cluster.
    """
    parent: dict[str, str] = {}

    def root(digest: str) -> str:
        while (above := parent.get(digest, digest)) != digest:
            digest = above
        return digest

    for first, second in pairs:
        if first in content and second in content:
            one, other = sorted((root(content[first]), root(content[second])))
            parent[other] = one
    return {name: root(digest) for name, digest in content.items()}


def _all_bits(hashes: Mapping[str, str]) -> dict[str, NDArray[np.bool_]]:
    return {name: bits for name, text in hashes.items() if (bits := bits_of(text)) is not None}


def _signs(bits: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    signs: NDArray[np.float32] = np.where(np.stack(bits), 1, -1).astype(np.float32)
    return signs


def _candidates(
    rows: NDArray[np.float32], others: NDArray[np.float32], most: int = MOST_DIFFERENT_BITS
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, other and number of different bits, where these are few: agreeing bits less different ones are the product."""
    agreement = rows @ others.T
    first, second = np.nonzero(agreement >= BITS - 2 * most)
    different = np.rint((BITS - agreement[first, second]) / 2).astype(np.intp)
    return first, second, different


def _correlations(
    detail: NDArray[np.int8], first: NDArray[np.intp], second: NDArray[np.intp], order: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Of each pair; the first image's pixels are taken in ``order``."""
    correlation = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        correlation[part] = _correlation(detail[first[part]][:, order], detail[second[part]])
    return correlation


def _correlation(one: NDArray[np.int8], other: NDArray[np.int8]) -> NDArray[np.float32]:
    first, second = one.astype(np.float32), other.astype(np.float32)
    product = np.einsum("ij,ij->i", first, second)
    lengths = np.einsum("ij,ij->i", first, first) * np.einsum("ij,ij->i", second, second)
    return np.asarray(product / np.sqrt(np.maximum(lengths, 1)), np.float32)
