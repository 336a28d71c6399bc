"""Which further columns of a file of scores are covariates about cases: not another name, a number, or the reference itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medcls.evaluation.subgroups.grouping import MOST_GROUPS, NOT_STATED, UNREAD, are_numbers, group_covariate, is_known

Columns = dict[str, tuple[str, ...]]


def choose_covariates(
    columns: Mapping[str, Sequence[str]], reference: NDArray[np.bool_], *, asked: bool = False
) -> tuple[Columns, dict[str, str]]:
    """Part further columns into covariates to form subgroups by, and those that are none.

    Args:
        columns: By name, a text for each case.
        reference: ``(n, labels)`` booleans.
        asked: They were asked for: all are covariates but those that cannot be read.

    Returns:
        The covariates; and the others, with the reason in words that go after the column's name.
    """
    covariates: Columns = {}
    left_out: dict[str, str] = {}
    for name, values in columns.items():
        why = _no_covariate(name, values, reference)
        why = None if asked and why != UNREAD else why
        if why is None:
            covariates[name] = tuple(values)
        else:
            left_out[name] = why
    return covariates, left_out


def left_out_in_words(left_out: Mapping[str, str]) -> str:
    """One sentence about all columns that form no subgroups, without its full stop; empty where there are none."""
    if not left_out:
        return ""
    named = "; ".join(f"‘{name}’ ({why})" for name, why in left_out.items())
    return (
        f"no subgroups are formed by {named}. Where one is a fact all the same, --covariates names all that are wanted"
    )


def _no_covariate(name: str, values: Sequence[str], reference: NDArray[np.bool_]) -> str | None:
    grouping = group_covariate(name, values)
    if grouping.left_out == UNREAD:
        return UNREAD
    known = is_known(name, values)
    stated = [value for value in values if value != ""]
    different = len(set(stated))
    if not known and len(stated) > 1 and different == len(stated):
        return "another value for each case"
    if not known and different > MOST_GROUPS and are_numbers(stated):
        return f"{different} different numbers"
    if _tells(grouping.group if known else np.unique(list(values), return_inverse=True)[1], reference, grouping.groups):
        return "its values tell the reference label exactly"
    return None


def _tells(group: NDArray[np.intp], reference: NDArray[np.bool_], groups: Sequence[str]) -> bool:
    """Whether cases of one value always have the same reference label, though there are several of both."""
    if set(groups) <= {NOT_STATED} or len(np.unique(reference, axis=0)) < 2:
        return False
    return all(len(np.unique(reference[group == one], axis=0)) == 1 for one in np.unique(group))
