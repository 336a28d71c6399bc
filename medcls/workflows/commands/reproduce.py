"""``reproduce``: train a run again from its folder, and say of every number whether it came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medcls.bounded import read_json
from medcls.errors import RunError
from medcls.files import reading_kept
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.blocks import Block, Section
from medcls.reporting.text.numbers import counted
from medcls.runs.folder import Run, new_run
from medcls.runs.reproduction import Difference, Reproduction, compare_runs, write_reproduction
from medcls.runs.run_tables import read_partitions
from medcls.workflows.commands.train import looked_over, make_ready, train_prepared
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.resume import how_it_went_on


@dataclass(frozen=True)
class Reproduced:
    """A run that was trained again.

    Attributes:
        run: The new run.
        found: What came back.
    """

    run: Run
    found: Reproduction


def reproduce_run(first: Run, *, name: str | None = None, progress: Progress = SILENT) -> Reproduced:
    """Train a finished run again from its config, cases and seeds, beside it, and compare.

    Args:
        first: The run.
        name: Name of the new run; by default that of the first with ``-again``, with a number when it is taken.
        progress: Where to say how far it is.

    Raises:
        RunError: The run is not finished, its data or its key are not at hand, or its cases or partitions are others now.
        MedclsError: As :func:`medcls.workflows.commands.train.train_run`.
    """
    config = first.load_config()
    _check_finished(first)
    compare_runs(first, first)  # what is damaged in it is said before the training, not after
    new = new_run(first.path.parent, name or f"{first.name}-again", exact=name is not None)
    config = config.model_copy(update={"runs": first.path.parent, "name": new.name})
    compared: list[Reproduction] = []

    def closing(run: Run) -> Sequence[Section]:
        compared.append(compare_runs(first, run, tuple(_beside(first, run))))
        write_reproduction(run, compared[0])
        text = tuple(compared[0].sentences())
        return (Section("reproduction", "Trained again", "Trained again", (Block(text=text),)),)

    with looked_over(config, new.name, progress) as labels:
        session, cases = make_ready(config, labels, progress)
        _check_cases(first, cases, session.pseudonyms)
        train_prepared(replace(new, closing=closing), cases, session)
    return Reproduced(Run(new.path), compared[0])


def _check_finished(run: Run) -> None:
    if not run.is_finished:
        raise run.unfinished("report")
    for needed in (run.predictions_file, run.path / "cohort.csv"):
        if not needed.exists():
            raise run.unfinished(needed.name)


def _check_cases(run: Run, cases: Material | FoldPlan, pseudonyms: Pseudonyms) -> None:
    """The run's cases must be there, on their sides; images that are others are told, and trained on."""
    kept = read_partitions(run.path / "cohort.csv")
    material = cases.material if isinstance(cases, FoldPlan) else cases
    now = {pseudonyms.case(case.name): case.partition for case in material.cohort.cases}
    where, of = str(run.path / "cohort.csv"), f"of the run's {counted(len(kept), 'case')}"
    if not kept.keys() & now.keys():
        remedy = "Name the file with the run's key as privacy.key_file in its config.yaml, or restore the table"
        raise RunError(
            f"none {of} is found: the key of the pseudonyms or the table is another", where=where, remedy=remedy
        )
    gone, come = kept.keys() - now.keys(), now.keys() - kept.keys()
    if gone or come:
        remedy = f"'medcls whose CODE --run {run.path}' says which scan a code is; restore the scans and the table"
        example = min(gone or come)
        what = (
            f"{len(gone)} {of} cannot be read any more" if gone else f"{len(come)} cases are new beside those {of[3:]}"
        )
        raise RunError(f"{what}, for example {example}", where=where, remedy=remedy)
    moved = sum(now[case] != partition for case, partition in kept.items())
    if moved:
        raise RunError(f"{moved} {of} are in another partition now", where=where, remedy="Restore the table of cases")


def _beside(first: Run, again: Run) -> list[Difference]:
    """Why two trainings differ though all that their folders name is the same."""
    found = [Difference("training", said, "at one go") for said in how_it_went_on(first.path)]
    with reading_kept(again.path / "environment.json"):
        on_cuda = str(read_json(again.path / "environment.json")["device"]).startswith("cuda")
    if on_cuda and not again.load_config().train.deterministic:
        found.append(Difference("train.deterministic", "false", "false, so operations on CUDA are not repeatable"))
    return found
