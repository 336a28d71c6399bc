"""Pseudonyms: keyed hashes in place of patients' and cases' identifiers.

A plain or salted hash of a short hospital number can be found by trying all numbers; an HMAC whose key never leaves the
hospital cannot (NIST FIPS 198-1 for the construction). The key is in the user's own configuration folder, outside every
run, so a run folder can be passed on without it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medcls.bounded import read_bounded, why_unreadable
from medcls.errors import ConfigError, StorageError
from medcls.files import home_folder, write_bytes
from medcls.progress import SILENT, Progress

KEY_VARIABLE = "MEDCLS_PSEUDONYM_KEY"
_KEY_BYTES = 32
OTHER_KEY = f"Name a file that you may write to, and that is kept, in privacy.key_file or in {KEY_VARIABLE}"
_LARGEST_KEY = 4096
_SHOWN = 12  # hexadecimal digits: 48 bits, so two of 10,000 patients share a pseudonym once in five million cohorts

_SHOWN_OF_SITE = 6  # 24 bits: two of 100 sites share a pseudonym once in three thousand cohorts


@dataclass(frozen=True)
class Pseudonyms:
    """Turns identifiers into keyed hashes, or leaves them when the user asked for that.

    Args:
        key: The secret key.
        keep: Give identifiers back as they are.
    """

    key: bytes = field(repr=False)
    keep: bool = False

    @property
    def mark(self) -> str:
        """What tells one key from another, and gives nothing of it away; the same wherever identifiers are kept."""
        return "kept" if self.keep else self._hash("key")

    def patient(self, identifier: str, issuer: str = "") -> str:
        """The pseudonym of a patient: HMAC-SHA256 over issuer and PatientID (DICOM PS3.3 C.7.1.1)."""
        return identifier if self.keep else "P" + self._hash("patient", issuer, identifier)

    def case(self, identifier: str) -> str:
        """The pseudonym of a case, which a user's table may have named after a patient."""
        return identifier if self.keep else "C" + self._hash("case", identifier)

    def study(self, uid: str) -> str:
        """The pseudonym of a study, from its StudyInstanceUID."""
        return uid if self.keep else "S" + self._hash("study", uid)

    def accession(self, number: str) -> str:
        """The pseudonym of an order, from its AccessionNumber."""
        return number if self.keep else "A" + self._hash("accession", number)

    def series(self, uid: str) -> str:
        """The pseudonym of a series, from its SeriesInstanceUID."""
        return uid if self.keep else "E" + self._hash("series", uid)

    def instance(self, uid: str) -> str:
        """The pseudonym of an instance, from its SOPInstanceUID."""
        return uid if self.keep else "I" + self._hash("instance", uid)

    def pixels(self, digest: str) -> str:
        """That of an image, from the digest of its voxels: whoever has the picture alone cannot tell that it is meant."""
        return digest if self.keep else "V" + self._hash("pixels", digest)

    def of_scan(self, identity: Mapping[str, str]) -> dict[str, str]:
        """What stands for order, study, series and instance of a scan; empty where none is stated, or several instances are.

        Args:
            identity: As :attr:`medcls.scans.Scan.identity`.
        """
        uids = identity.get("sop_uids", "").split()
        stated = {
            "accession": (identity.get("accession"), self.accession),
            "study": (identity.get("study_uid"), self.study),
            "series": (identity.get("series_uid"), self.series),
            "instance": (uids[0] if len(uids) == 1 else "", self.instance),
        }
        return {name: pseudonym(identifier) if identifier else "" for name, (identifier, pseudonym) in stated.items()}

    def site(self, institution: str) -> str:
        """The pseudonym of an institution; short, since it stands in tables and pictures, and institutions are few."""
        return institution if self.keep else "site-" + self._hash("site", institution)[:_SHOWN_OF_SITE]

    def _hash(self, *parts: str) -> str:
        message = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_SHOWN]


def default_key_file() -> Path:
    """Where the key is unless the environment variable ``MEDCLS_PSEUDONYM_KEY`` names another file."""
    named = os.environ.get(KEY_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or home_folder(KEY_VARIABLE) / ".config"
    return Path(base) / "medcls" / "pseudonym.key"


def load_pseudonyms(
    *,
    keep: bool = False,
    key_file: str | os.PathLike[str] | None = None,
    make: bool = True,
    progress: Progress = SILENT,
) -> Pseudonyms:
    """Read the key, making one on first use.

    Args:
        keep: Leave identifiers as they are, without any key.
        key_file: Where the key is; default: :func:`default_key_file`.
        make: Whether a key is made where there is none.
        progress: Where to say that one is made in a file that was named, and so was thought to be there.

    Raises:
        ConfigError: The key file is there but does not hold a key, or may not be read; or there is none and none is made.
        StorageError: It is not there and cannot be made, or its folder is not known.
    """
    if keep:
        return Pseudonyms(b"", keep=True)
    path = Path(key_file) if key_file else default_key_file()
    try:
        if not path.exists():
            if not make:
                raise ConfigError(
                    "there is no pseudonym key", where=str(path), remedy="Restore it, or name it with --key FILE"
                )
            if key_file or os.environ.get(KEY_VARIABLE):
                progress.warn(
                    f"there is no {path}: a new pseudonym key is made, so codes differ from those of earlier runs"
                )
            write_bytes(path, secrets.token_hex(_KEY_BYTES).encode("ascii"), private=True)
        key = bytes.fromhex(read_bounded(path, _LARGEST_KEY).decode("ascii").strip())
    except StorageError as error:
        raise StorageError(f"the pseudonym key: {error.what}", where=str(path), remedy=OTHER_KEY) from error
    except OSError as error:
        what = f"the pseudonym key cannot be read: {why_unreadable(error)}"
        raise ConfigError(what, where=str(path), remedy=OTHER_KEY) from error
    except ValueError as error:
        raise ConfigError(
            "the pseudonym key is not hexadecimal text",
            where=str(path),
            remedy="Name the file of the key, or restore it from a copy; where it is lost, a new one under another name starts "
            "new pseudonyms",
        ) from error
    if len(key) < _KEY_BYTES:
        raise ConfigError("the pseudonym key is too short", where=str(path), remedy=f"It needs {_KEY_BYTES} bytes")
    return Pseudonyms(key)
