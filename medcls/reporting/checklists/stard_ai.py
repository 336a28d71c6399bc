"""STARD-AI: the 30 items of STARD 2015, some with parts, and what its extension to AI adds, in our words."""

from __future__ import annotations

from medcls.reporting.checklists.item import Checklist, item

_PARTICIPANTS = "Methods: participants"
_TESTS = "Methods: tests"
_ANALYSIS = "Methods: analysis"
_PEOPLE = "Results: participants"
_RESULTS = "Results: accuracy"
_OTHER = "Other"
_AI = "Added for AI"

STARD_AI = Checklist(
    "stard-ai",
    "STARD-AI",
    "Numbers follow STARD 2015 (30 items, some with lettered parts; BMJ 2015;351:h5527), on which STARD-AI (Nature Medicine "
    "2025) is built. What STARD-AI adds is listed by topic, as AI-a to AI-j: these are not its numbers. Where it counts "
    "otherwise, its own numbers hold.",
    (
        item("1", "Title", "A study of diagnostic accuracy, by a measure of it.", "the title", "technology"),
        item("2", "Abstract", "A structured abstract.", "the abstract", "performance"),
        item(
            "3", "Introduction", "Background, intended use and role of the index test.", "background and intended use"
        ),
        item("4", "Introduction", "Objectives and hypotheses.", "objectives and hypotheses"),
        item("5", "Methods: design", "Data collected before or after the tests.", "prospective or retrospective"),
        item("6", _PARTICIPANTS, "Who was eligible.", "the clinical criteria", "left_out"),
        item("7", _PARTICIPANTS, "How eligible patients were identified.", "symptoms, earlier tests, registries"),
        item("8", _PARTICIPANTS, "Where and when.", "setting, place and dates"),
        item("9", _PARTICIPANTS, "Consecutive, random or convenience series.", "which it was"),
        item(
            "10a",
            _TESTS,
            "The index test, so that it can be repeated.",
            "how images were taken",
            "model",
            "preparation",
        ),
        item(
            "10b",
            _TESTS,
            "The reference standard, so that it can be repeated.",
            "how each label was established",
            "labels",
        ),
        item("11", _TESTS, "Why this reference standard.", "reasons, where there are others"),
        item("12a", _TESTS, "Threshold of the index test, set beforehand or not.", "reasons for the rule", "threshold"),
        item("12b", _TESTS, "Threshold of the reference standard.", "its categories, set beforehand or not"),
        item(
            "13a",
            _TESTS,
            "What the index test knew of patient and reference.",
            "what readers of its predictions knew",
            "blinding",
        ),
        item(
            "13b",
            _TESTS,
            "What assessors of the reference knew of the index test.",
            "whether they had seen its predictions",
        ),
        item(
            "14",
            _ANALYSIS,
            "Methods of estimating and comparing accuracy.",
            "which metric is primary",
            "figures",
            "intervals",
        ),
        item("15", _ANALYSIS, "Indeterminate results.", "indeterminate results of the reference", "doubtful"),
        item("16", _ANALYSIS, "Missing data.", "missing reference labels", "missing"),
        item("17", _ANALYSIS, "Analyses of variability, planned or exploratory.", "which were planned", "subgroups"),
        item("18", _ANALYSIS, "Intended sample size.", "how it was determined"),
        item("19", _PEOPLE, "Flow of participants.", "what happened before the table was made", "counts", "left_out"),
        item("20", _PEOPLE, "Demographic and clinical characteristics.", "clinical characteristics", "demographics"),
        item("21a", _PEOPLE, "Severity among those with the condition.", "the distribution of severity"),
        item("21b", _PEOPLE, "Other diagnoses among those without it.", "the distribution of other diagnoses"),
        item("22", _PEOPLE, "Time and treatment between the two tests.", "intervals and interventions"),
        item("23", _RESULTS, "Index test against reference, as a table.", "nothing further", "confusion"),
        item("24", _RESULTS, "Accuracy with its precision.", "nothing further", "performance"),
        item("25", _RESULTS, "Harm done by either test.", "adverse events, or that there were none"),
        item("26", "Discussion", "Limitations, bias, uncertainty.", "limitations of design and data", "warnings"),
        item("27", "Discussion", "What it means for practice.", "intended use and role", "clinical"),
        item("28", _OTHER, "Registration.", "registry and number"),
        item("29", _OTHER, "Where the protocol is.", "where it is"),
        item("30", _OTHER, "Funding.", "sources and role of funders"),
        item("AI-a", _AI, "Where the training data come from.", "sources, dates, annotation", "training_data"),
        item("AI-b", _AI, "Preparation of the data.", "anything done before medcls saw them", "preparation"),
        item(
            "AI-c",
            _AI,
            "How data were split, and what partitions share.",
            "a split that the table gave",
            "partitions",
            "disjoint",
        ),
        item(
            "AI-d", _AI, "Development and version of the model.", "earlier versions", "training", "software", "hashes"
        ),
        item("AI-e", _AI, "Images that the test cannot use.", "what happens to these patients", "missing"),
        item(
            "AI-f",
            _AI,
            "How predictions reach a user, and what the user decides.",
            "the way into clinical work",
            "output",
        ),
        item(
            "AI-g",
            _AI,
            "Testing on data from elsewhere, and how these differ.",
            "where they come from, or why there are none",
            "external",
            "shift",
        ),
        item(
            "AI-h",
            _AI,
            "Fairness and bias between groups.",
            "groups that matter and are not among the covariates",
            "subgroups",
        ),
        item("AI-i", _AI, "Analysis of errors.", "what the wrong cases have in common", "failures"),
        item(
            "AI-j",
            _AI,
            "Availability of code, model and data; commercial interests.",
            "addresses, licences, interests",
            "hashes",
        ),
    ),
)
