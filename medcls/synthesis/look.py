"""Look: what may be turned about the pictures of a synthetic cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from medcls.synthesis.lesion import Lesion


@dataclass(frozen=True)
class Probed:
    """How large the pictures are and how hard the lesions are to see.

    Attributes:
        size: Voxels or pixels along one side; what it counts differs by region.
        difficulty: 0 (plain to see) to 1 (barely there).
    """

    size: int
    difficulty: float

    @property
    def lesion_scale(self) -> float:
        """Factor on a lesion's size."""
        return 1.9 - 1.3 * self.difficulty

    @property
    def lesion_contrast(self) -> float:
        """Factor on a lesion's contrast, 1 at its strongest."""
        return 1.0 - 0.65 * self.difficulty

    @property
    def noise_scale(self) -> float:
        """Factor on the noise."""
        return 0.7 + self.difficulty


@dataclass(frozen=True)
class WrittenCase:
    """One case that has been written.

    Attributes:
        name: The case's name.
        scan: Its file or folder, from the cohort's folder.
        age: Age in years at the study.
        lesion: The planted lesion, if there is one.
    """

    name: str
    scan: PurePosixPath
    age: int
    lesion: Lesion | None
