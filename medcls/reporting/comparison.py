"""``compare.html``: several models on the same cases."""

from __future__ import annotations

import os
from dataclasses import dataclass

from medcls.files import write_text
from medcls.reporting.blocks import Block, Cell, Section, Table, drawings, sentence
from medcls.reporting.charts.comparison import differences_chart
from medcls.reporting.report import render
from medcls.reporting.text.numbers import counted, percent, threshold
from medcls.reporting.text.operating_point import chosen_by
from medcls.reporting.text.wording import AT_END, show_as
from medcls.values import documents
from medcls.values.label_space import Labelled

_FIGURES = {
    "auc": "AUC",
    "macro_auc": "AUC, mean over labels",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
}
_TESTS = {
    "delong": "DeLong, paired",
    "mcnemar-exact": "McNemar, exact",
    "mcnemar-chi2": "McNemar",
    "patient-bootstrap": "bootstrap by patient",
    "none": "none",
}


@dataclass(frozen=True)
class ComparisonContent(Labelled):
    """What stands on the page.

    Attributes:
        space: The labels.
        created: When (ISO 8601).
        document: As in ``comparison.json``.
    """

    created: str
    document: documents.Comparison

    @property
    def title(self) -> str:
        """The models' names."""
        return " against ".join(model["name"] for model in self.document["models"])

    @property
    def region(self) -> str:
        """Models may be of any region."""
        return ""


def write_comparison(path: str | os.PathLike[str], content: ComparisonContent) -> None:
    """Write the page as one whole HTML file.

    Raises:
        StorageError: The disk is full or read-only; an older page is then intact.
    """
    write_text(path, render_comparison(content))


def render_comparison(content: ComparisonContent) -> str:
    """The page as HTML."""
    sections = [_differences(content), _models(content)]
    at_end = [AT_END] if any(section.has_at_end for section in sections) else []
    return render(
        "compare.html.j2",
        {
            "content": content,
            "exploratory": _banner(content.document),
            "contents": [(section.id, section.short) for section in sections],
            "sections": sections,
            "warnings": [sentence(note) for note in (*content.document["notes"], *at_end)],
        },
    )


def _banner(document: documents.Comparison) -> str:
    marked = [model["name"] for model in document["models"] if model["operating_point"]["exploratory"]]
    if not marked:
        return ""
    return f"the threshold of {', '.join(marked)} was chosen on the cases that it is evaluated on, which is too favourable."


def _differences(content: ComparisonContent) -> Section:
    document = content.document
    pairs = document["comparisons"]
    words = (
        f"All models evaluated the same {counted(document['n_cases'], 'case')} of "
        f"{counted(pairs[0]['n_patients'], 'patient')}. "
        "A difference is first minus second: above 0 the first is better. "
        f"An interval that holds 0 leaves it open which one is. {_holm(len(pairs))}"
    )
    blocks = [Block(text=(words,))]
    blocks += [_pair(pair, folded=len(pairs) > 3) for pair in pairs]
    return Section("differences", "Differences", "Differences", tuple(blocks))


def _holm(pairs: int) -> str:
    if pairs == 1:
        return "A p-value says how often chance alone would show such a difference between equally good models."
    return f"The p-values are adjusted by Holm for the {pairs} pairs of models, metric by metric."


def _pair(pair: documents.Pair, *, folded: bool) -> Block:
    name = f"{pair['first']} against {pair['second']}"
    rows = tuple((_metric(one), _cells(one)) for one in pair["differences"])
    level = f"{100 * pair['intervals']['confidence']:g} %"
    heads = ("Metric", pair["first"], pair["second"], "Difference", "p", "p, adjusted", "Test")
    table = Table(f"{name}, with {level} intervals of the difference.", heads, rows)
    chart = differences_chart(name, [(_metric(one), one["difference"]) for one in pair["differences"]])
    return Block("" if folded else name, table=table, drawings=drawings((chart, "")), folded=name if folded else "")


def _metric(one: documents.Difference) -> str:
    title = _FIGURES.get(one["figure"], one["figure"])
    return f"{title}, ‘{one['label']}’" if one["label"] else title


def _cells(one: documents.Difference) -> tuple[Cell, ...]:
    as_percent = one["figure"] not in ("auc", "macro_auc")
    both = tuple(_value(one[name], as_percent=as_percent) for name in ("first", "second"))
    test = _TESTS.get(one["test"], one["test"])
    told = f"{test}. {sentence(one['reason'])}" if one["reason"] else test
    return (
        *both,
        show_as("", one["difference"], as_percent=as_percent),
        *(_p(one[n]) for n in ("p_value", "p_adjusted")),
        told,
    )


def _value(value: float | None, *, as_percent: bool) -> str:
    if value is None:
        return "–"
    return f"{percent(value)}\u00a0%" if as_percent else f"{value:.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _models(content: ComparisonContent) -> Section:
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for model in content.document["models"]:
        point = model["operating_point"]
        cuts = ", ".join(threshold(float(cut["threshold"])) for cut in point["thresholds"]) or "–"
        metrics = model["figures"]
        shown = [show_as("", metrics["auc"])] + [
            show_as("", metrics[name], as_percent=True) for name in ("sensitivity", "specificity", "accuracy")
        ]
        rows.append((model["name"], (*shown, cuts, sentence(chosen_by(point)))))
    heads = ("Model", "AUC", "Sensitivity", "Specificity", "Accuracy", "Threshold", "Where it is from")
    table = Table("Each model by itself on the shared cases, with intervals.", heads, tuple(rows))
    return Section("models", "Each model by itself", "Models", (Block(table=table),))
