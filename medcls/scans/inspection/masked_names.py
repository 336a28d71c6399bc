"""Names of scans without identifiers: folders are often named after patients, and files after their UIDs."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from medcls.privacy import Pseudonyms
from medcls.scans.archive.packed import ENDINGS as PACKED
from medcls.scans.dicom.parse.sniffing import ENDINGS as DICOM
from medcls.scans.formats import FORMATS

_SHORT = 4  # letters and digits from which an identifier is looked for inside words; a shorter one stands in too many
_UID = re.compile(r"[0-2](?:\.\d+){4,}")  # PS3.5 section 9; versions and dates have fewer parts
_SCANS = (ending for row in FORMATS.values() for ending in (*row.endings, *row.voxels))
_ENDINGS = (*DICOM, *PACKED, *_SCANS, ".zip", ".tar", ".tgz")
_KNOWN = sorted({part for one in _ENDINGS for part in one[1:].split(".")})  # so that one name is matched in one way
_ENDING = re.compile(rf"(?:\.(?:{'|'.join(_KNOWN)}))+$", re.IGNORECASE)
_SUFFIX = re.compile(r"#[a-z0-9.-]+$")  # which of several scans of one folder, as the search names them
_LONG = 5  # letters of a name that is looked for inside words
_INITIALS = 2
_WORD = re.compile(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![^\W_A-Z])")  # words, also those that only a capital parts
_NOBODY = {
    "anon",
    "anonym",
    "anonymous",
    "anonymized",
    "anonymised",
    "patient",
    "unknown",
    "none",
    "name",
    "test",
    "phantom",
}


class KnownPatients:
    """Patients whose identifiers and names are looked for in names of files, be they of another or of nobody.

    A look takes no longer when there are more patients: pieces of the name, as long as identifiers are, are looked up.

    Args:
        identities: Of everything that is known, as :attr:`medcls.scans.Scan.identity`; the first of equal ones counts.
    """

    def __init__(self, identities: Iterable[Mapping[str, str]] = ()) -> None:
        self._long: dict[str, Mapping[str, str]] = {}
        self._short: dict[str, Mapping[str, str]] = {}
        self._named: dict[str, Mapping[str, str]] = {}
        for identity in identities:
            patient = identity.get("patient_id", "").strip()
            plain = _plain(patient)
            if len(plain) >= _SHORT:
                self._long.setdefault(plain, identity)
            elif patient:
                self._short.setdefault(patient.casefold(), identity)
            for name in _own_names(identity.get("patient_name", "")):
                if len(name) >= _LONG:
                    self._named.setdefault(name, identity)
        self._lengths = [sorted({len(key) for key in keys}, reverse=True) for keys in (self._long, self._short)]
        self._looked: dict[str, Mapping[str, str]] = {}

    def of(self, part: str) -> Mapping[str, str]:
        """Identity of the patient whose PatientID a part of a path contains, of the longest where it contains several; else of
        one of whose names it has a word.

        Args:
            part: Name of a folder or file.

        Returns:
            The identity; empty where the part contains none.
        """
        if part not in self._looked:
            there = (identity for identity in self._candidates(part) if _holds(part, identity["patient_id"]))
            named = (self._named[word] for word in _words(_ENDING.sub("", part)) if word in self._named)
            self._looked[part] = next(chain(there, named), {})
        return self._looked[part]

    def _candidates(self, part: str) -> Iterator[Mapping[str, str]]:
        long, short = self._lengths
        return chain(_pieces(_plain(part), self._long, long), _pieces(part.casefold(), self._short, short))


NOBODY = KnownPatients()


def masked_name(
    name: str, identity: Mapping[str, str], pseudonyms: Pseudonyms, patients: KnownPatients = NOBODY
) -> str:
    """A scan's name without identifiers: folders are often named after patients, and files after their UIDs.

    A part of the path is replaced as a whole, so that nothing that stands beside an identifier is left of it, when it
    contains

    - the scan's PatientID, or that of another known patient, whatever separators and case it is written with;
    - its PatientName: a family or given name as a word, or several in one;
    - its AccessionNumber, of four letters and digits at least;
    - its StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, or anything built like a UID;
    - ``^``, as a DICOM name has between family and given name (PS3.5 section 6.2.1).

    What replaces it is that patient's pseudonym, followed by four digits of a keyed hash where the part is more than the
    PatientID, so that names which were different mostly stay so. Known file endings and the ``#`` of a scan's part stay.

    Args:
        name: Relative path with forward slashes, as :attr:`medcls.scans.ScanSource.name`.
        identity: As :attr:`medcls.scans.Scan.identity`; empty where none is known.
        pseudonyms: Where the pseudonyms come from; the name is given back as it is when they keep identifiers.
        patients: Everybody whose identifiers no name may contain.
    """
    if pseudonyms.keep:
        return name
    suffix = _SUFFIX.search(name)
    tail = suffix.group() if suffix and not _tail_identifies(suffix.group(), identity, patients) else ""
    parts = name.removesuffix(tail).split("/")
    return "/".join(_masked_part(part, _whose(part, identity, patients), pseudonyms) for part in parts) + tail


def names_patient(text: str, identity: Mapping[str, str]) -> bool:
    """Whether free text holds an identifier or a name of a patient.

    A PatientID of fewer than four letters and digits is not looked for: any number would be one.

    Args:
        text: The text.
        identity: As :attr:`medcls.scans.Scan.identity`.
    """
    patient = identity.get("patient_id", "")
    return _identifies(text, {**identity, "patient_id": patient if len(_plain(patient)) >= _SHORT else ""})


def _whose(part: str, identity: Mapping[str, str], patients: KnownPatients) -> Mapping[str, str]:
    """Whom a part is about: the patient of the scan if it says so, else another whom it names."""
    if identity.get("patient_id") and _identifies(part, identity):
        return identity
    return patients.of(part) or identity


def _tail_identifies(tail: str, identity: Mapping[str, str], patients: KnownPatients) -> bool:
    """Of others only long identifiers count: ``#s3`` is the number of a series, whoever is called 3."""
    return _identifies(tail, identity) or len(_plain(patients.of(tail).get("patient_id", ""))) >= _SHORT


def _masked_part(part: str, identity: Mapping[str, str], pseudonyms: Pseudonyms) -> str:
    if not _identifies(part, identity):
        return part
    ending = _ENDING.search(part)
    stem = part[: ending.start()] if ending else part
    patient = identity.get("patient_id", "")
    masked = pseudonyms.case(stem)
    if patient:
        more = "" if _plain(stem) == _plain(patient) else f"-{masked[1:5]}"
        masked = pseudonyms.patient(patient, identity.get("issuer", "")) + more
    return masked + (ending.group() if ending else "")


def _identifies(part: str, identity: Mapping[str, str]) -> bool:
    if "^" in part or _UID.search(part) or _holds(part, identity.get("patient_id", "")):
        return True
    if _names(part, identity.get("patient_name", "")):
        return True
    accession = identity.get("accession", "")
    if len(_plain(accession)) >= _SHORT and _holds(part, accession):
        return True
    uids = (uid for key in ("study_uid", "series_uid", "sop_uids") for uid in identity.get(key, "").split())
    return any("." in uid and uid in part for uid in uids)


def _holds(part: str, patient: str) -> bool:
    """Whether a part of a path contains a PatientID; a short one only where a word or a number begins and ends."""
    wanted = _plain(patient)
    if not wanted:
        return bool(patient.strip()) and patient.strip() in part
    if len(wanted) >= _SHORT:
        return wanted in _plain(part)
    before = r"(?<!\d)" if wanted[0].isdigit() else r"(?<![^\W\d_])"
    after = r"(?!\d)" if wanted[-1].isdigit() else r"(?![^\W\d_])"
    return re.search(before + re.escape(patient.strip()) + after, part, re.IGNORECASE) is not None


def _names(part: str, person: str) -> bool:
    """Whether a part of a path holds a name of a person (PS3.5 section 6.2.1), in any order, with or without accents.

    A long word is looked for inside others too; a short one only as a word, and words of one or two letters, of which some
    names are, only all together.
    """
    words = _words(_ENDING.sub("", part))
    everything = "".join(words)
    for spelling in person.split("="):  # in letters of the alphabet, ideographic, phonetic
        own = _own_names(spelling)
        alone = (name for name in own if len(name) > _INITIALS)
        if any(name in words if len(name) < _LONG else name in everything for name in alone):
            return True
        joined = "".join(own), "".join(own[::-1])
        if len(own) > 1 and (set(own) <= set(words) or any(name in everything for name in joined)):
            return True
    return False


def _own_names(person: str) -> list[str]:
    """The words of a name that are somebody's; bytes of UTF-8 that were read one by one are letters again."""
    with contextlib.suppress(UnicodeError):
        person = person.encode("latin-1").decode("utf-8")
    return [word for word in _words(person) if word not in _NOBODY and not word.isdigit()]


def _words(text: str) -> list[str]:
    """Words without accents and case; a capital within one begins another."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return [word.casefold() for word in _WORD.findall(plain)]


def _pieces(text: str, known: Mapping[str, Mapping[str, str]], lengths: Iterable[int]) -> Iterator[Mapping[str, str]]:
    """What is known under a piece of a text, for pieces of every length."""
    for length in lengths:
        for start in range(len(text) - length + 1):
            if (piece := text[start : start + length]) in known:
                yield known[piece]


def _plain(text: str) -> str:
    """Letters and digits alone, without case."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())
