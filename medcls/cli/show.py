"""What a person, or a program with ``--json``, is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from medcls.runs.comparing import Compared
    from medcls.runs.doctor import Check
    from medcls.runs.evaluating import Evaluated
    from medcls.runs.explaining import Explanations
    from medcls.runs.folder import Run
    from medcls.runs.inference import Inference
    from medcls.runs.judging import Judged

_FIGURES = ("auc", "sensitivity", "specificity", "balanced_accuracy", "accuracy", "ppv", "npv", "f1", "brier")
_MOST_ROWS = 40


def run(finished: Run, *, as_json: bool, quiet: bool) -> None:
    """Where a finished run lies, and its figures on test."""
    metrics = finished.metrics
    if as_json:
        _json({"run": str(finished.path), "report": str(finished.report_file), "metrics": metrics})
    elif not quiet:
        for name in ("pooled", "test"):
            if name in metrics:
                _figures(name, metrics[name])
        typer.echo(f"Report: {finished.report_file}")


def inference(result: Inference, *, as_json: bool, quiet: bool) -> None:
    """A line for each scan, and where the tables lie."""
    if as_json:
        _json(result.to_json())
        return
    if quiet:
        return
    rows = []
    for row in result.rows[:_MOST_ROWS]:
        if row.answer is None:
            rows.append([row.scan, "refused", row.code])
        else:
            probabilities = zip(result.labels, row.answer.probabilities, strict=True)
            shown = "  ".join(f"{label} {probability:.3f}" for label, probability in probabilities)
            rows.append([row.scan, "; ".join(row.answer.predicted) or "none", shown])
    _table(["scan", "answer", "probabilities"], rows)
    if len(result.rows) > _MOST_ROWS:
        typer.echo(f"… and {len(result.rows) - _MOST_ROWS} more")
    for cut in result.operating_point.cuts:
        typer.echo(f"'{cut.label}' is answered from a probability of {cut.value:.4g}")
    typer.echo(f"{result.answered} answered, {result.refused} refused: {result.folder / 'predictions.csv'}")


def evaluation(result: Evaluated | Judged, *, as_json: bool, quiet: bool) -> None:
    """The figures of an evaluation, and where its report lies."""
    if as_json:
        _json({"folder": str(result.folder), "metrics": {result.name: result.metrics}})
    elif not quiet:
        _figures(result.name, result.metrics)
        if result.refused:
            table = result.folder / "excluded.csv"
            cases = "1 case" if result.refused == 1 else f"{result.refused} cases"
            typer.echo(f"{cases} left out{f': {table}' if table.exists() else ', without a score'}")
        typer.echo(f"Report: {result.folder / 'report.html'}")


def comparison(result: Compared, *, as_json: bool, quiet: bool) -> None:
    """The paired differences, and where the page lies."""
    if as_json:
        _json({"folder": str(result.folder), "comparison": result.document})
        return
    if quiet:
        return
    for pair in result.document["comparisons"]:
        typer.echo(
            f"{pair['first']} against {pair['second']}: {pair['n_cases']} cases of {pair['n_patients']} patients"
        )
        for one in pair["differences"]:
            name = f"{one['figure']} {one['label'] or ''}".strip()
            difference, p_value = (
                one["difference"],
                one["p_adjusted"] if one["p_adjusted"] is not None else one["p_value"],
            )
            if difference["value"] is None:
                typer.echo(f"  {name:28} not estimable: {difference['reason']}")
                continue
            limits = f"({difference['low']:+.3f} to {difference['high']:+.3f})"
            shown = "" if p_value is None else f"  p {p_value:.4f}"
            typer.echo(f"  {name:28} {difference['value']:+.3f}  {limits}{shown}")
    typer.echo(f"Page: {result.folder / 'compare.html'}")


def explanations(result: Explanations, *, as_json: bool, quiet: bool) -> None:
    """The files of each explained scan."""
    if as_json:
        explained = [
            {
                "scan": one.name,
                "label": one.label,
                "picture": str(one.picture),
                "map": str(one.map),
                "peak": one.peak,
                "notes": list(one.notes),
            }
            for one in result.explained
        ]
        refused = [{"scan": one.name, "code": one.code, "reason": one.reason} for one in result.refused]
        _json({"explained": explained, "refused": refused})
    elif not quiet:
        _table(["scan", "label", "picture"], [[one.name, one.label, one.picture.name] for one in result.explained])
        for one in result.refused:
            typer.echo(f"refused: {one.name}: {one.code}: {one.reason}")
        typer.echo(f"{len(result.explained)} explained, {len(result.refused)} refused: {result.folder}")


def checks(found: Sequence[Check], *, as_json: bool) -> None:
    """What the doctor found, and how to mend it."""
    if as_json:
        _json([asdict(check) for check in found])
        return
    for check in found:
        mark = "ok" if check.ok else "MEND" if check.needed else "-"
        typer.echo(f"{mark:>5}  {check.name:22} {check.found}{'. ' + check.remedy if check.remedy else ''}")
    ready = all(check.ok for check in found if check.needed)
    typer.echo("Ready." if ready else "Not ready: see the lines marked MEND.")


def _figures(name: str, metrics: Mapping[str, Any]) -> None:
    typer.echo(f"{name}: {metrics['n_cases']} cases of {metrics['n_patients']} patients ({metrics['averaging']})")
    for figure in _FIGURES:
        estimate = metrics[figure]
        if estimate["value"] is None:
            typer.echo(f"  {figure:18} not estimable: {estimate['reason']}")
        else:
            typer.echo(f"  {figure:18} {estimate['value']:.3f}  ({estimate['low']:.3f} to {estimate['high']:.3f})")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
