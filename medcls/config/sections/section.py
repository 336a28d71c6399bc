"""What all sections of the config are made of."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from medcls.config.durations import seconds_of

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
"""What every random generator here takes (NumPy's legacy one takes no more)."""


def _span(text: str) -> str:
    seconds_of(text)
    return text


Span = Annotated[str, AfterValidator(_span)]
"""A span of time, as :func:`medcls.config.durations.seconds_of` reads it."""


class Section(BaseModel):
    """A section of the config: frozen, and no key that is not listed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """``freeze: true`` would be one block."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise ValueError(
                "true and false mean nothing here" if str in kinds else "it needs a number, not true or false"
            )
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation is made of; of a literal its values' own."""
    inner = get_args(annotation)
    if not inner:
        return {annotation if isinstance(annotation, type) else type(annotation)}
    return {kind for one in inner for kind in _kinds(one)}


def each_once(names: list[str]) -> list[str]:
    """The names, none of them twice; else a ``ValueError`` that names it."""
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"'{twice}' is listed twice")
    return names
