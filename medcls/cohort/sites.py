"""Site: the institution that a scan's header names (InstitutionName, PS3.3 C.7.5.1), never in clear.

Only InstitutionName counts. StationName, of the same module, is the name of one machine: it would part one hospital into
several sites wherever the institution is left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from medcls.cohort.case import Case
from medcls.privacy import load_pseudonyms
from medcls.tables.words import is_placeholder

SITE = "site"


def with_sites(cases: Iterable[Case], key_file: Path | None = None) -> tuple[Case, ...]:
    """The cases with a fact ``site``: a keyed hash of the institution in each scan's header.

    It is hashed even where identifiers are kept, so that hashes of all cohorts compare that one key is used for. Where the
    user's table states a site of any case, the headers' are left alone: names and hashes of one site would be two sites.

    Args:
        cases: With their scans located.
        key_file: The key of the hashes; default: in the user's configuration folder. Untouched when no header names one.

    Raises:
        ConfigError: The key file does not hold a key.
    """
    cases = tuple(cases)
    if any(name.casefold() == SITE for case in cases for name in case.covariates):
        return cases

    @cache
    def hashed(institution: str) -> str:
        return load_pseudonyms(key_file=key_file).site(institution)

    return tuple(
        replace(case, covariates={**case.covariates, SITE: hashed(institution)})
        if (institution := institution_of(case))
        else case
        for case in cases
    )


def institution_of(case: Case) -> str:
    """The institution in a scan's header, in letters and digits alone so that spellings of it agree; empty if not stated."""
    name = case.source.identity.get("institution", "") if case.source else ""
    plain = "".join(sign for sign in unicodedata.normalize("NFKC", name).casefold() if sign.isalnum())
    return "" if not plain or is_placeholder(name) else plain
