"""Volumes of one series whose slices are between each other's are distinguished, and one volume is never torn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from medcls.scans import Leniency, find_scans, read_scan
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.series.group_series import stacks_of
from tests.factories.dicom import MR, enhanced, instance, save, save_all, slices
from tests.factories.mosaic import csa, mosaic
from tests.factories.series_groups import groups_of

TYPE = ["ORIGINAL", "PRIMARY"]
CLASSIC = {
    "b-value": ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}),
    "direction": (
        {"DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
        {"DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
    ),
    "acquisition": ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    "kernel": ({"ConvolutionKernel": "B31f"}, {"ConvolutionKernel": "B70f"}),
    "echo": ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
    "echo time": ({"EchoNumbers": 1, "EchoTime": 4.92}, {"EchoNumbers": 1, "EchoTime": 7.38}),
    "energy": ({"KVP": 80}, {"KVP": 140}),
    "type": ({"ImageType": [*TYPE, "M"]}, {"ImageType": [*TYPE, "P"]}),
    "origin": ({"ImageType": [*TYPE, "M"]}, {"ImageType": ["DERIVED", "SECONDARY", "M"]}),
    "component": ({"ComplexImageComponent": "MAGNITUDE"}, {"ComplexImageComponent": "PHASE"}),
    "time": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "trigger": ({"TriggerTime": 20}, {"TriggerTime": 620}),
    "phase": ({"NominalPercentageOfCardiacPhase": 40.0}, {"NominalPercentageOfCardiacPhase": 75.0}),
    "inversion": ({"InversionTime": 100}, {"InversionTime": 900}),
    "flip angle": ({"FlipAngle": 5}, {"FlipAngle": 26}),
    "contrast": ({"ContrastBolusAgent": ""}, {"ContrastBolusAgent": "agent"}),
    "sequence": ({"SequenceName": "*ep_b0"}, {"SequenceName": "*ep_b1000#1"}),
    "repetition time": ({"RepetitionTime": 500}, {"RepetitionTime": 3000}),
    "thickness": ({"SliceThickness": 1}, {"SliceThickness": 5}),
    "frame of reference": ({"FrameOfReferenceUID": "1.2.8"}, {"FrameOfReferenceUID": "1.2.9"}),
    "patient position": ({"PatientPosition": "HFS"}, {"PatientPosition": "HFP"}),
    "scan options": ({"ScanOptions": ["PFP"]}, {"ScanOptions": ["PFP", "FS"]}),
    "sequence variant": ({"SequenceVariant": "SK"}, {"SequenceVariant": ["SK", "MTC"]}),
    "corrections": ({"CorrectedImage": ["DECY", "ATTN"]}, {"CorrectedImage": ["DECY"]}),
    "protocol": ({"ProtocolName": "before"}, {"ProtocolName": "after"}),
    "description": ({"SeriesDescription": "before"}, {"SeriesDescription": "after"}),
    "algorithm": ({"ReconstructionAlgorithm": "FILTER_BACK_PROJ"}, {"ReconstructionAlgorithm": "ITERATIVE"}),
}
PRIVATE = {
    "Siemens": (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", ("0", "1000")),
    "GE": (0x0043, "GEMS_PARM_01", 0x39, "IS", (["0", "8", "0", "0"], ["1000000800", "8", "0", "0"])),
    "Philips": (0x2001, "Philips Imaging DD 001", 0x03, "FL", (0.0, 800.0)),
    "United Imaging": (0x0065, "Image Private Header", 0x09, "FD", (0.0, 1000.0)),
}
OFFSET = [0.0, 2.0], [0.0, 1.1]


def two_volumes(first, second, offset, count=6):
    """Slices 4 mm apart of two volumes, the second ``offset`` mm further; values 100 and 200 tell which."""
    made = []
    for value, start, changes in ((100, offset[0], first), (200, offset[1], second)):
        for dataset in slices([start + 4.0 * number for number in range(count)], Modality="MR", SOPClassUID=MR):
            dataset.PixelData = np.full((3, 4), value, "<i2").tobytes()
            for keyword, change in changes.items():
                setattr(dataset, keyword, change)
            made.append(dataset)
    return made


def values_of(folder, **options):
    """The distinct values of each scan that is found."""
    scans = [
        read_scan(source, leniency=Leniency(**options))
        for source in find_scans(folder, leniency=Leniency(**options)).scans
    ]
    return sorted([*map(int, np.unique(scan.array))] for scan in scans), scans


@pytest.mark.parametrize("offset", OFFSET)
@pytest.mark.parametrize("name", CLASSIC)
def test_a_volume_between_the_slices_of_another_is_one_of_its_own(tmp_path, name, offset):
    save_all(two_volumes(*CLASSIC[name], offset), tmp_path)
    values, scans = values_of(tmp_path)
    assert values == [[100], [200]]
    assert all(scan.shape == (4, 3, 6) and scan.spacing[2] == 4.0 for scan in scans)
    assert all(any(note.startswith("part: ") and name in note for note in scan.notes) for scan in scans)


COMMENTS = {"ImageComments": "soft"}, {"ImageComments": "sharp"}


def test_comments_tell_volumes_apart_whose_slices_make_no_even_grid_together(tmp_path):
    save_all(two_volumes(*COMMENTS, OFFSET[1]), tmp_path)
    values, scans = values_of(tmp_path)
    assert values == [[100], [200]]
    assert all(any(note.startswith("part: ") and "comment" in note for note in scan.notes) for scan in scans)


@pytest.mark.parametrize("lost", [(), (5,)])
def test_comments_in_turn_along_one_even_grid_are_of_one_volume_with_a_note(tmp_path, lost):
    made = two_volumes(*COMMENTS, OFFSET[0])
    save_all([one for number, one in enumerate(made) if number not in lost], tmp_path)
    (scan,) = values_of(tmp_path, on_gap="warn")[1]
    assert (scan.shape, scan.spacing[2]) == ((4, 3, 12), 2.0)
    assert sum(note.startswith("changes-within: slices in turn differ in their comment") for note in scan.notes) == 1


def test_comments_tell_volumes_apart_that_share_positions(tmp_path):
    save_all(two_volumes(*COMMENTS, (0.0, 0.0)), tmp_path)
    assert values_of(tmp_path)[0] == [[100], [200]]


@pytest.mark.parametrize("vendor", PRIVATE)
def test_a_b_value_in_a_vendors_own_element_tells_volumes_apart(tmp_path, vendor):
    group, creator, offset, vr, weights = PRIVATE[vendor]
    made = two_volumes({}, {}, (0.0, 2.0))
    for number, dataset in enumerate(made):
        dataset.private_block(group, creator, create=True).add_new(offset, vr, weights[number // 6])
    save_all(made, tmp_path)
    assert values_of(tmp_path)[0] == [[100], [200]]


def test_three_volumes_at_thirds_are_three(tmp_path):
    made = []
    for number in range(3):
        made += slices([number + 3.0 * k for k in range(5)], AcquisitionNumber=number + 1)
    save_all(made, tmp_path)
    assert [scan.part for scan in find_scans(tmp_path).scans] == ["acquisition 1", "acquisition 2", "acquisition 3"]


def test_what_is_left_of_two_echoes_is_never_joined(tmp_path):
    made = slices([2.0 * number for number in range(12)], Modality="MR", SOPClassUID=MR)
    for number, dataset in enumerate(made):
        dataset.EchoNumbers = 1 if number in (3, 6, 8) else 2
    save_all(made, tmp_path)
    found = find_scans(tmp_path)
    assert not found.scans
    assert sorted(item.code for item in found.refused) == ["gap", "uneven-spacing"]
    lenient = find_scans(tmp_path, leniency=Leniency(on_gap="warn", on_uneven="warn"))
    assert [(scan.part, len(scan.paths)) for scan in lenient.scans] == [("echo 1", 3), ("echo 2", 9)]


def test_a_lost_slice_of_one_of_two_acquisitions_joins_nothing(tmp_path):
    made = two_volumes({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, (0.0, 2.0), count=8)
    save_all(made[:3] + made[4:], tmp_path)
    values, _ = values_of(tmp_path, on_gap="warn")
    assert values == [[100], [200]]


def test_copies_of_one_volume_do_not_hide_another(tmp_path):
    made = two_volumes({"EchoNumbers": 1}, {"EchoNumbers": 2}, (0.0, 2.0))
    again = two_volumes({"EchoNumbers": 1}, {"EchoNumbers": 2}, (0.0, 2.0))[2]
    save_all([*made, again], tmp_path)
    found = find_scans(tmp_path)
    assert [(scan.part, scan.shape) for scan in found.scans] == [("echo 2", (4, 3, 6))]
    assert [item.code for item in found.refused] == ["duplicate-slices"]


def test_two_folders_of_one_series_with_a_stack_each_are_two_volumes(tmp_path):
    made = two_volumes({}, {}, (0.0, 2.0))
    save_all(made[:6], tmp_path / "a")
    save_all(made[6:], tmp_path / "b")
    assert values_of(tmp_path)[0] == [[100], [200]]


def test_one_stack_dealt_out_to_folders_is_one_volume(tmp_path):
    made = slices([2.0 * number for number in range(9)])
    for number, dataset in enumerate(made):
        save(dataset, tmp_path / str(number // 3) / f"{number}")
    assert read_scan(tmp_path).shape == (4, 3, 9)


# What may differ within one volume


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 1, 1, 1, 2, 2, 2, 2],  # two runs of a helical scan, end to end
        [1, 1, 1, 1, 2, 1, 2, 2],  # overlapping
        [1, 2, 3, 4, 5, 6, 7, 8],  # a number for each slice
        [3, 1, 1, 2, 3, 2, 1, 3],  # no order at all
        [1, 1, 2, 2, 3, 3, 4, 4],
    ],
)
@pytest.mark.parametrize(
    "keyword",
    [
        "AcquisitionNumber",
        "TriggerTime",
        "InversionTime",
        "SliceThickness",
        "NominalPercentageOfCardiacPhase",
        "ImageComments",
    ],
)
def test_circumstances_that_change_within_a_volume_do_not_tear_it(tmp_path, numbers, keyword):
    made = slices([2.5 * number for number in range(8)])
    for number, dataset in zip(numbers, made, strict=True):
        setattr(dataset, keyword, f"slice {number}" if keyword == "ImageComments" else number)
    save_all(made, tmp_path)
    scan = read_scan(tmp_path)
    assert scan.shape == (4, 3, 8)
    assert scan.notes == ()


def test_what_a_vendors_element_says_slice_by_slice_is_no_b_value(tmp_path):
    made = slices([2.5 * number for number in range(8)], Modality="MR", SOPClassUID=MR)
    for number, dataset in enumerate(made):
        block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x39, "IS", [100 + number, 8, 0, 0])
        dataset.FrameOfReferenceUID = f"1.2.{number}"  # as some tools that remove names write it
    save_all(made, tmp_path)
    assert read_scan(tmp_path).shape == (4, 3, 8)


def test_slices_taken_in_two_turns_at_two_times_are_one_volume(tmp_path):
    made = slices([3.0 * number for number in range(8)], Modality="MR", SOPClassUID=MR)
    for number, dataset in enumerate(made):
        dataset.AcquisitionTime = ("100000", "100130")[number % 2]
    save_all(made, tmp_path)
    assert read_scan(tmp_path).shape == (4, 3, 8)


def test_a_kernel_that_changes_on_the_way_is_noted(tmp_path):
    made = slices([5.0 * number for number in range(8)])
    for number, dataset in enumerate(made):
        dataset.ConvolutionKernel, dataset.KVP = ("STD+", "SOFT")[number > 3], "120" if number else "120.0"
    save_all(made, tmp_path)
    (note,) = read_scan(tmp_path).notes
    assert note == "changes-within: the parts of the volume differ: kernel SOFT, kernel STD+"


@given(seed=st.integers(0, 9999), count=st.integers(4, 12), parts=st.integers(1, 3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_number_of_even_volumes_comes_apart_as_it_was_put_together(seed, count, parts):
    chance = np.random.default_rng(seed)
    header = _frame(0, 0.0, {}).header
    starts = chance.permutation(5)[:parts] * 0.6
    frames = [
        _frame(
            10 * part + 1,
            start + 3.0 * number,
            {"acquisition": str(part), "acquisition time": f"{chance.random()}"},
            header,
        )
        for part, start in enumerate(starts)
        for number in range(count)
    ]
    stacks = stacks_of([frames[index] for index in chance.permutation(len(frames))])
    assert [stack.error for stack in stacks] == [None] * parts
    assert sorted(len({frame.splits["acquisition"] for frame in stack.frames}) for stack in stacks) == [1] * parts
    assert all(len(stack.frames) == count for stack in stacks)


@given(seed=st.integers(0, 99_999), count=st.integers(2, 14))
@settings(max_examples=200, deadline=None)
def test_what_was_told_apart_is_one_volume_when_it_is_read_alone(seed, count):
    chance = np.random.default_rng(seed)
    header = _frame(0, 0.0, {}).header
    names = ["echo", "b-value", "direction", "time", "type", "kernel", "acquisition", "thickness", "inversion"]
    varying = {name: int(chance.integers(1, 4)) for name in chance.permutation(names)[: chance.integers(1, 5)]}
    heights = np.sort(chance.permutation(20)[:count]) * 2.0 if chance.random() < 0.5 else np.arange(count) * 2.0
    frames = [
        _frame(number, height, {name: str(chance.integers(values)) for name, values in varying.items()}, header)
        for number, height in enumerate([*heights, *heights[: chance.integers(0, count)]])
    ]
    lenient = Leniency(on_gap="warn", on_uneven="warn")
    for stack in stacks_of(frames, lenient):
        if stack.error is None:
            assert len(stacks_of(stack.frames, lenient)) == 1


def _frame(number, height, splits, header=None):
    from medcls.scans.dicom.frames.frames_of_file import frames_of

    (whole,) = frames_of(instance(), "x")
    return Frame(
        f"f{number}-{height}",
        f"1.2.{number}.{height}",
        header or whole.header,
        0,
        (0.0, 0.0, height),
        whole.orientation,
        whole.spacing,
        1.0,
        0.0,
        3.0,
        splits,
    )


# Several frames in a file


ENHANCED = {
    "echo": ("MREchoSequence", {"EffectiveEchoTime": 10.0}, {"EffectiveEchoTime": 20.0}),
    "b-value": ("MRDiffusionSequence", {"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}),
    "type": (
        "MRImageFrameTypeSequence",
        {"FrameType": [*TYPE, "NONE", "NONE"], "ComplexImageComponent": "MAGNITUDE"},
        {"FrameType": [*TYPE, "NONE", "NONE"], "ComplexImageComponent": "PHASE"},
    ),
    "stack": ("FrameContentSequence", {"StackID": "1"}, {"StackID": "2"}),
    "acquisition": ("FrameContentSequence", {"FrameAcquisitionNumber": 1}, {"FrameAcquisitionNumber": 2}),
    "time": ("FrameContentSequence", {"TemporalPositionIndex": 1}, {"TemporalPositionIndex": 2}),
    "dimension": ("FrameContentSequence", {"DimensionIndexValues": [1, 1]}, {"DimensionIndexValues": [1, 2]}),
    "energy": ("CTXRayDetailsSequence", {"KVP": 80.0}, {"KVP": 140.0}),
    "kernel": ("CTReconstructionSequence", {"ConvolutionKernel": "A"}, {"ConvolutionKernel": "B"}),
    "algorithm": (
        "CTReconstructionSequence",
        {"ReconstructionAlgorithm": "FILTER_BACK_PROJ"},
        {"ReconstructionAlgorithm": "ITERATIVE"},
    ),
    "inversion": ("MRModifierSequence", {"InversionTimes": 100.0}, {"InversionTimes": 900.0}),
}


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("name", ENHANCED)
def test_frames_of_two_volumes_in_one_file_are_two_scans(tmp_path, name, shuffled):
    sequence, *both = ENHANCED[name]
    volume = np.full((6, 3, 4), 100, np.uint16)
    dataset = enhanced([volume, volume + 100])
    groups = [groups_of(4.0 * k + 2.0 * which, **{sequence: both[which]}) for which in (0, 1) for k in range(6)]
    order = np.random.default_rng(3).permutation(12) if shuffled else range(12)
    frames = [np.full((3, 4), 100 * (1 + index // 6), "<u2").tobytes() for index in order]
    dataset.PerFrameFunctionalGroupsSequence = Items([groups[index] for index in order])
    dataset.PixelData = b"".join(frames)
    save(dataset, tmp_path / "multi")
    values, scans = values_of(tmp_path)
    assert values == [[100], [200]]
    assert all(scan.shape == (4, 3, 6) for scan in scans)


def test_two_mosaics_that_a_moving_head_shifted_are_two_volumes(tmp_path):
    for number in (1, 2):
        one = mosaic(7, "axial", InstanceNumber=number, SeriesInstanceUID="1.2.9")
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], one.ImagePositionPatient[2] + 0.4 * number]
        save(one, tmp_path / f"m{number}")
    assert [scan.shape[2] for scan in find_scans(tmp_path).scans] == [7, 7]


def test_a_b_value_in_siemens_csa_header_alone_tells_volumes_apart(tmp_path):
    made = two_volumes({}, {}, (0.0, 2.0))
    for number, dataset in enumerate(made):
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", csa({"B_value": ["0"] if number < 6 else ["1000"], "EchoColumnPosition": ["64"]}))
    save_all(made, tmp_path)
    values, scans = values_of(tmp_path)
    assert values == [[100], [200]]
    assert [scan.notes[0] for scan in scans] == [
        f"part: one of several volumes of its series: b-value {b}" for b in (0, 1000)
    ]


def test_stacks_of_their_own_direction_or_pixel_size_in_one_file_are_scans_of_their_own(tmp_path):
    volume = np.full((4, 3, 4), 100, np.uint16)
    dataset = enhanced([volume, volume + 100, volume + 200])
    groups = []
    for which in range(3):
        for number in range(4):
            one = groups_of(4.0 * number, FrameContentSequence={"StackID": str(which)})
            place, measures = Dataset(), Dataset()
            place.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if which else [1, 0, 0, 0, 0, -1]
            measures.PixelSpacing = [2, 2] if which == 2 else [1, 1]
            one.PlaneOrientationSequence, one.PixelMeasuresSequence = Items([place]), Items([measures])
            if not which:
                one.PlanePositionSequence[0].ImagePositionPatient = [0, 4.0 * number, 0]
            groups.append(one)
    del dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    dataset.PerFrameFunctionalGroupsSequence = Items(groups)
    save(dataset, tmp_path / "multi")
    values, scans = values_of(tmp_path)
    assert values == [[100], [200], [300]]
    assert sorted((scan.shape, scan.spacing) for scan in scans) == [((4, 3, 4), (k, k, 4.0)) for k in (1.0, 1.0, 2.0)]
