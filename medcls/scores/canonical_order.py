"""One order for the rows of tables of scores, from their content alone.

Replicates are drawn from numbered patients, so which number a patient has decides what chance does to it. Were it the row,
or the name that a row has for want of a better one, then sorting a table, or calling its column of cases otherwise, would
change every interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medcls.scores.score_table import ScoreTable


def in_order(tables: Sequence[ScoreTable]) -> list[ScoreTable]:
    """The same tables with their rows in an order that depends on what stands in them, and on nothing else.

    Where the tables name no patients, the patients are the places in that order; else patients keep their names, and their
    rows are together.

    Args:
        tables: Of the same cases in the same order, with the same labels and the same patients; in any order themselves.
    """
    order = _order_of(tables)
    places = np.array([f"{place:0{len(str(order.size))}d}" for place in range(order.size)], dtype=np.str_)
    taken = [table.take(order.tolist()) for table in tables]
    return [table if table.patients_known else replace(table, patients=places) for table in taken]


def _order_of(tables: Sequence[ScoreTable]) -> NDArray[np.intp]:
    """Rows by patient where they are known, then reference, scores and covariates; names only where rows are equal."""
    first = tables[0]
    keys: list[NDArray[np.generic]] = [np.array(first.patients)] if first.patients_known else []
    keys += [*first.reference.T, *first.known.T]
    # Whichever table comes first: that of a pair is the same when the two change places.
    for table in sorted(tables, key=lambda one: np.sort(one.scores, axis=0).tobytes()):
        keys += list(table.scores.T)
    keys += [np.array(first.partitions), *(np.array(first.covariates[name]) for name in sorted(first.covariates))]
    keys.append(np.array(first.names))
    return np.asarray(np.lexsort(keys[::-1]), dtype=np.intp)
