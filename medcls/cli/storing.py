"""The verb that shows the prepared store, makes it smaller, and clears it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medcls.cli.options import Json, Quiet
from medcls.cli.screen import say, say_json

if TYPE_CHECKING:
    from medcls.preprocessing.store.store import PreparedStore, StoreSize


def store(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all prepared scans.")] = False,
    limit: Annotated[
        str | None,
        typer.Option("--limit", help="Remove the scans used longest ago, until so much is left: 20GB.", metavar="SIZE"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the store is; default: the user's cache folder.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Show how many prepared scans are kept, how large they are, and where; make room, or clear them."""
    from medcls.errors import UsageError
    from medcls.preprocessing.store.store import PreparedStore

    if folder is not None and not folder.is_dir():
        raise UsageError("there is no such folder", where=f"--folder {folder}")
    kept = PreparedStore(folder)
    removed = kept.clear() if clear else kept.trim(_bytes(limit)) if limit is not None else None
    if json:
        say_json(_plain(kept, removed))
    elif not quiet:
        _say(kept, removed)
    return 0


def _bytes(limit: str) -> int:
    from medcls.config.amounts import bytes_of
    from medcls.errors import UsageError

    try:
        return bytes_of(limit)
    except ValueError as error:
        raise UsageError(str(error), where="--limit") from None


def _plain(kept: PreparedStore, removed: StoreSize | None) -> dict[str, object]:
    size = kept.size()
    answer: dict[str, object] = {"folder": str(kept.folder), "entries": size.entries, "bytes": size.bytes}
    if removed is not None:
        answer["removed"] = {"entries": removed.entries, "bytes": removed.bytes, "in_use": removed.kept}
    return answer


def _say(kept: PreparedStore, removed: StoreSize | None) -> None:
    from medcls.config.amounts import amount_of

    if removed is not None:
        say(f"Removed {removed.entries} prepared scans, {amount_of(removed.bytes)}")
        if removed.kept:
            say(f"{removed.kept} more are in use by running processes, and stay")
    size = kept.size()
    say(f"{size.entries} prepared scans, {amount_of(size.bytes)}, in {kept.folder}")
