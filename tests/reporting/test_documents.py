"""The types of documents have the keys of the schemas: a reader that mypy has checked reads keys that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from medcls.evaluation import metrics_schema
from medcls.scores.comparison.compare import comparison_document_schema
from medcls.values import documents

SCHEMA = metrics_schema()
PARTITION = SCHEMA["$defs"]["partition"]
WHOLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "per_fold": (documents.PerFold, SCHEMA["properties"]["per_fold"]),
    "learning_curve": (documents.LearningCurve, SCHEMA["properties"]["learning_curve"]),
    "comparison": (documents.Comparison, comparison_document_schema()),
    **{name: (hint, PARTITION["properties"][name]) for name, hint in get_type_hints(documents.Partition).items()},
}


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """An object's or a list's schema, without what else it may be."""
    if "$ref" in schema:
        return whole(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    kinds = [one for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())) if one.get("type") != "null"]
    return schema if "properties" in schema or not kinds else whole(kinds[0])


def parts(hint: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every type of a document within a type, each with the properties of its schema."""
    schema = whole(schema)
    if is_typeddict(hint):
        yield hint, schema["properties"]
        for name, inner in get_type_hints(hint).items():
            yield from parts(inner, schema["properties"].get(name, {}))
    elif get_origin(hint) in (list, dict):
        yield from parts(get_args(hint)[-1], schema.get("items") or schema.get("additionalProperties") or {})
    else:  # X | None
        for inner in get_args(hint):
            yield from parts(inner, schema)


@pytest.mark.parametrize("name", WHOLE)
def test_a_document_has_the_keys_of_its_schema(name: str) -> None:
    for document, properties in parts(*WHOLE[name]):
        assert get_type_hints(document).keys() == properties.keys(), document


def test_every_type_of_a_document_is_held_against_a_schema() -> None:
    held = {document for one in WHOLE.values() for document, _ in parts(*one)}
    types = {one for one in vars(documents).values() if is_typeddict(one)}
    assert types - held == {documents.Labels, documents.Partition, documents.Sections}


def test_what_a_partition_always_has_is_required_by_the_schema() -> None:
    named = get_type_hints(documents.Partition, include_extras=True)
    always = {name for name, hint in named.items() if get_origin(hint) is not NotRequired}
    assert always <= set(PARTITION["required"])
