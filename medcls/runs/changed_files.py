"""Files of a finished folder that were changed since: their sums as ``sha256sum`` writes them, and who differs from them.

Nobody is kept from mending a table by hand; but metrics that then come from it are not those that medcls wrote.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medcls.bounded import JSON_BYTES, WEIGHTS_BYTES, read_bounded
from medcls.config import config_text, load_config
from medcls.errors import MedclsError
from medcls.files import write_text
from medcls.runs.folder import CLASSIFIER_FILE, Run

SUMS = "SHA256SUMS"
CONFIG = "config.yaml"
_DESCRIPTIONS = f"classifier/**/{CLASSIFIER_FILE}"  # with the sum of the weights in each
_READ_LATER = (
    *(CONFIG, "cohort.csv", "excluded.csv", "audit.json", "training-cases.csv", "training-summary.json", "folds.csv"),
    *("baseline.json", "history.csv", "went-on.json", "predictions.csv", "metrics.json", _DESCRIPTIONS),
)
_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of what later commands read in a folder that is being finished: a run's or an evaluation's."""
    write_text(folder / SUMS, "".join(f"{_sum_of(folder / name)}  {name}\n" for name in _names(folder)))


def changed_files(folder: Path, asked: Callable[[str], bool] = lambda _: True, *, within: str = "") -> tuple[str, ...]:
    """What to mind of files that are not as they were when their folder was finished; comments in a config are no change.

    Args:
        folder: A run's, or an evaluation's; one without ``SHA256SUMS``, as earlier versions wrote them, is not evaluated.
        asked: Which names within the folder are meant.
        within: What stands before the names when they are shown.
    """
    if not os.path.lexists(folder / SUMS):
        return ()
    try:
        lines = read_bounded(folder / SUMS, JSON_BYTES).decode("utf-8").splitlines()
        sums = {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line))}
        if len(sums) < max(len(lines), 1):
            raise ValueError("no lines of sums")
    except (OSError, ValueError):
        return (f"the file {within}{SUMS} is damaged: whether files were changed since they were written is not known",)
    return tuple(
        f"the file {within}{name} was changed after medcls had written it: what is taken from it is not what medcls wrote"
        for name in _names(folder)
        if name in sums and asked(name) and not _has_sum(folder / name, sums[name])
    )


def changed_parts(run: Run) -> tuple[str, ...]:
    """The same of folds and points of a learning curve, which a run that is gone on with keeps where they are finished."""
    folders = (
        one for kept in (run.folds, run.members, run.learning_curve) if kept.is_dir() for one in sorted(kept.iterdir())
    )
    return tuple(text for one in folders for text in changed_files(one, within=f"{one.parent.name}/{one.name}/"))


def changed_classifier(folder: Path | None) -> tuple[str, ...]:
    """The same of the description of a classifier alone, where its folder is in a run."""
    if folder is None or folder.name != "classifier":
        return ()
    return changed_files(folder.parent, lambda name: name.endswith(CLASSIFIER_FILE))


def changed_table(table: Path) -> tuple[str, ...]:
    """The same of a table of scores alone, where it is the ``predictions.csv`` of a run or an evaluation."""
    known = (table.parent / "metrics.json").is_file()
    return changed_files(table.parent, lambda name: name == table.name) if known else ()


def config_sums(file: Path) -> set[str]:
    """The sum of a config as it is there, and that of what it says, which comments do not change.

    Raises:
        OSError: It cannot be read.
    """
    found = {_sum_of(file)}
    with suppress(MedclsError):
        found.add(hashlib.sha256(config_text(load_config(file)).encode("utf-8")).hexdigest())
    return found


def _names(folder: Path) -> list[str]:
    found = (file for pattern in _READ_LATER for file in sorted(folder.glob(pattern)) if file.is_file())
    return [file.relative_to(folder).as_posix() for file in found]


def _has_sum(file: Path, expected: str) -> bool:
    """Whether a file has a sum; whoever needs one that cannot be read says so."""
    try:
        return _sum_of(file) == expected or (file.name == CONFIG and expected in config_sums(file))
    except OSError:
        return True


def _sum_of(file: Path) -> str:
    return hashlib.sha256(read_bounded(file, WEIGHTS_BYTES)).hexdigest()
