"""What clients send about domains."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from app.api.fields import WireModel, line_of, refuse
from app.identity.names import NameRefused, return_path_name, sending_domain


def _name(value: object) -> str:
    try:
        return sending_domain(line_of(value))
    except NameRefused as error:
        raise refuse("invalid_domain", error.reason) from error


_Name = Annotated[
    str, PlainValidator(_name), WithJsonSchema({"type": "string", "examples": ["shop.example"]})
]
_Line = Annotated[
    str, AfterValidator(line_of), WithJsonSchema({"type": "string", "examples": ["bounces"]})
]


def _spelled(value: str) -> str:
    try:
        return sending_domain(value)
    except NameRefused as error:
        raise ValueError(error.reason) from error


DomainPath = Annotated[str, Path(alias="domain_name", max_length=253), AfterValidator(_spelled)]
"""A domain in a path, in any case, in Unicode or in A-labels; what cannot be one is not found."""


class DomainRequest(WireModel):
    """A domain that the project wants to send from."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "shop.example"}]})

    name: _Name = Field(
        description="What stands behind the @ of From, or a part of it that you registered: names below are "
        "covered. In Unicode or in A-labels."
    )
    return_path: _Line | None = Field(
        default=None,
        description="A label, or a name below the domain, where receivers return mail to; it must hold no other "
        "records. `bounces` where the installation says nothing else.",
    )

    def return_path_name(self, usual: str) -> str:
        """Return the whole name of the return path. Raises NameRefused."""
        return return_path_name(self.return_path or usual, self.name)
