"""The section about the linear probe: whether training the network was worth more than using a pretrained one as it is."""

from __future__ import annotations

from medcls.reporting.blocks import Block, Section, Table, sentence
from medcls.reporting.sections.baseline import baseline_rows, p_in_words, paired_difference
from medcls.reporting.text.wording import level_text
from medcls.values import documents
from medcls.values.caution import Caution, note


def section(metrics: documents.Partition) -> Section:
    """The network and the probe side by side."""
    found = metrics["probe"]
    text = (
        f"{sentence(found['method'])} It was fitted on train alone; its operating point was chosen on {found['chosen_on']}.",
        sentence(as_good(found) or _verdict(found)),
    )
    own, beside = _names(found)
    table = Table(
        f"The {own} beside a linear probe on {found['n_features']} features of {found['network']} with weights "
        f"{found['weights']}, on the same cases, with {level_text(metrics)} intervals.",
        ("Metric", own.capitalize(), beside.capitalize(), f"{own.capitalize()} − {beside}"),
        baseline_rows(metrics, found),
    )
    title = "What this probe adds to a plain one" if _of_probe(found) else "What the training adds to a linear probe"
    return Section("probe", title, "Probe", (Block(text=text, table=table),))


def probe_cautions(metrics: documents.Partition) -> tuple[Caution, ...]:
    """What a reader of the first page must know where training the network was not seen to pay."""
    said = as_good(metrics["probe"]) if "probe" in metrics else None
    return note("probe", said) if said else ()


def as_good(found: documents.Probe) -> str | None:
    """That the probe is as good as the network, with the config that makes it; ``None`` where it is not, or not known."""
    difference = paired_difference(found["comparison"], "auc")
    limits = None if difference is None else documents.limits(difference["difference"])
    if limits is None or limits[1] > 0:
        return None
    value, low, high = limits
    own, beside = _names(found)
    simpler, instead = _simpler(found)
    said = (
        f"{simpler}, ranks the cases better than this {own}"
        if high < 0
        else f"it is not shown that this {own} ranks the cases better than {simpler}"
    )
    return (
        f"{said}: the difference of AUC, {own} minus {beside}, is {value:+.3f} ({low:+.3f} to {high:+.3f}). {instead}"
    )


def _names(found: documents.Probe) -> tuple[str, str]:
    """What is judged, and what stands beside it."""
    return ("probe", "plain probe") if _of_probe(found) else ("network", "probe")


def _simpler(found: documents.Probe) -> tuple[str, str]:
    """What stands beside it in more words, and how to have that."""
    network = found["network"]
    if _of_probe(found):
        return (
            f"a plain probe, which sees the last feature map of {network} alone",
            "Prefer the plain one, which is faster: one network, and model: {depths: last}",
        )
    return (
        "a linear probe, which trains no network",
        "Prefer the probe, which is fitted in minutes and has less to go wrong: "
        f"model: {{name: {network}, weights: {found['weights']}}} and train: {{method: probe}}",
    )


def _verdict(found: documents.Probe) -> str:
    own, beside = _names(found)
    difference = paired_difference(found["comparison"], "auc")
    if difference is None or documents.limits(difference["difference"]) is None:
        return f"Whether the {own} ranks cases better than the {beside} cannot be said here."
    p = "" if difference["p_value"] is None else f" (p {p_in_words(difference['p_value'])})"
    worth = "seeing more was" if _of_probe(found) else "training it was"
    return f"The {own} ranks cases better than the {beside}{p}: {worth} worth it."


def _of_probe(found: documents.Probe) -> bool:
    """Whether what is judged is a probe itself, of more features."""
    return found.get("plain", False)
