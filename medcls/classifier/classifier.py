"""Classifier: the trained artefact. From scans to predictions and maps, and to a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from medcls.classifier.model import TrainedModel
from medcls.classifier.predict import predict_paths
from medcls.classifier.predictions import predictions_table
from medcls.classifier.saving import save_classifier
from medcls.errors import UsageError
from medcls.files import as_path
from medcls.privacy import Pseudonyms, load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.scans import Scan, find_one, read_scan
from medcls.values.map_methods import MapChoice, MapMethodName

if TYPE_CHECKING:
    import pandas as pd

    from medcls.explanation import Explanation


class Classifier(TrainedModel):
    """A trained classifier; what it consists of is said in :class:`medcls.classifier.model.TrainedModel`."""

    def predict(
        self,
        scans: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        batch_size: int = 16,
        pseudonyms: Pseudonyms | None = None,
        progress: Progress = SILENT,
    ) -> pd.DataFrame:
        """Predict every scan at a path: a file, or a folder of any depth; or at each of several paths.

        Returns:
            A row for each scan found: ``scan``; ``patient``, ``accession``, ``study``, ``series`` and ``instance``, as the
            pseudonyms have them, where the header says them; ``status`` (``answered`` or ``refused``),
            ``predicted``, ``p_LABEL`` for each label, ``prediction_set``, ``refer``, ``unlike_training`` (in what the scan
            is far from those of the training), ``slices`` (of a 2-D network over slices, the numbers from 0 of those that
            counted most, by the scan's own axis), ``code`` and ``reason`` of a refusal, ``notes``.

        Examples:
            >>> import medcls
            >>> table = medcls.load("runs/lung").predict("scans/image23.png")
            >>> list(table["predicted"]), round(float(table["p_ill"][0] + table["p_well"][0]), 6)
            (['ill'], 1.0)
        """
        # A table would be taken for the names of its columns, and is no list of paths.
        one = isinstance(scans, str | os.PathLike) or not isinstance(scans, Iterable) or getattr(scans, "ndim", 1) != 1
        paths = [as_path(path, "a scan") for path in (cast(Any, [scans] if one else scans))]
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} scans is none", remedy="Set batch_size to 1 or more")
        names = pseudonyms or load_pseudonyms(progress=progress)
        rows = predict_paths(self, paths, names, batch_size=batch_size, progress=progress)
        return predictions_table(rows, self.labels)

    def explain(
        self,
        scan: str | os.PathLike[str] | Scan,
        label: str | None = None,
        *,
        method: MapMethodName = "grad-cam",
        layer: str | None = None,
        progress: Progress = SILENT,
    ) -> Explanation:
        """What argued for a label: a map in the scan's own space.

        Args:
            scan: A scan, or the path of one.
            label: The label to argue for; by default the one with the highest probability, or for two labels the
                positive one.
            method: What makes the map: ``grad-cam``, ``grad-cam++``, ``hirescam``, ``layercam``, ``score-cam``,
                ``integrated-gradients``, ``smoothgrad``, ``occlusion``, ``lime`` or ``kernel-shap``.
            layer: Of the methods up to ``score-cam``, the block of the network to look at, as ``block3``; by default the last.
            progress: Where to say how far a long one is.

        Raises:
            UsageError: The classifier has no such label, there is no such method, or it looks at no such layer.
            ScanRefused: The scan cannot be read, or does not fit the recipe.
        """
        self.check_label(label)
        by = MapChoice(method, layer)
        if isinstance(scan, Scan):
            loaded = self.recipe.taken(scan)
        else:
            loaded = read_scan(self.recipe.taken(find_one(scan, leniency=self.leniency)), leniency=self.leniency)
        prepared = self.recipe.prepare(loaded)
        if label is None:
            label = self.label_to_explain(self.prediction(next(iter(self.logits([prepared])))))
        return self.explain_prepared(loaded, prepared, label, by, progress)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``weights.safetensors`` and ``classifier.json``; see :mod:`medcls.classifier.saving`."""
        save_classifier(self, folder)
