"""Documents beside a report: filled checklists and the model card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medcls.bounded import JSON_BYTES, read_bounded, read_json
from medcls.config import Config
from medcls.files import write_text
from medcls.networks.families import family_of
from medcls.reporting.blocks import Section
from medcls.reporting.checklists import FILES, filled_checklists, markdown
from medcls.reporting.checklists.filling import checklists_section
from medcls.reporting.content import ReportContent
from medcls.reporting.documents.model_card import model_card
from medcls.reporting.record import Origin, Record
from medcls.reporting.report import write_report
from medcls.runs.changed_files import write_sums

CHECKLISTS = "checklists"
MODEL_CARD = "model-card.md"


def write_documents(
    folder: Path,
    content: ReportContent,
    config: Config,
    provenance: Mapping[str, Any],
    classifier: Path,
    origin: Origin,
    closing: Sequence[Section] = (),
) -> None:
    """Write ``checklists/``, ``model-card.md``, the sums of what was written and, last, ``report.html``.

    Args:
        folder: Where they go.
        content: What stands in the report.
        config: The resolved config.
        provenance: The classifier's.
        classifier: The classifier's folder, for its hash.
        origin: How the classifier was made.
        closing: Further sections of the report, before the checklists.
    """
    record = Record(content, config, _hashes(provenance, classifier), origin, family_of(config.model.name).kind)
    filled = filled_checklists(record)
    for name, one in zip(FILES, filled, strict=True):
        write_text(folder / CHECKLISTS / name, markdown(one, content.title))
    write_text(folder / MODEL_CARD, model_card(record))
    write_sums(folder)
    write_report(folder / "report.html", content, (*closing, checklists_section(filled)))


def _hashes(provenance: Mapping[str, Any], classifier: Path) -> dict[str, str]:
    hashes = {name: str(provenance.get(f"{name}_sha256") or "") for name in ("cohort", "config")}
    description = classifier / "classifier.json"
    if description.is_file():
        hashes["classifier.json"] = hashlib.sha256(read_bounded(description, JSON_BYTES)).hexdigest()
        hashes["weights.safetensors"] = str(read_json(description).get("weights_sha256") or "")
    return {name: value for name, value in hashes.items() if value}
