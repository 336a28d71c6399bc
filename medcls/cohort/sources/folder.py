"""A cohort from a folder with a sub-folder for each class, with or without a folder for each partition above them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort, asked_space
from medcls.cohort.sources.table import named_partition
from medcls.config.settings import DataSettings, Partition, SplitSettings
from medcls.errors import CohortError, ConfigError
from medcls.nearest import one_of
from medcls.progress import SILENT, Progress
from medcls.scans import find_scans
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.search.naming import name_with_root
from medcls.tables.words import same_label
from medcls.values.caution import note

_CLUTTER = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information", "thumbs.db", "desktop.ini"}
)
"""What systems leave in folders."""
_NO_SCANS = frozenset(
    {".csv", ".tsv", ".txt", ".md", ".json", ".yaml", ".yml", ".xml", ".html", ".htm", ".pdf"}
) | frozenset({".doc", ".docx", ".xls", ".xlsx", ".ods", ".log", ".py", ".ipynb", ".sh", ".bat", ".ini"})


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
    empty = folder_labels(settings, split, positive)
    labels, parts = empty.labels, _partition_folders(root, split)
    cases: list[Case] = []
    excluded = _in_no_class(root, parts)
    warnings = _warnings(root, parts, settings, split, excluded)
    for one, folder in _in_classes(root, parts, leniency, progress):
        if isinstance(one, Case):
            index = labels.index(_label(folder, settings))
            cases.append(replace(one, reference=(index,)))
        else:
            excluded.append(replace(one, reference=(labels.index(_label(folder, settings)),)))
    if not cases:
        raise CohortError("no scan was found in any class's folder", where=str(root))
    _check_filled(root, parts, settings, cases, excluded, labels)
    names = _quoted([part.name for partition, part in parts if partition is not None])
    return replace(
        empty,
        cases=tuple(cases),
        excluded=tuple(excluded),
        warnings=note("folder", *warnings),
        split_in_words=f"the partitions are the folders {names}" if names else "",
    )


def folder_names(
    settings: DataSettings, split: SplitSettings, leniency: Leniency = STRICT, progress: Progress = SILENT
) -> tuple[Case | Exclusion, ...]:
    """Every scan and file that :func:`read_folder` comes upon, by name, whatever the labels are.

    Raises:
        CohortError: The folder is missing, or holds partitions and classes side by side.
    """
    root = _root(settings)
    parts = _partition_folders(root, split)
    found = (one for one, _ in _in_classes(root, parts, leniency, progress))
    return (*_in_no_class(root, parts), *found)


def folder_labels(settings: DataSettings, split: SplitSettings, positive: str | None) -> Cohort:
    """The labels that the folders' names alone give, without any case; see :func:`read_folder`."""
    root = _root(settings)
    parts = _partition_folders(root, split)
    labels = _labels(root, parts, settings, split)
    _check_files(root, parts, settings)
    try:
        return Cohort(asked_space(labels, positive, multilabel=False), source=str(root))
    except ConfigError:
        if (
            positive is not None
            and positive not in labels
            and (inner := _classes_further_down(root, settings, positive))
        ):
            raise _further_down(root, inner) from None
        raise


def _root(settings: DataSettings) -> Path:
    root = Path(settings.folder or "")
    if not root.is_dir():
        remedy = "Set data.folder to a folder with a sub-folder a class"
        what = "this is a file, not a folder" if root.exists() else "no such folder"
        raise CohortError(what, where=str(root), remedy=remedy)
    return root


def _in_classes(
    root: Path, parts: list[tuple[Partition | None, Path]], leniency: Leniency, progress: Progress
) -> Iterator[tuple[Case | Exclusion, Path]]:
    """The scans below each class's folder, without a reference, what is refused there, and the class's folder."""
    for partition, part in parts:
        for folder in _sub_folders(part):
            found = find_scans(folder, leniency=leniency, progress=progress)
            prefix = folder.relative_to(root)
            for source in found.scans:
                place = Path(name_with_root(source, folder))
                yield Case((prefix / source.name).as_posix(), "", place, (), partition, source), folder
            for refusal in found.refused:
                name, place = (prefix / refusal.name).as_posix(), Path(name_with_root(refusal, folder))
                yield Exclusion(name, "", refusal.code, refusal.reason, scan=place), folder


def _in_no_class(root: Path, parts: list[tuple[Partition | None, Path]]) -> list[Exclusion]:
    folders = dict.fromkeys([root, *(part for _, part in parts)])
    return [one for folder in folders for one in _unlabelled(root, folder)]


def _unlabelled(root: Path, folder: Path) -> list[Exclusion]:
    """Files that are beside the classes' folders, as a flat folder of test pictures does: nobody says what they show."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _may_be_a_scan(path))
    reason = "the file is in no class's folder"
    return [Exclusion(path.relative_to(root).as_posix(), "", "no-label", reason, scan=path) for path in files]


def _may_be_a_scan(path: Path) -> bool:
    return (
        not path.name.startswith(".") and path.name.casefold() not in _CLUTTER and path.suffix.lower() not in _NO_SCANS
    )


def _warnings(
    root: Path,
    parts: list[tuple[Partition | None, Path]],
    settings: DataSettings,
    split: SplitSettings,
    unlabelled: list[Exclusion],
) -> list[str]:
    found = []
    if unlabelled:
        where = sorted({Path(one.name).parent.as_posix() for one in unlabelled})
        named = ", ".join("the top folder" if name == "." else f"'{name}'" for name in where)
        files = "1 file is" if len(unlabelled) == 1 else f"{len(unlabelled)} files are"
        found.append(f"{files} in {named}, in no class's folder: without a label, left out")
    names = {folder.name for _, part in parts for folder in _sub_folders(part)}
    below = {inner.name for _, part in parts for folder in _sub_folders(part) for inner in _sub_folders(folder)}
    if parts[0][0] is None and below and all(named_partition(name, split) is not None for name in below):
        found.append(
            f"the folders {_quoted(sorted(below))} within the classes look like partitions, and are not used as such: put them "
            "above the classes, or use a table with a column 'split'"
        )
    unused = [key for key in settings.label_values if key not in names]
    if unused:
        listed = ", ".join(f"'{key}'" for key in unused)
        found.append(
            f"data.label_values names {listed}, and no class's folder is called so ({', '.join(sorted(names))})"
        )
    return found


def _check_filled(
    root: Path,
    parts: list[tuple[Partition | None, Path]],
    settings: DataSettings,
    cases: list[Case],
    excluded: list[Exclusion],
    labels: tuple[str, ...],
) -> None:
    """Refuse a class without any file: most often its pictures went elsewhere.

    Raises:
        CohortError: There is one.
    """
    filled = {labels[index] for case in cases for index in case.reference}
    refused = {Path(one.name).parts[:-1] for one in excluded}
    for _, part in parts:
        for folder in _sub_folders(part):
            label = _label(folder, settings)
            own = folder.relative_to(root).parts
            if label not in filled and not any(one[: len(own)] == own for one in refused):
                raise _empty(root, folder)


def _check_files(root: Path, parts: list[tuple[Partition | None, Path]], settings: DataSettings) -> None:
    """As :func:`_check_filled`, of folders without any file, which is known before a scan is looked for."""
    folders = [folder for _, part in parts for folder in _sub_folders(part)]
    filled = {_label(folder, settings) for folder in folders if any(files for _, _, files in os.walk(folder))}
    for folder in folders:
        if _label(folder, settings) not in filled:
            raise _empty(root, folder)


def _empty(root: Path, folder: Path) -> CohortError:
    return CohortError(
        f"the class folder '{folder.relative_to(root)}' is empty: no scan was found in it",
        where=str(root),
        remedy="Fill it, or remove it",
    )


def _label(folder: Path, settings: DataSettings) -> str:
    return settings.label_values.get(folder.name, folder.name)


def _classes_further_down(root: Path, settings: DataSettings, positive: str | None) -> Path | None:
    """The folder below that has what looks like classes: the positive one among several, or several where it is alone."""
    below = _sub_folders(root)
    for folder in below:
        inner = _sub_folders(folder)
        if len(inner) > 1 and (positive in {_label(one, settings) for one in inner} or len(below) == 1):
            return folder
        if len(below) == len(inner) == 1 and (found := _classes_further_down(folder, settings, positive)):
            return found
    return None


def _further_down(root: Path, inner: Path) -> CohortError:
    names = _quoted([folder.name for folder in _sub_folders(inner)])
    return CohortError(
        f"the folders of the classes seem to be further down: {names} are in '{inner.relative_to(root)}'",
        where=str(root),
        remedy=f"Set data.folder to {inner}",
    )


def _partition_folders(root: Path, split: SplitSettings) -> list[tuple[Partition | None, Path]]:
    folders = _sub_folders(root)
    named = [(named_partition(folder.name, split), folder) for folder in folders]
    if folders and all(partition is not None for partition, _ in named):
        return list(named)
    parted = [folder.name for partition, folder in named if partition is not None and _sub_folders(folder)]
    others = [folder.name for partition, folder in named if partition is None]
    if parted:
        raise CohortError(
            f"the folders {_quoted(parted)} look like partitions with classes in them, {_quoted(others)} like no partition",
            where=str(root),
            remedy="Name it in split.values, move it away, or rename the classes",
        )
    return [(None, root)]


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _labels(
    root: Path, parts: list[tuple[Partition | None, Path]], settings: DataSettings, split: SplitSettings
) -> tuple[str, ...]:
    names = {folder.name for _, part in parts for folder in _sub_folders(part)}
    present = sorted({settings.label_values.get(name, name) for name in names})
    if settings.labels is not None:
        unknown = [name for name in present if name not in settings.labels]
        if unknown:
            inner = _classes_further_down(root, settings, settings.labels[0])
            if inner is not None:
                raise _further_down(root, inner)
            raise CohortError(
                f"the folder '{unknown[0]}' is not one of data.labels",
                where=str(root),
                remedy=one_of(unknown[0], settings.labels, "Labels"),
            )
        return tuple(settings.labels)
    if len(present) < 2:
        inner = _classes_further_down(root, settings, None)
        if inner is not None:
            raise _further_down(root, inner)
        if parts[0][0] is not None and not names:
            above = [part.name for _, part in parts]
            raise CohortError(
                f"the level of the classes is missing: {_quoted(above)} are partitions, and have no folder of a class in them",
                where=str(root),
                remedy=f"Put the scans of each class into a sub-folder of its name, as {above[0]}/CLASS",
            )
        count = "1 sub-folder" if len(names) == 1 else f"{len(names)} sub-folders"
        raise CohortError(
            f"a classifier needs two classes or more; the folder has {count}",
            where=str(root),
            remedy="Put the scans of each class into a sub-folder of its name",
        )
    _check_no_partition(root, names - settings.label_values.keys(), split)
    pair = same_label(present)
    if pair is not None:
        raise CohortError(
            f"the class folders '{pair[0]}' and '{pair[1]}' differ only in how they are written",
            where=str(root),
            remedy="Join them with data.label_values, or list both in data.labels",
        )
    return tuple(present)


def _check_no_partition(root: Path, classes: set[str], split: SplitSettings) -> None:
    """Refuse a class that is called as a partition: 'train' beside 'ill' is most often no label."""
    partitions = sorted(name for name in classes if named_partition(name, split) is not None)
    if partitions:
        raise CohortError(
            f"the folder '{partitions[0]}' is called as a partition, and stands beside classes",
            where=str(root),
            remedy="Move it away, put all classes into folders of partitions, or list it in data.labels if it is a class",
        )


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name.casefold() not in _CLUTTER
    )
