"""What became of the tensors of a weights file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from medcls.networks.pretrained.record import PretrainingRecord


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
        named: The source that it was named by, as ``imagenet``; empty: it was named by its path.
        place: Where it was, in words without a path.
        licence: Under which it was published; empty: not known.
        trained_on: What the weights were trained on; empty: not known.
        remark: What whoever uses them must know besides.
        images: What is done with images, where the weights were trained with normalised ones; empty: it is not known.
        record: What weights of medcls' own pretraining saw; ``None`` of others.
    """

    source: str
    layout: str
    sha256: str
    loaded: tuple[str, ...]
    adapted: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    named: str = ""
    place: str = ""
    licence: str = ""
    trained_on: str = ""
    remark: str = ""
    images: str = ""
    record: PretrainingRecord | None = field(default=None, repr=False)

    def recorded(self, record: PretrainingRecord | None, values: str) -> WeightsReport:
        """The same with what the file says of its pretraining, for images of these values."""
        if record is None:
            return self
        remark = "; ".join(filter(None, (self.remark, record.remark(values))))
        return replace(self, trained_on=record.in_words, remark=remark, record=record)

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
        if self.record:
            parts.append(f"pretrained on {self.record.in_words}")
        if self.remark:
            parts.append(self.remark)
        if self.images:
            parts.append(self.images)
        origin = f" from {self.place}" if self.place else ""
        return f"weights {self.source}{origin} ({self.layout}, sha256 {self.sha256[:12]}): {', '.join(parts)}"

    def to_json(self) -> dict[str, str]:
        """What a reader of the classifier should know; of a file that was named by its path neither path nor name."""
        known = {
            "source": self.named,
            "file": self.source if self.named else "",
            "place": self.place,
            "licence": self.licence,
            "trained_on": self.trained_on,
            "remark": self.remark,
            "sha256": self.sha256,
        }
        return {key: value for key, value in known.items() if value}
