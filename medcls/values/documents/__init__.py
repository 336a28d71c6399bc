"""The documents of ``metrics.json`` and ``comparison.json`` as types, so that a reader's keys are checked before it runs.

Each is that object of the schema (:mod:`medcls.evaluation.partition.schema`) of which a test holds it to have the same keys.
A partition's metrics themselves stand under their names, which are open (:func:`estimate`).
"""

from __future__ import annotations

from medcls.values.documents.estimates import *
from medcls.values.documents.sections import *
from medcls.values.documents.whole import *
