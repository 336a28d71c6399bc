"""Scans in archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as writer:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            writer.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def tarred(
    files: Mapping[str, bytes] | list[tuple[str, bytes]], packing: str = "", form: int = tarfile.PAX_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{packing}", format=form) as writer:  # type: ignore[call-overload]
        for name, data in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def made(kind: str, files: Mapping[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    methods = {"zip": zipfile.ZIP_DEFLATED, "zip-stored": zipfile.ZIP_STORED, "zip-bz2": zipfile.ZIP_BZIP2}
    return zipped(files, methods[kind]) if kind in methods else tarred(files, kind[4:])
