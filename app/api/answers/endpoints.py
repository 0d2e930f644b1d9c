"""Answers about webhook endpoints."""

from __future__ import annotations

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.events import EventType
from app.projects.endpoints import Endpoint


class EndpointOut(AnswerModel):
    """A URL that is told of events."""

    id: str = Field(examples=["end_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"])
    url: str
    events: list[EventType] = Field(description="The event types wanted; all where it is empty.")
    description: str
    created_at: Time

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointOut:
        """Return the answer that shows `endpoint`, without its secret."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=list(endpoint.events),
            description=endpoint.description,
            created_at=endpoint.created_at,
        )


class CreatedEndpoint(EndpointOut):
    """A new endpoint, with the secret that signs what is posted to it. It is shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])

    @classmethod
    def of(cls, endpoint: Endpoint) -> CreatedEndpoint:
        """Return the answer that shows `endpoint` with its secret."""
        shown = EndpointOut.of(endpoint)
        return cls(**dict(shown), secret=endpoint.secret)


class EndpointList(AnswerModel):
    """The endpoints of the project, oldest first."""

    data: list[EndpointOut]

    @classmethod
    def of(cls, endpoints: tuple[Endpoint, ...]) -> EndpointList:
        """Return the answer that lists `endpoints`."""
        return cls(data=[EndpointOut.of(endpoint) for endpoint in endpoints])
