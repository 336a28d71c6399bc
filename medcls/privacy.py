"""Pseudonyms: keyed hashes in place of patients' and cases' identifiers.

A plain or salted hash of a short hospital number can be found by trying all numbers; an HMAC whose key never leaves the
hospital cannot (NIST FIPS 198-1 for the construction). The key lies in the user's own configuration folder, outside every
run, so a run folder can be passed on without it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from medcls.errors import ConfigError
from medcls.files import write_bytes

KEY_VARIABLE = "MEDCLS_PSEUDONYM_KEY"
_KEY_BYTES = 32
_SHOWN = 12  # hexadecimal digits: 48 bits, so two of 10,000 patients share a pseudonym once in five million cohorts


@dataclass(frozen=True)
class Pseudonyms:
    """Turns identifiers into keyed hashes, or leaves them when the user asked for that.

    Args:
        key: The secret key.
        keep: Give identifiers back as they are.
    """

    key: bytes = field(repr=False)
    keep: bool = False

    def patient(self, identifier: str, issuer: str = "") -> str:
        """The pseudonym of a patient: HMAC-SHA256 over issuer and PatientID (DICOM PS3.3 C.7.1.1)."""
        return identifier if self.keep else "P" + self._hash("patient", issuer, identifier)

    def case(self, identifier: str) -> str:
        """The pseudonym of a case, which a user's table may have named after a patient."""
        return identifier if self.keep else "C" + self._hash("case", identifier)

    def _hash(self, *parts: str) -> str:
        message = "\x1f".join(parts).encode("utf-8")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_SHOWN]


def default_key_file() -> Path:
    """Where the key lies unless the environment variable ``MEDCLS_PSEUDONYM_KEY`` names another file."""
    named = os.environ.get(KEY_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "medcls" / "pseudonym.key"


def load_pseudonyms(*, keep: bool = False, key_file: str | os.PathLike[str] | None = None) -> Pseudonyms:
    """Read the key, making one on first use.

    Raises:
        ConfigError: The key file is there but does not hold a key.
    """
    if keep:
        return Pseudonyms(b"", keep=True)
    path = Path(key_file) if key_file else default_key_file()
    if not path.exists():
        write_bytes(path, secrets.token_hex(_KEY_BYTES).encode("ascii"), private=True)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the pseudonym key is not hexadecimal text",
            where=str(path),
            remedy="Restore it from a copy, or delete it to start a new one (old pseudonyms then no longer match)",
        ) from error
    if len(key) < _KEY_BYTES:
        raise ConfigError("the pseudonym key is too short", where=str(path), remedy=f"It needs {_KEY_BYTES} bytes")
    return Pseudonyms(key)
