"""What a shift between cohorts means for a classifier's figures, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

_SHIFTED = ("some", "strong")
_NOTHING = (
    "No shift was found. That does not prove that there is none: only the rows of this table were compared, and a small "
    "cohort shows large shifts alone."
)
_INTENSITY = (
    "The network's input differs from that in training ({rows}). The AUC and the threshold of the training cohort are not to "
    "be trusted on such scans: only the figures that were measured on this cohort are. See whether the scans are of the same "
    "kind, and prepared alike."
)
_GEOMETRY = (
    "The scans' grid differs from that in training ({rows}). Resampling then blurs or sharpens more than it did there, and "
    "small findings may look otherwise: sensitivity can fall."
)
_SCANNER = (
    "Patients come from scanners that training had rarely or never ({rows}). Nothing measured in training speaks for them: "
    "look at their group's figures under subgroups."
)
_LABEL = (
    "‘{name}’ is {more} common here than in training ({external} against {training} of the patients). By that alone, positive "
    "predictive value {ppv} and negative predictive value {npv}, and probabilities come out too {off} (calibration "
    "intercept); AUC, sensitivity and specificity need not change."
)

Row = tuple[str, str, str, float | None, float | None]
"""Group, verdict, name, training, external."""


def meanings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Sentences about what the shifts mean; one that says so where there is none."""
    said = []
    for group, words in (("intensity", _INTENSITY), ("geometry", _GEOMETRY), ("scanner", _SCANNER)):
        names = [f"{row[2]}: {row[1]}" for row in rows if row[0] == group and row[1] in _SHIFTED]
        if names:
            said.append(words.format(rows=", ".join(names)))
    said += [_of_label(*row[2:]) for row in rows if row[0] == "labels" and row[1] in _SHIFTED]
    unknown = [row[2] for row in rows if row[1] == "unknown"]
    if unknown:
        said.append(f"Nothing is known of: {', '.join(unknown)}.")
    return tuple(said) if any(row[1] in _SHIFTED for row in rows) else (_NOTHING, *said)


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
