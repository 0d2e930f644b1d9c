"""What all answers are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from app.wire import rfc3339

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2030-01-31T09:30:00.000Z"]}
    ),
]
"""A time in UTC, to the millisecond."""


class AnswerModel(BaseModel):
    """A JSON object of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)
