"""Which cases belong together beyond patient, study and equal pixels: near-duplicates, shared instances, shared identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medcls.cohort.case import Case
from medcls.cohort.fingerprints import Fingerprint
from medcls.cohort.identities import SharedIdentity, find_shared_identities
from medcls.cohort.leakage import shared_instances
from medcls.cohort.near_duplicates import NearDuplicates, find_near_duplicates, join_digests


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
    return Relations(near, shared_instances(cases), find_shared_identities(cases, content))
