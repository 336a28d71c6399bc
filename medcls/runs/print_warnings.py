"""What a reader must mind, said on the terminal as the report says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcls.progress import Progress


def say_what_to_mind(warnings: Sequence[str], metrics: Mapping[str, Any], progress: Progress) -> None:
    """Say the warnings of a report, and what its figures themselves warn of, each once.

    Args:
        warnings: As the report has them.
        metrics: The judged partition's, as in ``metrics.json``.
        progress: Where to say it.
    """
    for warning in dict.fromkeys((*warnings, *metrics["notes"])):
        progress.note(f"  warning: {warning}")
