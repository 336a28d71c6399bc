"""Pieces that the sections of the JSON Schema are made of (draft 2020-12).

A section's module describes its own document with these; whoever joins the sections puts :func:`ref`'s targets under
``$defs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def ref(name: str) -> Schema:
    """What stands under ``$defs`` by this name; ``estimate`` always does."""
    return {"$ref": f"#/$defs/{name}"}


def closed(properties: Mapping[str, Schema], description: str | None = None) -> Schema:
    """An object that has all of these keys and no others."""
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
    return schema if description is None else said(schema, description)


def by_name(values: Schema) -> Schema:
    """An object with any keys, and values of one kind."""
    return {"type": "object", "additionalProperties": values}


def listed(items: Schema) -> Schema:
    """An array of one kind."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def said(schema: Schema, description: str) -> Schema:
    """The same, with a description."""
    return {**schema, "description": description}
