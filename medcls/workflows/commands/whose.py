"""``whose``: from the code of a case, a patient or what else answers name back to its scans, by hashing what the data name.

Nothing is looked up, for nothing is kept: whoever has the key and the data can do it, and nobody else. Nothing is written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.patient_key import header_patient, patient_key, patient_pseudonym
from medcls.cohort.sources.folder import folder_names
from medcls.cohort.sources.paths import leads_somewhere
from medcls.cohort.sources.table import table_names
from medcls.config import Config, load_config
from medcls.errors import CohortError, MedclsError, ScanRefused, UsageError
from medcls.files import read_csv, reading_kept
from medcls.privacy import Pseudonyms, default_key_file
from medcls.progress import SILENT, Progress
from medcls.runs.changed_files import changed_files
from medcls.runs.folder import Run, all_runs, open_run
from medcls.scans import ScanSource, find_one, find_scans
from medcls.scans.core.leniency import Leniency
from medcls.scans.search.index import looking_only
from medcls.scans.search.naming import name_with_root
from medcls.values.label_space import LabelSpace
from medcls.workflows.commands.pretrain import CONFIG as PRETRAINING
from medcls.workflows.commands.pretrain import pretraining_at
from medcls.workflows.data.pretraining_scans import KEY as PRETRAINED_ON
from medcls.workflows.data.unlabelled import KEY, find_unlabelled

_CODE = re.compile(r"([cpsaei])([0-9a-f]{1,12})(?:-[0-9a-f]{4})?", re.IGNORECASE)  # as masked_name lengthens them
_ENDING = re.compile(r"(?:\.png|\.nii\.gz)$")
_TABLES = ("cohort.csv", "excluded.csv", "training-cases.csv", "unlabeled.csv")  # of a run, that have codes
_SHOWN = 4
_Named = Case | Exclusion


@dataclass(frozen=True)
class Place:
    """Where a scan stands.

    Attributes:
        table: The table of cases; ``None`` for a folder.
        line: Its line there.
        scan: The scan's path; ``None`` where the table names none.
    """

    table: Path | None
    line: int | None
    scan: Path | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "table": None if self.table is None else str(self.table),
            "line": self.line,
            "scan": None if self.scan is None else str(self.scan),
        }

    def __str__(self) -> str:
        gone = "" if self.scan is None or leads_somewhere(self.scan) else ", where nothing is now"
        scan = f"{self.scan or 'no scan is named'}{gone}"
        return scan if self.table is None else f"{self.table}, line {self.line}: {scan}"


@dataclass(frozen=True)
class LedBack:
    """What codes lead back to.

    Attributes:
        found: Code to the places of its scans.
        failed: What was asked for and leads nowhere, to the reason.
    """

    found: dict[str, tuple[Place, ...]]
    failed: dict[str, MedclsError]


@dataclass(frozen=True)
class Origin:
    """Where codes come from.

    Attributes:
        config: Says how the data are read, and which key was used.
        run: The run that they stand in; ``None``: not known.
        anywhere: Names are those of a search of the whole folder too, since nobody says how it was read.
    """

    config: Config
    run: Run | None = None
    anywhere: bool = False

    @classmethod
    def of(
        cls,
        run: Path | None = None,
        config: Path | None = None,
        data: Path | None = None,
        key: Path | None = None,
        progress: Progress = SILENT,
    ) -> Origin:
        """From what a user names; by default the newest run.

        Raises:
            UsageError: Both a run and a config are named, or nothing, and there is no run.
            MedclsError: The run, the config or the data are not there.
        """
        if run is not None and config is not None:
            raise UsageError("--run and --config do not go together", remedy="A run has its own config")
        of_run = None if run is None else pretraining_at(run) or open_run(run)
        if run is None and config is None and data is None:
            of_run = next(iter(all_runs(Path("runs"))), None)
            if of_run is None:
                raise UsageError("it is not said where the code comes from", remedy="Name --run, --config or --data")
            progress.note(f"Codes of the newest run: {of_run.path}")
        progress.warn(*(changed_files(of_run.path) if of_run is not None else ()))
        settings = load_config(config) if of_run is None else _config_of(of_run)
        if data is not None:
            place = {"folder": data, "cases": None} if data.is_dir() else {"folder": None, "cases": data}
            settings = _changed(settings, "data", root=None, **place)
        if key is not None:
            settings = _changed(settings, "privacy", key_file=key, identifiers="hash")
        _check_there(settings, data)
        return cls(settings, of_run, anywhere=of_run is None and config is None)

    @property
    def where(self) -> Path:
        """The table, or the folder."""
        return self.config.data.cases or self.config.data.folder or self.config.pretrain.scans or Path()

    @property
    def key(self) -> Path:
        """Where the key is."""
        return self.config.privacy.key_file or default_key_file()


def lead_back(asked: Sequence[str], origin: Origin, progress: Progress = SILENT) -> LedBack:
    """Find the scans that codes stand for; headers are looked at only where names alone do not tell.

    Args:
        asked: Codes as they stand in a report or a table, or how they begin.
        origin: Where they come from.
        progress: Where to say how far it is.

    Raises:
        ConfigError: There is no key.
        CohortError: The table or the folder cannot be read.
    """
    pseudonyms = origin.config.privacy.pseudonyms(make=False)
    found: dict[str, tuple[Place, ...]] = {}
    failed: dict[str, MedclsError] = {}
    with looking_only():
        known = _Known(origin, pseudonyms, progress)
        for text in dict.fromkeys(asked):
            try:
                code = known.whole(text if pseudonyms.keep else _code(text))
                found[code] = tuple(dict.fromkeys(known.place(one) for one in known.owners(code)))
            except UsageError as error:
                failed[text] = error
    return LedBack(found, failed)


class _Known:
    """Everybody in the data by their codes: those that names give, and once asked for, those that headers give."""

    def __init__(self, origin: Origin, pseudonyms: Pseudonyms, progress: Progress) -> None:
        self._origin, self._pseudonyms, self._progress = origin, pseudonyms, progress
        self._named = _everybody(origin, progress)
        self._by_code: dict[str, list[_Named]] = defaultdict(list)
        self._with_headers = self._with_unlabelled = False
        self._add(self._named)

    def _add(self, named: Iterable[_Named]) -> None:
        for one in named:
            self._by_code[self._pseudonyms.case(one.name)].append(one)
            if one.patient:
                self._by_code[patient_pseudonym(one.patient, self._pseudonyms)].append(one)

    def _look_at_unlabelled(self) -> bool:
        """Whether there are scans without labels, which are looked for where no case has a code."""
        if self._with_unlabelled:
            return False
        self._with_unlabelled = True
        space = LabelSpace(("",), multilabel=True)
        found = [find_unlabelled(self._origin.config, space, self._progress, key=key) for key in (KEY, PRETRAINED_ON)]
        for cohort in filter(None, found):
            self._add(cohort.cases)
            self._add(cohort.excluded)
        return any(found)

    def whole(self, code: str) -> str:
        """The one code that begins so.

        Raises:
            UsageError: There is none, or there are several.
        """
        of_case = code.startswith("C") and not self._pseudonyms.keep
        if not of_case and (not self._matching(code) or not all(one.patient for one in self._named)):
            self._look_at_headers()
        matching = [code] if code in self._by_code else self._matching(code)
        if not matching and self._look_at_unlabelled():
            return self.whole(code)
        if not matching:
            raise self._unknown(code)
        if len(matching) > 1:
            listed = ", ".join(matching[:_SHOWN]) + (", …" if len(matching) > _SHOWN else "")
            raise UsageError(f"'{code}' begins {len(matching)} codes: {listed}", remedy="Give more of it")
        return matching[0]

    def owners(self, code: str) -> Iterable[_Named]:
        """Whoever has this code."""
        return self._by_code[code]

    def place(self, one: _Named) -> Place:
        """Where one stands."""
        return Place(None if one.line is None else self._origin.config.data.cases, one.line, one.scan)

    def _matching(self, code: str) -> list[str]:
        return [one for one in self._by_code if one.startswith(code)]

    def _look_at_headers(self) -> None:
        if self._with_headers:
            return
        self._with_headers = True
        leniency = Leniency.chosen(self._origin.config.preprocessing)
        for one in self._progress.track(self._named, "Looking at headers"):
            for code in dict.fromkeys(self._codes_of_header(one, _source(one, leniency))):
                self._by_code[code].append(one)

    def _codes_of_header(self, one: _Named, source: ScanSource | None) -> Iterator[str]:
        stated = header_patient(source) if source is not None else ""
        if not (one.patient or stated):
            yield self._pseudonyms.patient(one.name)  # who is not named counts as a patient of that name
        if source is None:
            return
        for key in (stated, patient_key(source.patient_id, source.identity.get("issuer", ""))):
            if key:
                yield patient_pseudonym(key, self._pseudonyms)
        yield from filter(None, self._pseudonyms.of_scan(source.identity).values())

    def _unknown(self, code: str) -> UsageError:
        origin, run = self._origin, self._origin.run
        kept = set() if run is None else _codes_of(run)
        if run is not None and kept and not kept & self._by_code.keys():
            return UsageError(
                f"no code of the run {run.name} is that of anything in {origin.where}: the key ({origin.key}) is not the one "
                "that the run was made with, or these are other data",
                remedy="Name the key with --key FILE, or the data with --data PATH",
            )
        if any(one.startswith(code) for one in kept):
            return UsageError(
                f"'{code}' is a code of the run, and nothing in {origin.where} has it any more: its row or file was removed, "
                "moved or renamed",
                remedy="Give an earlier copy of the table or folder with --data PATH",
            )
        return UsageError(
            f"nothing in {origin.where} has the code '{code}'",
            remedy=f"Name the run that it comes from with --run RUN, or the data with --data PATH; the key was {origin.key}",
        )


def _everybody(origin: Origin, progress: Progress) -> tuple[_Named, ...]:
    config = origin.config
    if config.data.cases is not None:
        return table_names(config.data)
    if config.data.folder is None:
        return ()  # a pretraining on scans alone
    leniency = Leniency.chosen(config.preprocessing)
    if not origin.anywhere:
        return folder_names(config.data, config.split, leniency, progress)
    root = origin.where
    found = find_scans(root, leniency=leniency, progress=progress)
    named: list[_Named] = [
        Case(one.name, "", Path(name_with_root(one, root)), (), source=one) for one in found.scans
    ] + [Exclusion(one.name, "", one.code, one.reason, scan=Path(name_with_root(one, root))) for one in found.refused]
    with suppress(CohortError):  # a folder need not have classes
        of_classes = folder_names(config.data, config.split, leniency, progress)
        named += [one for one in of_classes if isinstance(one, Case)]
    return tuple(named)


def _source(one: _Named, leniency: Leniency) -> ScanSource | None:
    if isinstance(one, Case) and one.source is not None:
        return one.source
    try:
        return None if one.scan is None else find_one(one.scan, leniency=leniency)
    except ScanRefused:
        return None


def _code(text: str) -> str:
    """A code as it was written, from a name that it stands in.

    Raises:
        UsageError: It is none.
    """
    plain = _ENDING.sub("", text.strip(" '\"`").rstrip(".…").rpartition("/")[2])
    found = _CODE.fullmatch(plain)
    if found is None:
        raise UsageError(
            f"'{text}' is no code",
            remedy="A code is C (a case), P (a patient), A (an order), S (a study), E (a series) or I (an instance) and 12 "
            "hexadecimal digits, of which the first are enough where they are the only ones: C78d0a",
        )
    return found[1].upper() + found[2].lower()


def _codes_of(run: Run) -> set[str]:
    """The codes that a run's tables have."""
    found = set()
    for path in (run.path / name for name in _TABLES):
        if path.is_file():
            with reading_kept(path):
                found |= {row[name] for row in read_csv(path) for name in ("case", "patient", "study") if row.get(name)}
    return found


def _config_of(run: Run) -> Config:
    pretraining = run.path / PRETRAINING
    return load_config(pretraining) if pretraining.is_file() else run.load_config()


def _changed(config: Config, section: str, **values: object) -> Config:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


def _check_there(config: Config, data: Path | None) -> None:
    place = config.data.cases or config.data.folder or config.pretrain.scans
    if place is None:
        raise UsageError("the config names no cases", remedy="Say where the data are with --data PATH")
    if not place.exists():
        what = "there is nothing at this path" if data is not None else "the data are not here any more"
        raise CohortError(what, where=str(place), remedy="Say where the table or folder is with --data PATH")
