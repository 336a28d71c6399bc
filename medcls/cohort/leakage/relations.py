"""Which cases belong together beyond patient, study and equal pixels: near-duplicates, shared instances, shared identities."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medcls.cohort.case import Case
from medcls.cohort.leakage.fingerprints import Fingerprint
from medcls.cohort.leakage.gate import shared_instances
from medcls.cohort.leakage.identities import SharedIdentity, find_shared_identities
from medcls.cohort.leakage.near_duplicates import NearDuplicates, find_near_duplicates, join_digests

_MOST_PATIENTS = 0.1
"""Of the named patients, the most that copies of one image may be of; from six on. Copies under so many names are none."""
_MOST_IMAGES = 0.5
"""Of all images, the most that may be tied to one another."""


@dataclass(frozen=True)
class Relations:
    """What was found among the cases of a cohort.

    Attributes:
        near: Near-duplicates; ``None`` where they were not looked for.
        instances: Pairs of cases that share a DICOM instance.
        identities: Cases of several patients that seem to be one.
    """

    near: NearDuplicates | None = None
    instances: tuple[tuple[str, str], ...] = ()
    identities: tuple[SharedIdentity, ...] = ()

    def grouping(self, content: Mapping[str, str], *, near: bool) -> dict[str, str]:
        """Digests by which related cases count as one image, for parting a cohort.

        Args:
            content: Case name to a digest of its scan's voxels.
            near: Whether near-duplicates are kept together.
        """
        pairs = list(self.instances)
        for shared in self.identities:
            pairs += pairwise(case.name for case in shared.cases)
        if near and self.near is not None:
            pairs += [(pair.first, pair.second) for pair in self.near.pairs]
        return join_digests(content, pairs)


def find_relations(
    cases: Sequence[Case], content: Mapping[str, str], fingerprints: Mapping[str, Fingerprint] | None
) -> Relations:
    """Look for everything that ties the cases.

    Args:
        cases: The cases.
        content: Case name to a digest of its scan's voxels.
        fingerprints: Case name to the fingerprint of its image; ``None``: near-duplicates are not looked for.
    """
    near = None if fingerprints is None else find_near_duplicates(fingerprints)
    if near is not None and _are_all_alike(near, cases):
        near = NearDuplicates(images=near.images, too_alike=True)
    return Relations(near, shared_instances(cases), find_shared_identities(cases, content))


def _are_all_alike(near: NearDuplicates, cases: Sequence[Case]) -> bool:
    """Whether near-duplicates tie so many patients to one another that they are no copies, but images of one kind.

    Such a cluster would leave nothing to part: it grows by false alarms, each of which joins two clusters.
    """
    cluster = join_digests({case.name: case.name for case in cases}, [(one.first, one.second) for one in near.pairs])
    images = Counter(cluster.values())
    patients = defaultdict(set)
    named = [case for case in cases if case.names_patient]
    for case in named:
        patients[cluster[case.name]].add(case.patient)
    most = max(map(len, patients.values()), default=0)
    return most > max(5, _MOST_PATIENTS * len({case.patient for case in named})) or max(
        images.values(), default=0
    ) > max(5, _MOST_IMAGES * len(cases))
