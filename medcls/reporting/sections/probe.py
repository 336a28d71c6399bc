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
        sentence(as_good(found) or _verdict(found["comparison"])),
    )
    table = Table(
        f"The network beside a linear probe on {found['n_features']} features of {found['network']} with weights "
        f"{found['weights']}, on the same cases, with {level_text(metrics)} intervals.",
        ("Metric", "Network", "Probe", "Network − probe"),
        baseline_rows(metrics, found),
    )
    return Section("probe", "What the training adds to a linear probe", "Probe", (Block(text=text, table=table),))


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
    said = (
        "a linear probe, which trains no network, ranks the cases better than this network"
        if high < 0
        else "it is not shown that this network ranks the cases better than a linear probe, which trains no network"
    )
    return (
        f"{said}: the difference of AUC, network minus probe, is {value:+.3f} ({low:+.3f} to {high:+.3f}). Prefer the probe, "
        f"which is fitted in minutes and has less to go wrong: model: {{name: {found['network']}, weights: "
        f"{found['weights']}}} and train: {{method: probe}}"
    )


def _verdict(comparison: documents.Pair) -> str:
    difference = paired_difference(comparison, "auc")
    if difference is None or documents.limits(difference["difference"]) is None:
        return "Whether the network ranks cases better than the probe cannot be said here."
    p = "" if difference["p_value"] is None else f" (p {p_in_words(difference['p_value'])})"
    return f"The network ranks cases better than the probe{p}: training it was worth it."
