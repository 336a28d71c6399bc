"""What a shift between cohorts means for a classifier's metrics, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

_SHIFTED = ("some", "strong")
_UNKNOWN = "unknown"
_NOTHING = (
    "No shift was found{where}. That does not prove that there is none: only the rows of this table were compared, and a "
    "small cohort shows large shifts alone."
)
_ALL_UNKNOWN = "Nothing could be compared, so it is not known whether these cases are like the training cases."
_INTENSITY = (
    "The network's input differs from that in training ({rows}). The AUC and the threshold of the training cohort are not to "
    "be trusted on such scans: only the metrics that were measured on this cohort are. See whether the scans are of the same "
    "kind, and prepared alike."
)
_GEOMETRY = (
    "The scans' grid differs from that in training ({rows}). Resampling then blurs or sharpens more than it did there, and "
    "small findings may look otherwise: sensitivity can fall."
)
_SCANNER = (
    "Patients come from scanners or sites that training had rarely or never ({rows}). Nothing measured in training speaks for "
    "them: look at their group's metrics under subgroups."
)
_LABEL = (
    "‘{name}’ is {more} common here than in training ({external} against {training} of the patients). By that alone, positive "
    "predictive value {ppv} and negative predictive value {npv}, and probabilities come out too {off} (calibration "
    "intercept); AUC, sensitivity and specificity need not change."
)

_STRONG = (
    "strong shift: these cases are unlike the training cases in {groups}. What was measured in training does not speak for "
    "them; the section on shift says what it means"
)
_COMPARED = {
    "intensity": "the network's input",
    "geometry": "the scans' grid",
    "labels": "how common a label is",
    "scanner": "scanners or sites",
}

Row = tuple[str, str, str, float | None, float | None, str | None]
"""Group, verdict, name, training, external, and why it was not compared."""


def meanings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Sentences about what the shifts mean, or that none was found, and what was not compared."""
    said = []
    for group, words in (("intensity", _INTENSITY), ("geometry", _GEOMETRY), ("scanner", _SCANNER)):
        names = [f"{row[2]}: {row[1]}" for row in rows if row[0] == group and row[1] in _SHIFTED]
        if names:
            said.append(words.format(rows=", ".join(names)))
    said += [_of_label(*row[2:5]) for row in rows if row[0] == "labels" and row[1] in _SHIFTED]
    unknown: dict[str, list[str]] = {}
    for row in rows:
        if row[1] == _UNKNOWN:
            unknown.setdefault(row[5] or "no reason was given", []).append(row[2])
    if unknown:
        parts = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in unknown.items())
        said.append(f"Not compared, so nothing is known of: {parts}.")
    return tuple(said) if any(row[1] in _SHIFTED for row in rows) else (_of_no_shift(rows), *said)


def strong_shift(rows: Sequence[tuple[str, str]]) -> str | None:
    """A warning that names what is shifted strongly; ``None`` where nothing is.

    Args:
        rows: Group and name of each row whose verdict is ``strong``.
    """
    named = {words: [name for group, name in rows if group == one] for one, words in _COMPARED.items()}
    groups = "; ".join(f"{words} ({', '.join(names)})" for words, names in named.items() if names)
    return _STRONG.format(groups=groups) if groups else None


def _of_no_shift(rows: Sequence[Row]) -> str:
    compared = [row[2] for row in rows if row[1] != _UNKNOWN]
    if not compared:
        return _ALL_UNKNOWN
    return _NOTHING.format(
        where="" if len(compared) == len(rows) else f" in what could be compared: {', '.join(compared)}"
    )


def _of_label(name: str, training: float | None, external: float | None) -> str:
    before, now = training or 0.0, external or 0.0
    up = now > before
    return _LABEL.format(
        name=name,
        more="more" if up else "less",
        external=f"{now:.0%}",
        training=f"{before:.0%}",
        ppv="rises" if up else "falls",
        npv="falls" if up else "rises",
        off="low" if up else "high",
    )
