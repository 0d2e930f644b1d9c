"""The template that a message is made from, as callers name it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from app.api.fields import IS_WORD, WORD_PATTERN, WireModel
from app.letters.drafts import TemplateRef

TemplateName: TypeAlias = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra={"pattern": WORD_PATTERN}),
    IS_WORD,
]
"""What a template is called."""


class TemplateIn(WireModel):
    """A template, and which version of it."""

    name: TemplateName = Field(description="Its name.", examples=["order-shipped"])
    version: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Its number; the current one where it is missing."
    )


def _form(value: object) -> str | None:
    match value:
        case str():
            return "name"
        case dict() | TemplateIn():
            return "object"
    return None


TemplateChoice: TypeAlias = Annotated[
    Annotated[TemplateName, Tag("name")] | Annotated[TemplateIn, Tag("object")],
    Discriminator(
        _form,
        custom_error_type="wrong_type",
        custom_error_message="must be the name of a template, or an object with `name` and `version`",
    ),
]
"""A template by its name, or by name and version."""


def chosen(value: str | TemplateIn | None) -> TemplateRef | None:
    """Return the domain's value."""
    if value is None:
        return None
    return TemplateRef(value) if isinstance(value, str) else TemplateRef(value.name, value.version)
