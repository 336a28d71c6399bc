"""What every step of a verb is told: the config, how patients are called, and where to say how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from medcls.config import Config
from medcls.privacy import Pseudonyms
from medcls.progress import Progress


@dataclass(frozen=True)
class Session:
    """What every step of a verb is told.

    Attributes:
        config: The resolved config.
        pseudonyms: For everything that is written.
        progress: Where to say how far it is.
    """

    config: Config
    pseudonyms: Pseudonyms
    progress: Progress

    @classmethod
    def of(cls, config: Config, progress: Progress) -> Session:
        """With the pseudonyms that the config asks for."""
        return cls(config, config.privacy.pseudonyms(progress=progress), progress)
