"""A series of which parts were not found says so, by what its headers count; a whole one says nothing."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from medcls.errors import ScanRefused
from medcls.scans import Leniency, find_scans, read_scan
from tests.factories.dicom import MR, enhanced, save, save_all, slices
from tests.factories.series_groups import groups_of

COUNTS = {
    "NumberOfSeriesRelatedInstances": "files",
    "ImagesInSeries": "images",
    "ImagesInAcquisition": "images",
    "NumberOfSlices": "slices",
}


def notes_of(folder, **options):
    return [note for note in read_scan(folder, leniency=Leniency(**options)).notes if note.startswith("incomplete: ")]


def series(count, first=1, **changes):
    uptake = {"Modality": "PT", "Units": "GML", "RescaleSlope": 1, "RescaleIntercept": 0}
    made = slices([2.0 * number for number in range(count)], SOPClassUID=MR, **uptake, **changes)
    for number, dataset in enumerate(made, start=first):
        dataset.InstanceNumber = number
    return made


@pytest.mark.parametrize("keyword", COUNTS)
def test_fewer_images_than_the_header_counts_are_noted_or_refused(tmp_path, keyword):
    save_all(series(6, **{keyword: 24}), tmp_path / "part")
    assert notes_of(tmp_path / "part") == [f"incomplete: 6 of 24 {COUNTS[keyword]} are here"]
    with pytest.raises(ScanRefused) as refused:
        read_scan(tmp_path / "part", leniency=Leniency(on_part="error"))
    assert refused.value.code == "incomplete"
    assert refused.value.remedy
    save_all(series(6, **{keyword: 6}), tmp_path / "whole")
    assert read_scan(tmp_path / "whole", leniency=Leniency(on_part="error")).notes == ()


def test_a_count_of_slices_is_believed_of_nuclear_medicine_alone(tmp_path):
    made = series(6, NumberOfSlices=17)
    for dataset in made:
        dataset.Modality = "MR"
    save_all(made, tmp_path)
    assert notes_of(tmp_path, on_part="error") == []


def test_each_acquisition_has_its_own_count(tmp_path):
    made = series(8)
    for number, dataset in enumerate(made):
        dataset.AcquisitionNumber, dataset.ImagesInAcquisition = number // 4, 4
    save_all(made, tmp_path / "whole")
    assert notes_of(tmp_path / "whole", on_part="error") == []
    save_all(made[:-1], tmp_path / "part")
    assert notes_of(tmp_path / "part") == ["incomplete: 3 of 4 images are here"]


def test_what_lies_in_another_folder_is_not_missing(tmp_path):
    for time in (1, 2):
        save_all(series(5, NumberOfSeriesRelatedInstances=10, AcquisitionNumber=time), tmp_path / f"time{time}")
    found = find_scans(tmp_path, leniency=Leniency(on_part="error"))
    assert [scan.notes for scan in found.scans] == [(), ()]


def test_time_points_that_were_lost_are_counted(tmp_path):
    made = []
    for time in (1, 2):
        made += series(4, 4 * time - 3, TemporalPositionIdentifier=time, NumberOfTemporalPositions=3)
    save_all(made, tmp_path)
    notes = [scan.notes for scan in find_scans(tmp_path).scans]
    assert notes == [("incomplete: 2 of 3 time points are here",)] * 2


@pytest.mark.parametrize(
    ("numbers", "note"),
    [
        ([1, 2, 3, 4, 5, 6], ""),
        ([0, 1, 2, 3, 4, 5], ""),
        ([8, 9, 10, 11, 12, 13], "instance numbers begin at 8"),
        ([1, 2, 3, 5, 6, 7], "1 of the instance numbers from 1 to 7 are not here"),
        ([1, 3, 5, 7, 9, 11], ""),  # every other one: another volume has the others, or nobody
        ([4, 40, 900, 17, 3, 55], ""),
        ([1, 1, 1, 1, 1, 1], ""),
        ([7, 7, 8, 8, 9, 9], ""),
    ],
)
def test_numbers_of_instances_tell_where_no_count_does(tmp_path, numbers, note):
    made = series(6)
    for number, dataset in zip(numbers, made, strict=True):
        dataset.InstanceNumber = number
    save_all(made, tmp_path / "bare")
    assert notes_of(tmp_path / "bare") == ([f"incomplete: {note}"] if note else [])
    for dataset in made:
        dataset.ImagesInAcquisition = 6
    save_all(made, tmp_path / "counted")
    assert notes_of(tmp_path / "counted") == []


def test_a_single_slice_is_asked_for_nothing(tmp_path):
    save_all(series(6, ImagesInAcquisition=24), tmp_path)
    assert notes_of(tmp_path / "I0002", on_part="error") == []


# Enhanced objects


def part_of_concatenation(first, count, number, total):
    import numpy as np

    dataset = enhanced([np.full((count, 3, 4), 7, np.uint16)])
    for offset, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        groups.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 2.0 * (first + offset)]
    dataset.ConcatenationUID, dataset.InConcatenationNumber = "1.2.77", number
    if total:
        dataset.InConcatenationTotalNumber = total
    return dataset


def test_the_files_of_a_concatenation_are_one_volume_and_a_lost_one_is_missed(tmp_path):
    parts = [part_of_concatenation(4 * number, 4, number + 1, 3) for number in range(3)]
    save_all(parts, tmp_path / "whole")
    whole = read_scan(tmp_path / "whole", leniency=Leniency(on_part="error"))
    assert whole.shape == (4, 3, 12)
    assert notes_of(tmp_path / "whole", on_part="error") == []
    save_all(parts[:2], tmp_path / "part")
    assert notes_of(tmp_path / "part") == ["incomplete: 2 of 3 files are here"]
    save_all([part_of_concatenation(4, 4, 2, 0), part_of_concatenation(8, 4, 3, 0)], tmp_path / "without-total")
    assert notes_of(tmp_path / "without-total") == ["incomplete: 2 of 3 files are here"]


def test_a_stack_whose_first_slices_were_left_out_says_so(tmp_path):
    dataset: Dataset = part_of_concatenation(0, 4, 1, 0)
    del dataset.ConcatenationUID, dataset.InConcatenationNumber
    dataset.PerFrameFunctionalGroupsSequence = type(dataset.PerFrameFunctionalGroupsSequence)(
        [
            groups_of(2.0 * number, FrameContentSequence={"StackID": "1", "InStackPositionNumber": number + 6})
            for number in range(4)
        ]
    )
    save(dataset, tmp_path / "multi")
    assert notes_of(tmp_path) == ["incomplete: its slices begin at number 6 of their stack"]
