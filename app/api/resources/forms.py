"""What clients send to the resources that are not mail."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from app.api.fields import (
    IS_LINE,
    WireModel,
)
from app.events import EventType
from app.projects.urls import MAX_URL


class EndpointRequest(WireModel):
    """A URL that shall be told of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://shop.example/hooks/mail",
                    "events": ["message.delivered", "message.bounced"],
                    "description": "order mails",
                }
            ]
        }
    )

    url: Annotated[str, Field(max_length=MAX_URL), IS_LINE] = Field(
        description="An `https` URL on port 443 or 8443 of a host that is public."
    )
    events: Annotated[list[Annotated[EventType, Field(strict=False)]], Field(max_length=100)] = (
        Field(default_factory=list, description="The event types wanted; all where it is empty.")
    )
    description: Annotated[str, Field(max_length=200), IS_LINE] = Field(
        default="", description="For people."
    )
