"""A cohort from a folder with a sub-folder for each class, with or without a folder for each partition above them."""

from __future__ import annotations

from pathlib import Path

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort, check_positive
from medcls.cohort.table import named_partition
from medcls.config.settings import DataSettings, Partition, SplitSettings
from medcls.errors import CohortError
from medcls.progress import SILENT, Progress
from medcls.scans import find_scans
from medcls.scans.leniency import STRICT, Leniency


def read_folder(
    settings: DataSettings,
    split: SplitSettings,
    positive: str | None,
    leniency: Leniency = STRICT,
    progress: Progress = SILENT,
) -> Cohort:
    """Find the scans below each class's folder: ``root/CLASS/…`` or ``root/PARTITION/CLASS/…``.

    Raises:
        CohortError: The folder is missing, or has fewer than two classes, or classes that ``data.labels`` does not name.
        ConfigError: Two labels and no positive one.
    """
    root = Path(settings.folder or "")
    if not root.is_dir():
        raise CohortError(
            "no such folder", where=str(root), remedy="Set data.folder to a folder with a sub-folder a class"
        )
    parts = _partition_folders(root, split)
    labels = _labels(root, parts, settings)
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    for partition, part in parts:
        for folder in _sub_folders(part):
            index = labels.index(settings.label_values.get(folder.name, folder.name))
            found = find_scans(folder, leniency=leniency, progress=progress)
            prefix = folder.relative_to(root)
            cases += [
                Case((prefix / source.name).as_posix(), "", folder, (index,), partition, source)
                for source in found.scans
            ]
            excluded += [
                Exclusion((prefix / refusal.name).as_posix(), "", refusal.code, refusal.reason)
                for refusal in found.refused
            ]
    if not cases:
        raise CohortError("no scan was found in any class's folder", where=str(root))
    positive = check_positive(positive, labels, multilabel=False)
    return Cohort(tuple(cases), labels, positive, excluded=tuple(excluded))


def _partition_folders(root: Path, split: SplitSettings) -> list[tuple[Partition | None, Path]]:
    folders = _sub_folders(root)
    named = [(named_partition(folder.name, split), folder) for folder in folders]
    if folders and all(partition is not None for partition, _ in named):
        return list(named)
    return [(None, root)]


def _labels(root: Path, parts: list[tuple[Partition | None, Path]], settings: DataSettings) -> tuple[str, ...]:
    names = {folder.name for _, part in parts for folder in _sub_folders(part)}
    present = sorted({settings.label_values.get(name, name) for name in names})
    if settings.labels is not None:
        unknown = [name for name in present if name not in settings.labels]
        if unknown:
            raise CohortError(
                f"the folder '{unknown[0]}' is not one of data.labels",
                where=str(root),
                remedy=f"Labels: {', '.join(settings.labels)}",
            )
        return tuple(settings.labels)
    if len(present) < 2:
        raise CohortError(
            f"a classifier needs two classes or more; the folder has {len(present)} sub-folders",
            where=str(root),
            remedy="Put the scans of each class into a sub-folder of its name",
        )
    return tuple(present)


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
