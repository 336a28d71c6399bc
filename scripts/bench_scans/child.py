"""What is measured in a process of its own: searches (on one core or all), and peak memory.

Usage: python -m bench_scans.child find NAME FOLDER TINY_FOLDER CORE|all
       python -m bench_scans.child peak READER SERIES_FOLDER TINY_FOLDER
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .clock import Timed, measure
from .data import Series
from .readers import series_readers

Layout = dict[str, list[str]]


def header_tags() -> list[Any]:
    """The tags that medcls reads of every file, so that the others read the same."""
    from medcls.scans.dicom.parse.tags import TAGS

    return list(TAGS)


def find_with_medcls(root: Path) -> Callable[[], Any]:
    from medcls.scans import find_scans

    return lambda: find_scans(root)


def medcls_layout(found: Any) -> Layout:
    if found.refused:
        raise ValueError(f"{len(found.refused)} refused: {found.refused[0].reason}")
    return {str(scan.paths[0].parent): [path.name for path in scan.paths] for scan in found.scans}


def find_with_pydicom(root: Path) -> Callable[[], list[list[str]]]:
    import pydicom

    tags = header_tags()

    def find() -> list[list[str]]:
        found: dict[str, list[tuple[float, str]]] = {}
        for here, _, names in os.walk(root):
            for name in names:
                path = os.path.join(here, name)
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
                height = float(header.ImagePositionPatient[2])
                found.setdefault(header.SeriesInstanceUID, []).append((height, path))
        return [[path for _, path in sorted(files)] for files in found.values()]

    return find


def find_with_simpleitk(root: Path) -> Callable[[], list[tuple[str, ...]]]:
    sitk = importlib.import_module("SimpleITK")
    return lambda: [sitk.ImageSeriesReader.GetGDCMSeriesFileNames(here) for here, _, names in os.walk(root) if names]


def layout_of_series(found: Sequence[Sequence[str]]) -> Layout:
    return {os.path.dirname(paths[0]): [os.path.basename(path) for path in paths] for paths in found}


@dataclass(frozen=True)
class Finder:
    """A way to search.

    Attributes:
        modules: Import names that it needs.
        prepare: From a folder to the call that is measured.
        layout: From what the call returned to the slices of each folder, for the check.
    """

    modules: tuple[str, ...]
    prepare: Callable[[Path], Callable[[], Any]]
    layout: Callable[[Any], Layout]


FINDERS = {
    "medcls": Finder(("medcls",), find_with_medcls, medcls_layout),
    "pydicom": Finder(("pydicom",), find_with_pydicom, layout_of_series),
    "SimpleITK": Finder(("SimpleITK",), find_with_simpleitk, layout_of_series),
}


def same_layout(found: Layout, root: Path, expected: Layout) -> bool:
    """Whether every folder's slices were found, in order; slices may run either way."""
    given = {os.path.relpath(folder, root): names for folder, names in found.items()}
    return given.keys() == expected.keys() and all(
        names in (given[folder], given[folder][::-1]) for folder, names in expected.items()
    )


def find(name: str, root: Path, tiny: Path, cores: str) -> dict[str, Any]:
    """Search once, after a search of a tiny folder has imported everything."""
    os.sched_setaffinity(0, map(int, cores.split(",")))
    finder = FINDERS[name]
    finder.prepare(tiny)()
    sample, found = measure(Timed(finder.prepare(root)))
    expected = json.loads(root.with_suffix(".json").read_text(encoding="utf-8"))
    return {**asdict(sample), "right": same_layout(finder.layout(found), root, expected)}


def peak(name: str, folder: Path, tiny: Path) -> dict[str, Any]:
    """Read a tiny series, say so, wait for a word, read the series, say what the peak was."""
    (reader,) = [one for one in series_readers() if one.name == name]
    reader.ready(Series.load(tiny))()
    read = reader.ready(Series.load(folder))
    with contextlib.suppress(OSError):  # where it is not allowed, the peak may be one of the imports
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    base = status_kb("VmRSS")
    print("ready", flush=True)
    sys.stdin.readline()
    result = read()
    highest = status_kb("VmHWM")
    print("done", flush=True)
    sys.stdin.readline()
    reader.check(result, Series.load(folder))
    return {"base_kb": base, "peak_kb": highest}


def status_kb(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise ValueError(key)


if __name__ == "__main__":
    task, who, *rest = sys.argv[1:]
    if task == "find":
        print(json.dumps(find(who, Path(rest[0]), Path(rest[1]), rest[2])))
    else:
        print(json.dumps(peak(who, Path(rest[0]), Path(rest[1]))))
