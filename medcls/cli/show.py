"""What a person, or a program with ``--json``, is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from medcls.cli.screen import say, say_json, say_table
from medcls.scans.core.notes import Note, note_code
from medcls.values.caution import leakage

if TYPE_CHECKING:
    from medcls.classifier import Row
    from medcls.runs.evaluation_result import EvaluationResult
    from medcls.runs.explanation_files import Explanations
    from medcls.runs.folder import Run
    from medcls.scores.comparison.compare import Compared
    from medcls.values import documents
    from medcls.workflows.commands.check import Readiness
    from medcls.workflows.commands.doctor import Check
    from medcls.workflows.commands.infer import Inference
    from medcls.workflows.commands.reproduce import Reproduced
    from medcls.workflows.commands.whose import LedBack
    from medcls.workflows.reporting.figure_files import FigureFiles
    from medcls.workflows.searching.tune import Tuned

_FIGURES = ("auc", "sensitivity", "specificity", "balanced_accuracy", "accuracy", "ppv", "npv", "f1", "brier")
_MOST_ROWS = 40
_REASONS = 3  # of which the screen says why a scan is unlike those of the training


def run(finished: Run, *, as_json: bool, quiet: bool) -> None:
    """Where a finished run is, and its metrics on test."""
    metrics = finished.metrics
    if as_json:
        say_json({"run": str(finished.path), "report": str(finished.report_file), "metrics": metrics})
    elif not quiet:
        _mark_leakage(finished)
        for name in ("pooled", "test"):
            if name in metrics:
                _estimates(name, metrics[name])
            if name == "pooled" and name in metrics:
                _within_folds(metrics["per_fold"]["auc_within_folds"])
        say(f"Report: {finished.report_file}")


def readiness(found: Readiness, *, as_json: bool, quiet: bool) -> None:
    """What would be trained, line by line; what stops it has been said as an error."""
    if as_json:
        say_json(found.to_json())
        return
    if quiet:
        return
    for name, said in found.facts():
        say(f"{name:10}  {said}")
    for caution in found.cautions:
        say(f"warning: {caution}")
    say("Ready: nothing that can be known before the first step stops this training.")


def tuned(result: Tuned, *, as_json: bool, quiet: bool) -> None:
    """The best trial, where all of them are, and the run that was trained with it."""
    if as_json:
        trials = [{**asdict(one), "auc": one.auc} for one in result.search.trials]
        run_json = {"run": str(result.run.path), "metrics": result.run.metrics}
        say_json({**run_json, "folder": str(result.search.folder), "best": result.best.number, "trials": trials})
    elif not quiet:
        say(f"Best of {len(result.search.trials)} trials: {result.best.number}, {result.best.in_words()}")
        say(f"All of them: {result.search.folder / 'tuning.md'}")
        run(result.run, as_json=False, quiet=False)


def reproduction(result: Reproduced, *, as_json: bool, quiet: bool) -> None:
    """Whether a run came back, and what differs."""
    if as_json:
        say_json({"run": str(result.run.path), **result.found.to_json()})
    elif not quiet:
        for sentence in result.found.sentences():
            say(sentence)
        say(f"All of it: {result.run.path / 'reproduction.json'}")


def inference(result: Inference, *, as_json: bool, quiet: bool) -> None:
    """A line for each scan, and where the tables are."""
    if as_json:
        say_json(result.to_json())
        return
    if quiet:
        return
    rows = []
    for row in result.rows[:_MOST_ROWS]:
        if row.prediction is None:
            rows.append([row.scan, "refused", row.code, "", ""])
        else:
            probabilities = zip(result.labels, row.prediction.probabilities, strict=True)
            shown = "  ".join(f"{label} {probability:.3f}" for label, probability in probabilities)
            warnings = [word for word, so in (("refer", row.prediction.refer), ("unlike training", row.unlike)) if so]
            warnings += ["trained on"] * any(note_code(note) == Note.TRAINED_ON for note in row.notes)
            rows.append(
                [
                    row.scan,
                    "; ".join(row.prediction.predicted) or "none",
                    shown,
                    ", ".join(warnings),
                    row.prediction.top_slices,
                ]
            )
    header = ["scan", "prediction", "probabilities", "warnings", "slices"]
    shown_columns = len(header) if any(row[-1] for row in rows) else len(header) - 1
    say_table(header[:shown_columns], [row[:shown_columns] for row in rows])
    if len(result.rows) > _MOST_ROWS:
        say(f"… and {len(result.rows) - _MOST_ROWS} more")
    for cut in result.operating_point.cuts:
        say(f"'{cut.label}' is predicted from a probability of {cut.value:.4g}")
    _what_to_know(result)
    say(f"{result.answered} predicted, {result.refused} refused: {result.folder / 'predictions.csv'}")


def _what_to_know(result: Inference) -> None:
    """Why scans were refused, what was noted of others, which a reader should decide, and which are far from the training's."""
    _refusals([row for row in result.rows if row.prediction is None])
    noted = {(row.scan, note.partition(": ")[0]): note.partition(": ")[2] for row in result.rows for note in row.notes}
    for one in (one for one in result.notes if one.what != Note.TRAINED_ON):  # that has a line of its own
        words = noted[one.example, one.what]
        say(f"{one.of_a_note}{f': {words}' if words else ''}")
    if not result.answered:
        return
    if result.to_refer:
        example = next(row.scan for row in result.rows if row.prediction is not None and row.prediction.refer)
        say(
            f"REFER: {result.to_refer} of {result.answered} scans with a prediction should be decided by a reader, "
            f"for example {example}"
        )
    known = result.familiar
    if known is None:
        say(
            "It is not known whether these scans are like those of the training: the classifier keeps nothing of "
            "them, for an older medcls made it. Train it again to have it told"
        )
    elif result.unlike:
        first = result.unlike[0]
        found = first.unlike or ()
        why = "; ".join(found[:_REASONS]) + ("; …" if len(found) > _REASONS else "")
        own = f" (of {known.n_checked} tune cases of the training {known.n_far} do)" if known.n_checked else ""
        say(
            f"warning: {len(result.unlike)} of {result.answered} scans with a prediction are far from those of the "
            f"training{own}, so their predictions are worth little; for example {first.scan}: {why}"
        )


def led_back(led: LedBack, *, as_json: bool) -> None:
    """A line for each scan that a code stands for."""
    if as_json:
        found = {code: [place.to_json() for place in places] for code, places in led.found.items()}
        say_json({"found": found, "failed": {text: str(error) for text, error in led.failed.items()}})
        return
    for code, places in led.found.items():
        for place in places:
            say(f"{code}: {place}")


def evaluation(result: EvaluationResult, *, as_json: bool, quiet: bool) -> None:
    """The metrics of an evaluation, and where its report is."""
    if as_json:
        value = {"folder": str(result.folder), "metrics": {result.name: result.metrics}}
        say_json(value if result.comparison is None else {**value, "comparison": result.comparison})
    elif not quiet:
        for warning in result.warnings:
            if warning.is_leakage:
                say(str(warning))
        _estimates(result.name, result.metrics, scores=result.scores)
        if result.comparison is not None:
            _differences(result.comparison)
            say(f"Comparison: {result.folder / 'compare.html'}")
        if result.refused:
            table = result.folder / "excluded.csv"
            cases = "1 case" if result.refused == 1 else f"{result.refused} cases"
            say(f"{cases} left out{f': {table}' if table.exists() else ', without a score'}")
        say(f"Report: {result.folder / 'report.html'}")


def comparison(result: Compared, *, as_json: bool, quiet: bool) -> None:
    """The paired differences, and where the page is."""
    if as_json:
        say_json({"folder": str(result.folder), "comparison": result.document})
        return
    if quiet:
        return
    _differences(result.document)
    say(f"Page: {result.folder / 'compare.html'}")


def explanations(result: Explanations, *, as_json: bool, quiet: bool) -> None:
    """The files of each explained scan, and where the table is that says which is whose."""
    if as_json:
        say_json({"folder": str(result.folder), **result.to_json()})
    elif not quiet:
        shown = [[one.name, one.label, f"{one.probability:.3f}", one.picture.name] for one in result.explained]
        say_table(["scan", "label", "probability", "picture"], shown[:_MOST_ROWS])
        if len(shown) > _MOST_ROWS:
            say(f"… and {len(shown) - _MOST_ROWS} more")
        for said, count in Counter(f"{one.method}: {one.resolution}" for one in result.explained).most_common(1):
            of = len(result.explained)
            say(said if count == of else f"{said}, in {count} of {of} scans; others differ")
        _refusals(result.refused)
        table = result.folder / "explanations.csv"
        say(f"{len(result.explained)} explained, {len(result.refused)} refused: {table}")


def _refusals(rows: Sequence[Row]) -> None:
    """Why scans were refused, each code once."""
    from medcls.runs.tallies import tally

    reasons = {row.scan: row.reason for row in reversed(rows)}
    for one in tally((row.code, row.scan) for row in rows):
        say(f"{one.count} refused as {one.what}, for example {one.example}: {reasons[one.example]}")


def figure_files(written: FigureFiles, *, as_json: bool, quiet: bool) -> None:
    """The files of figures, and what they are of."""
    if as_json:
        say_json({"folder": str(written.folder), "of": written.of, "figures": [str(one) for one in written.figures]})
    elif not quiet:
        for one in written.figures:
            say(one.name)
        say(
            f"{len(written.figures)} figures of '{written.of}', each beside a CSV table of its numbers: {written.folder}"
        )


def checks(found: Sequence[Check], *, as_json: bool) -> None:
    """What the doctor found, and how to mend it."""
    if as_json:
        say_json([asdict(check) for check in found])
        return
    for check in found:
        mark = "ok" if check.ok else "MEND" if check.needed else "-"
        say(f"{mark:>5}  {check.name:22} {check.found}{'. ' + check.remedy if check.remedy else ''}")
    ready = all(check.ok for check in found if check.needed)
    say("Ready." if ready else "Not ready: see the lines marked MEND.")


def _mark_leakage(finished: Run) -> None:
    from medcls.workflows.data.leakage_audit import allowed_at_training

    allowed = allowed_at_training(finished.path)
    if allowed is not None:
        say(str(leakage(f"patients or images are on two sides, which was allowed: {allowed}")))


def _differences(document: Mapping[str, Any]) -> None:
    """What to mind, then each pair of models: first minus second, with its interval and p-value."""
    from medcls.reporting.text.numbers import counted

    for note in document["notes"]:
        say(f"warning: {note}")
    for model in document["models"]:
        if model["operating_point"]["exploratory"]:
            say(f"EXPLORATORY: the threshold of {model['name']} was chosen on the very cases that it is evaluated on")
    several = len(document["comparisons"]) > 1  # then p-values are adjusted
    for pair in document["comparisons"]:
        who = f"{counted(pair['n_cases'], 'case')} of {counted(pair['n_patients'], 'patient')}"
        say(f"{pair['first']} against {pair['second']}, first minus second: {who}")
        for one in pair["differences"]:
            name = f"{one['figure']} {one['label'] or ''}".strip()
            difference = one["difference"]
            if difference["value"] is None:
                say(f"  {name:28} not estimable: {difference['reason']}")
                continue
            limits = f"({difference['low']:+.3f} to {difference['high']:+.3f})"
            shown = _p_value(one["p_adjusted"], " adjusted") if several else _p_value(one["p_value"])
            say(f"  {name:28} {difference['value']:+.3f}  {limits}{shown}")


def _p_value(value: float | None, how: str = "") -> str:
    if value is None:
        return ""
    return f"  p{how} < 0.0001" if value < 0.0001 else f"  p{how} {value:.4f}"


def _estimates(name: str, metrics: Mapping[str, Any], *, scores: bool = False) -> None:
    from medcls.reporting.text.numbers import counted
    from medcls.reporting.text.operating_point import decision_sentences, exploratory_banner

    document = cast("documents.Partition", metrics)
    banner = exploratory_banner(document)
    if banner:
        say(f"EXPLORATORY: {banner}")
    who = f"{counted(metrics['n_cases'], 'case')} of {counted(metrics['n_patients'], 'patient')}"
    say(f"{name}: {who} ({metrics['averaging']})")
    for metric in _FIGURES:
        estimate = metrics[metric]
        if estimate["value"] is None:
            say(f"  {metric:18} not estimable: {estimate['reason']}")
        else:
            say(f"  {metric:18} {estimate['value']:.3f}  ({estimate['low']:.3f} to {estimate['high']:.3f})")
    for sentence in decision_sentences(document, metrics["operating_point"]["multilabel"], scores=scores):
        say(sentence.replace("\u00a0", " "))


def _within_folds(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The AUC of cases that the same fold held out, which no scale of another fold's probabilities disturbs."""
    shown = [
        f"{label} {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
        if one["value"] is not None
        else f"{label} not estimable: {one['reason']}"
        for label, one in found.items()
    ]
    say(f"AUC within folds: {', '.join(shown)}")
