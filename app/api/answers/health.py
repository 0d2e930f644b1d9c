"""Answers of the health checks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.answers.model import AnswerModel


class Alive(AnswerModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(AnswerModel):
    """Mail can be taken and kept."""

    status: Literal["ready"]
    warnings: list[str] = Field(description="What weakens the promise of a 202.")
