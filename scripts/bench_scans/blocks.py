"""The four blocks of the benchmark: uncompressed series, compressed series, searches, NIfTI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .child import FINDERS
from .children import ChildError, find_in_child, own_cache, peak_in_child
from .clock import Sample, Timed, interleaved
from .data import SYNTAXES, Series, write_folders, write_nifti, write_series
from .nifti import NiftiReader, nifti_readers
from .readers import (
    FIRST,
    FIRST_FLOOR,
    FLOOR,
    MONAI_ITK,
    MONAI_NIFTI,
    MONAI_PYDICOM,
    SOURCE,
    WHOLE,
    Reader,
    WrongValuesError,
    decoders,
    missing,
    series_readers,
    within_load_image,
)
from .readers import compare as compare_values
from .table import Figures, Row, Target, compare

Say = Callable[[str], None]
AnyReader = TypeVar("AnyReader", Reader, NiftiReader)
Outcome = TypeVar("Outcome")
ONE_CORE, ALL_CORES, AGAIN = "medcls, one core", "medcls, all cores", "medcls, second look, one core"


@dataclass(frozen=True)
class Plan:
    """How much is measured, where, and without which libraries."""

    folder: Path
    core: int = 0
    cores: tuple[int, ...] = (0,)
    slices: int = 120
    size: int = 512
    files: int = 20_000
    a_series: int = 120
    nifti: tuple[int, int, int] = (182, 218, 182)
    repeats: int = 7
    searches: int = 5
    seed: int = 0
    skipped: frozenset[str] = frozenset()
    syntaxes: tuple[str, ...] = tuple(SYNTAXES)


Measured = tuple[list[Row], dict[str, Figures]]


def uncompressed(plan: Plan, say: Say) -> Measured:
    """A CT series without compression: time, and peak memory in fresh processes."""
    block = f"CT series, uncompressed, {plan.slices} slices of {plan.size} x {plan.size}"
    series = write_series(plan.folder / "ct", slices=plan.slices, size=plan.size, seed=plan.seed)
    readers = series_readers()
    figures = _time_readers(readers, series, plan, say)
    marks = _with_load_image({MONAI_PYDICOM: Target("at least", 20), MONAI_ITK: Target("at least", 8)})
    peers = [reader.name for reader in readers if reader.name not in (FLOOR, SOURCE, FIRST, WHOLE)]
    rows = [compare(block, "read a found source", figures, SOURCE, FLOOR, target=Target("at most", 2.5), floor=FLOOR)]
    rows += [
        compare(block, "read a found source", figures, SOURCE, peer, target=marks.get(peer), floor=FLOOR)
        for peer in peers
    ]
    rows += [compare(block, "read into new memory", figures, FIRST, peer, floor=FLOOR) for peer in (FLOOR, FIRST_FLOOR)]
    rows += [compare(block, "find and read", figures, WHOLE, peer, floor=FLOOR) for peer in (FLOOR, *peers)]
    memory = _peaks(readers, series, plan, say)
    below = Target("at most", 1.5)
    rows.append(compare(block, "peak memory", memory, SOURCE, "the volume", target=below, clock="memory"))
    others = [reader.name for reader in readers if reader.name != SOURCE]
    rows += [compare(block, "peak memory", memory, SOURCE, peer, clock="memory") for peer in others]
    return rows, {"uncompressed": figures, "uncompressed, memory": memory}


def compressed(plan: Plan, say: Say) -> Measured:
    """The same series in every compression, beside the decoders alone."""
    rows: list[Row] = []
    everything: dict[str, Figures] = {}
    for syntax in plan.syntaxes:
        folder = plan.folder / syntax.replace(" ", "-").lower()
        block = f"CT series, {syntax}"
        own = [reader for reader in series_readers() if reader.name == SOURCE]
        others = decoders(syntax)
        series = write_series(folder, slices=plan.slices, size=plan.size, seed=plan.seed, syntax=SYNTAXES[syntax])
        figures = _time_readers([*own, *others], series, plan, say)
        best = figures.fastest([reader.name for reader in others if reader.competes])
        mark = Target("at most", 1.3)
        rows.append(compare(block, "read, fastest decoder", figures, SOURCE, best or "none", target=mark))
        rows += [compare(block, "read", figures, SOURCE, reader.name) for reader in others if reader.name != best]
        everything[syntax] = figures
    return rows, everything


def searches(plan: Plan, say: Say) -> Measured:
    """All series among many files; every search in a process of its own."""
    block = f"series among {plan.files:,} files"
    root, tiny = plan.folder / "archive", plan.folder / "archive-tiny"
    write_folders(root, files=plan.files, a_series=plan.a_series, seed=plan.seed)
    write_folders(tiny, files=2, a_series=2, seed=plan.seed)
    samples: dict[str, list[Sample]] = {}
    reasons = {name: missing(finder.modules, plan.skipped) for name, finder in FINDERS.items()}
    failures = {name: reason for name, reason in reasons.items() if reason}

    def look(key: str, name: str, cache: Path, on: tuple[int, ...] = (plan.core,)) -> None:
        if name not in failures and key not in failures:
            say(f"{block}: {key}")
            try:
                samples.setdefault(key, []).append(find_in_child(name, root, tiny, cores=on, cache=cache))
            except ChildError as error:
                failures[key] = f"failed: {error}"

    for _ in range(plan.searches):
        with tempfile.TemporaryDirectory(dir=plan.folder) as fresh, tempfile.TemporaryDirectory(dir=plan.folder) as new:
            look(ONE_CORE, "medcls", Path(fresh))
            look(AGAIN, "medcls", Path(fresh))
            look(ALL_CORES, "medcls", Path(new), plan.cores)
            look("pydicom", "pydicom", Path(new))
            look("SimpleITK", "SimpleITK", Path(new))
    figures = Figures(samples, failures)
    rows = [
        compare(block, "find, one core", figures, ONE_CORE, "pydicom", target=Target("at least", 5)),
        compare(block, "find, one core", figures, ONE_CORE, "SimpleITK"),
        compare(block, f"find, all {len(plan.cores)} cores", figures, ALL_CORES, ONE_CORE, clock="wall"),
        compare(block, "second look, one core", figures, AGAIN, ONE_CORE, target=Target("at least", 10)),
    ]
    return rows, {"searches": figures}


def nifti(plan: Plan, say: Say) -> Measured:
    """A brain-like volume, compressed and not."""
    packed, plain, values = write_nifti(plan.folder / "nifti", shape=plan.nifti, seed=plan.seed)
    rows: list[Row] = []
    everything: dict[str, Figures] = {}
    size = " x ".join(map(str, plan.nifti))
    marks = _with_load_image({MONAI_NIFTI: Target("at least", 3)})
    for path, kind in ((packed, ".nii.gz"), (plain, ".nii")):
        block = f"{kind}, {size} int16"

        def ready(reader: NiftiReader, path: Path = path) -> Timed:
            call = reader.ready(path)
            compare_values(np.asarray(call()), values, 0, reader.name)
            return _timed(reader.name, _touching(call), plan)

        cases, failures = _tried(nifti_readers(plan.nifti), ready, kind, plan, say)
        say(f"{block}: {plan.repeats} repeats")
        figures = Figures(interleaved(cases, plan.repeats), failures)
        for ours, what in ((SOURCE, "read a found source"), (WHOLE, "find and read")):
            for peer in (*marks, "nibabel dataobj", "nibabel get_fdata", FLOOR):
                target = marks.get(peer) if ours == SOURCE and path == packed else None
                rows.append(compare(block, what, figures, ours, peer, target=target, floor=FLOOR))
        everything[kind] = figures
    return rows, everything


BLOCKS: dict[str, Callable[[Plan, Say], Measured]] = {
    "a": uncompressed,
    "b": compressed,
    "c": searches,
    "d": nifti,
}


def _with_load_image(marks: dict[str, Target]) -> dict[str, Target]:
    """A target for a MONAI reader holds for it alone and within LoadImage, which costs more."""
    return {**marks, **{within_load_image(name): mark for name, mark in marks.items()}}


def _time_readers(readers: Iterable[Reader], series: Series, plan: Plan, say: Say) -> Figures:
    def ready(reader: Reader) -> Timed:
        call = reader.ready(series)
        reader.check(call(), series)
        return _timed(reader.name, call, plan)

    cases, failures = _tried(readers, ready, series.folder.name, plan, say)
    say(f"{series.folder.name}: {plan.repeats} repeats")
    return Figures(interleaved(cases, plan.repeats), failures)


def _tried(
    readers: Iterable[AnyReader], attempt: Callable[[AnyReader], Outcome], what: str, plan: Plan, say: Say
) -> tuple[dict[str, Outcome], dict[str, str]]:
    """What an attempt gave, by the reader's name; and why there is nothing, for the others."""
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, str] = {}
    for reader in readers:
        reason = missing(reader.modules, plan.skipped)
        if reason:
            failures[reader.name] = reason
            continue
        say(f"{what}: {reader.name}")
        try:
            outcomes[reader.name] = attempt(reader)
        except WrongValuesError as error:
            failures[reader.name] = "wrong values"
            say(f"  {error}")
        except ChildError as error:
            failures[reader.name] = f"failed: {error}"
        except Exception as error:  # a peer may fail in any way, and its row says so
            failures[reader.name] = f"cannot ({type(error).__name__})"
            say(f"  {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return outcomes, failures


def _timed(name: str, call: Callable[[], object], plan: Plan) -> Timed:
    """``find and read`` must not profit from what an earlier search remembered, so each gets an empty cache."""
    if name != WHOLE:
        return Timed(call)

    def forget() -> None:
        os.environ.update(own_cache(Path(tempfile.mkdtemp(dir=plan.folder, prefix="cache-"))))

    return Timed(call, forget)


def _touching(call: Callable[[], Any]) -> Callable[[], object]:
    """Look into every page of the result, so that nothing is left unread in a mapped file."""
    return lambda: np.asarray(call()).ravel(order="K")[::1024].sum()


def _peaks(readers: Iterable[Reader], series: Series, plan: Plan, say: Say) -> Figures:
    tiny = write_series(plan.folder / "ct-tiny", slices=3, size=16, seed=plan.seed)
    cache = plan.folder / "cache-memory"

    def peak(reader: Reader) -> list[Sample]:
        found = peak_in_child(reader.name, series.folder, tiny.folder, cache=cache)
        return [Sample(found["peak"] - found["base"], found["workers"])]

    samples, failures = _tried(readers, peak, "peak memory", plan, say)
    return Figures({"the volume": [Sample(series.volume_bytes, 0)], **samples}, failures)
