"""What became of the tensors of a weights file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors of a file fitted a network.

    Names are those of the network, but for ``unused``, which has the file's own.

    Attributes:
        source: The file's name, without its folder.
        layout: How its tensors are named, as ``torchvision DenseNet``.
        sha256: Hash of the file, as hexadecimal digits.
        loaded: Tensors taken as they are.
        adapted: Tensors that were changed to fit, with what was done.
        missing: Tensors of the network that keep the values they had.
        unused: Tensors of the file that the network has no place for.
    """

    source: str
    layout: str
    sha256: str
    loaded: tuple[str, ...]
    adapted: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line: how many tensors were loaded, adapted, left and not used."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.adapted:
            parts.append(f"{len(self.adapted)} adapted ({'; '.join(dict.fromkeys(how for _, how in self.adapted))})")
        if self.missing:
            heads = all(name.startswith("head.") for name in self.missing)
            parts.append("the last layer starts afresh" if heads else f"{len(self.missing)} left as initialised")
        if self.unused:
            parts.append(f"{len(self.unused)} of the file not used")
        return f"weights {self.source} ({self.layout}, sha256 {self.sha256[:12]}): {', '.join(parts)}"
