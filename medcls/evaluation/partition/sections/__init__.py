"""The sections of a partition's evaluation beyond its metrics: a file for each, found by the names of their documents."""

from __future__ import annotations

from importlib import import_module

from medcls.evaluation.partition.sections.section import Section
from medcls.values.documents import SECTIONS as NAMES

SECTIONS: tuple[Section, ...] = tuple(import_module(f"{__name__}.{name}").SECTION for name in NAMES)
