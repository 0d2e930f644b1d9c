"""Answers to what was not done."""

from __future__ import annotations

from pydantic import Field

from app.api.answers.model import AnswerModel


class RefusedField(AnswerModel):
    """One field that cannot be accepted."""

    pointer: str = Field(description="Where it stands in the body (RFC 6901).", examples=["/to/1"])
    code: str = Field(description="The kind of trouble, stable.", examples=["invalid_address"])
    detail: str = Field(description="What to do about it.")


class ProblemOut(AnswerModel):
    """Why a request was not done (RFC 9457)."""

    type: str = Field(examples=["urn:pillarbox:problem:invalid_request"])
    title: str = Field(description="What all problems of this code have in common.")
    status: int
    code: str = Field(description="The kind of problem, stable.", examples=["invalid_request"])
    detail: str = Field(description="What happened this time, and what to do.")
    errors: list[RefusedField] | None = Field(default=None, description="The refused fields.")
    reasons: list[str] | None = Field(default=None, description="Why the service is not ready.")
    instance: str | None = Field(default=None, description="Names this fault in the service's log.")
