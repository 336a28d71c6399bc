"""CLAIM 2024 Update: 44 items about studies of artificial intelligence in medical imaging, in our words."""

from __future__ import annotations

from medcls.reporting.checklists.item import Checklist, item

_DATA = "Methods: data"
_REFERENCE = "Methods: reference standard"
_PARTITIONS = "Methods: partitions"
_MODEL = "Methods: model"
_TRAINING = "Methods: training"
_EVALUATION = "Methods: evaluation"

CLAIM = Checklist(
    "claim-2024",
    "CLAIM, 2024 Update",
    "Numbers follow the Checklist for Artificial Intelligence in Medical Imaging, 2024 Update (44 items; Radiology: Artificial "
    "Intelligence 2024;6(4):e240300).",
    (
        item("1", "Title", "The title says that it is about AI, and of which kind.", "the title", "technology"),
        item("2", "Abstract", "A structured abstract.", "the abstract", "performance"),
        item("3", "Introduction", "Background, intended use and clinical role.", "background and intended use"),
        item("4", "Introduction", "Aims and hypotheses.", "aims and hypotheses, as stated beforehand"),
        item("5", "Methods: design", "Prospective or retrospective.", "which it was"),
        item("6", "Methods: design", "What the study is for.", "development, feasibility, testing, …", "question"),
        item(
            "7",
            _DATA,
            "Where the data come from.",
            "institutions, dates, public data sets, approvals",
            "counts",
            "training_elsewhere",
        ),
        item("8", _DATA, "Who was included and excluded.", "the clinical criteria", "left_out"),
        item("9", _DATA, "How images were prepared.", "anything done before medcls saw the images", "preparation"),
        item("10", _DATA, "How parts of the data were picked.", "why these series, slices or regions", "subset"),
        item(
            "11",
            _DATA,
            "How data were de-identified.",
            "what was done before, and pixels with names",
            "hashes_of_names",
        ),
        item("12", _DATA, "What was done about missing data.", "missing clinical data and labels", "missing"),
        item("13", _DATA, "How images were acquired.", "protocols, sequences, contrast agent", "scanners"),
        item("14", _REFERENCE, "What the reference standard is.", "how each label was established", "labels"),
        item("15", _REFERENCE, "Why this reference standard.", "reasons, and its known errors"),
        item("16", _REFERENCE, "Who annotated.", "number, training and tools of the readers"),
        item("17", _REFERENCE, "How the test cases were annotated.", "whether more carefully than the others"),
        item("18", _REFERENCE, "Agreement between and within readers.", "agreement with its interval"),
        item("19", _PARTITIONS, "How cases came into partitions.", "a split that the table gave", "partitions"),
        item(
            "20",
            _PARTITIONS,
            "At which level partitions share nothing.",
            "whether patients of one site or family are apart",
            "disjoint",
        ),
        item("21", "Methods: test data", "Intended sample size.", "how many test cases were planned, and why"),
        item(
            "22", _MODEL, "The model, so that it can be built again.", "reasons for the architecture", "model", "output"
        ),
        item("23", _MODEL, "Libraries and their versions.", "further software", "software"),
        item(
            "24", _MODEL, "How parameters were initialised.", "licence and data of pretrained weights", "initialisation"
        ),
        item(
            "25",
            _TRAINING,
            "How the model was trained.",
            "settings that were tried and given up",
            "training",
            "augmentation",
            "balance",
        ),
        item("26", _TRAINING, "How the final model was chosen.", "how many configs were compared", "selection"),
        item("27", _TRAINING, "Ensembles.", "reasons for or against an ensemble", "ensemble"),
        item("28", _EVALUATION, "Which metrics measure performance.", "which of them is primary", "figures"),
        item(
            "29", _EVALUATION, "Statistical uncertainty and significance.", "tests beyond those of medcls", "intervals"
        ),
        item(
            "30",
            _EVALUATION,
            "Robustness and sensitivity analyses.",
            "analyses beyond those of medcls",
            "subgroups",
            "shift",
            "baseline",
        ),
        item("31", _EVALUATION, "Explainability.", "who looked at the maps, and what they concluded", "explanations"),
        item(
            "32", _EVALUATION, "Testing on internal data.", "how like the training data the test data are", "internal"
        ),
        item(
            "33",
            _EVALUATION,
            "Testing on external data.",
            "where external data come from, or why there are none",
            "external",
        ),
        item("34", "Methods: registration", "Registration of a clinical trial.", "registry and number"),
        item(
            "35",
            "Results: data",
            "Patients included and excluded, as a flow.",
            "what happened before the table was made",
            "counts",
            "left_out",
        ),
        item(
            "36",
            "Results: data",
            "Demographic and clinical covariates of each partition.",
            "clinical characteristics",
            "demographics",
            "prevalence",
        ),
        item(
            "37",
            "Results: performance",
            "Performance on every partition, against others.",
            "comparison with readers or other models",
            "performance",
            "baseline",
        ),
        item(
            "38",
            "Results: performance",
            "Estimates with their precision.",
            "none beyond these, unless others were measured",
            "performance",
            "confusion",
            "calibration",
        ),
        item(
            "39",
            "Results: performance",
            "Analysis of wrong predictions.",
            "what the wrong cases have in common",
            "failures",
        ),
        item("40", "Discussion", "Limitations.", "limitations of design and data", "warnings"),
        item("41", "Discussion", "What it means for practice.", "intended use and clinical role", "clinical"),
        item("42", "Other", "Where the protocol or further details are.", "where the protocol is", "record"),
        item("43", "Other", "Whether software, model and data are available.", "addresses and licences", "hashes"),
        item("44", "Other", "Funding.", "sources of funding and the role of funders"),
    ),
)
