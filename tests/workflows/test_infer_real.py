"""A folder of everything: real DICOM series of many vendors and real NIfTI volumes, a row for each scan."""

from __future__ import annotations

from pathlib import Path

import torch

from medcls.classifier import Classifier, load_classifier
from medcls.config import load_config
from medcls.config.settings import ModelSettings
from medcls.evaluation import OperatingPoint, Temperature
from medcls.evaluation.thresholds.operating_point import Threshold
from medcls.networks import build_network
from medcls.preprocessing import build_recipe
from medcls.privacy import Pseudonyms
from medcls.scans import RefusalCode, find_scans
from medcls.values.label_space import LabelSpace
from medcls.workflows.commands.infer import infer

torch.set_num_threads(1)


def untrained() -> Classifier:
    config = load_config(
        None,
        (),
        {"region": "generic", "preprocessing": {"kind": "other", "channels": 1, "dimensions": 2, "size": [48, 48]}},
    )
    torch.manual_seed(0)
    model = ModelSettings(name="resnet10")
    space = LabelSpace(("inflammation", "normal"), "inflammation")
    return Classifier(
        network=build_network(model, dimensions=2, channels=1, classes=2).eval(),  # type: ignore[arg-type]
        model=model,
        recipe=build_recipe(config.region, config.preprocessing),
        space=space,
        calibration=Temperature("softmax", (1.0,), "none"),
        operating_point=OperatingPoint(space, "youden", (Threshold("inflammation", 0.5, None, None),), "none", ""),
    )


def test_a_row_for_every_scan_none_wrong_none_forgotten(shared_data: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name in ("dicom", "nifti"):
        (mixed / name).symlink_to(shared_data / name, target_is_directory=True)
    untrained().save(tmp_path / "classifier")
    classifier = load_classifier(tmp_path / "classifier")
    result = infer(classifier, mixed, tmp_path / "out", Pseudonyms(b"key" * 11))

    found = find_scans(mixed)
    names = [row.scan for row in result.rows]
    assert len(names) == len(set(names)) == len(found.scans) + len(found.refused)
    assert set(names) == {one.name for one in (*found.scans, *found.refused)}
    files = {path for one in (*found.scans, *found.refused) for path in one.paths} | set(found.ignored)
    on_disk = {path for path in mixed.rglob("*") if path.is_file()}
    on_disk |= {path for link in mixed.iterdir() for path in link.rglob("*") if path.is_file()}
    assert files == on_disk

    refused = {row.scan: row.code for row in result.rows if row.prediction is None}
    assert set(refused.values()) <= set(RefusalCode)
    assert refused["dicom/ct_head_phantom_gantrytilt_GE"] == "uneven-spacing"
    assert refused["nifti/pcasl.nii.gz"] == "four-dimensional"
    assert result.answered >= 100

    predictions = {row.scan: row.prediction for row in result.rows if row.prediction is not None}
    for syntax in ("J2KR", "JLSL", "JPLL", "RLE"):  # lossless: the same picture, so the same answer
        for image in ("CT1", "MR2", "NM1", "XA1"):
            twin = predictions[f"dicom/wg04/REF/{image}_UNC.dcm"]
            assert predictions[f"dicom/wg04/{syntax}/{image}_{syntax}.dcm"] == twin
