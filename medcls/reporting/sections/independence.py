"""Who was evaluated, and what is known of whether they took part in the training: no more is claimed than was checked."""

from __future__ import annotations

from medcls.reporting.content import ReportContent
from medcls.reporting.text.numbers import counted
from medcls.values import documents

_ALLOWED = "some of whom took part in training or in choosing: see the warning"


def who(cases: int, patients: int, unnamed: int) -> str:
    """Cases and their patients in words; a case whose patient nobody names is not called a patient.

    Args:
        cases: All cases.
        patients: All patients, with each of the unnamed counted as one.
        unnamed: Cases whose patient neither table nor header names.
    """
    if not unnamed:
        return f"{counted(cases, 'case')} of {counted(patients, 'patient')}"
    if unnamed == cases:
        return f"{counted(cases, 'case')}, whose patients are not known (each case counts as one)"
    known = f"{counted(cases, 'case')}: {cases - unnamed} of {counted(patients - unnamed, 'known patient')}"
    return f"{known}, and {unnamed} whose patient is not known (each counts as one)"


def reported_who(content: ReportContent, metrics: documents.Partition) -> str:
    """The same of the cases that the report is about."""
    return who(metrics["n_cases"], metrics["n_patients"], content.unnamed)


def independence_sentences(content: ReportContent, metrics: documents.Partition) -> list[str]:
    """Who was evaluated, and whether they could have helped to make the classifier."""
    evaluated = f"On the ‘{content.reported}’ partition: {reported_who(content, metrics)}"
    found = [f"{evaluated}{_claim(content, all_unnamed=content.unnamed >= metrics['n_cases'])}"]
    if content.reported == "pooled":
        found.append("The final classifier is the ensemble of all folds, and was not itself evaluated here.")
    if content.near:
        alike = "1 of the cases looks" if content.near == 1 else f"{content.near} of the cases look"
        found.append(f"{alike} nearly the same as a case of another {_elsewhere(content)}: see the warning.")
    return found


def _claim(content: ReportContent, *, all_unnamed: bool) -> str:
    if content.reported == "pooled":
        return _of_folds(content, all_unnamed=all_unnamed)
    if content.reported in ("train", "tune"):
        return ". These cases helped to make the classifier, so the results are too favourable."
    if "training" in content.without:
        return "."
    if content.unchecked:
        return ". Whether any of them took part in training or in choosing is not known: see the warning."
    if content.leaks_allowed:
        return f", {_ALLOWED}."
    if not content.unnamed:
        return ", none of whom took part in training or in choosing anything."
    same = "no identical image did"
    if all_unnamed:
        return f". Whether a patient of theirs took part in training or in choosing is not known; {same}."
    return (
        ". No patient that is known took part in training or in choosing anything; of the others this is not known, but "
        f"{same}."
    )


def _of_folds(content: ReportContent, *, all_unnamed: bool) -> str:
    if not content.unnamed:
        return ", each evaluated by a classifier that never saw the patient, neither to train nor to choose."
    seen = ", each evaluated by a classifier that never saw the image, neither to train nor to choose"
    which = "the patient" if all_unnamed else "a patient who is not known"
    return f"{seen}; whether it saw another image of {which} cannot be told."


def _elsewhere(content: ReportContent) -> str:
    return {"pooled": "fold", "external": "cohort, the one that the classifier was made with"}.get(
        content.reported, "partition"
    )
