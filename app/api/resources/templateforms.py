"""What clients send about templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.types import JsonValue

from app.api.fields import IS_LINE, IS_PROSE, WireModel
from app.api.resources.forms import QueryModel
from app.api.sending.templates import TemplateName
from app.letters.language.grammar import MAX_SOURCE
from app.projects.templates import NAME_PATTERN, Wording

_MAX_SUBJECT = 10_000
"""Characters with its variables and tags; what comes of it is held to a line's length when it is filled."""
_EXAMPLE: dict[str, JsonValue] = {
    "subject": "Order {{ order.id }} has shipped",
    "html": "<p>Hello {{ name }},</p>{% for line in order.lines %}<p>{{ line.title }}</p>{% endfor %}",
    "text": "Hello {{ name }},\n{% for line in order.lines %}- {{ line.title }}\n{% endfor %}",
}
_VALUES: dict[str, JsonValue] = {
    "name": "Ada",
    "order": {"id": "1815", "lines": [{"title": "Analytical engine"}]},
}

_Source = Annotated[str, Field(max_length=MAX_SOURCE), IS_PROSE]
Values = dict[str, object]
"""Values of variables by name, each any JSON value."""
_Variables = Annotated[
    Values, Field(description="Values by name; at most 256 KB, nested at most 20 levels deep.")
]


class WordingForm(WireModel):
    """What a template says: `text`, or `html` or `mjml`, or `text` and one of these."""

    subject: Annotated[str, Field(max_length=_MAX_SUBJECT), IS_LINE] = Field(
        default="", description="The subject."
    )
    html: _Source | None = Field(default=None, description="The message as HTML.")
    text: _Source | None = Field(default=None, description="The message as plain text.")
    amp: _Source | None = Field(
        default=None, description="The message as AMP for Email; it needs `html` or `mjml`."
    )
    mjml: _Source | None = Field(
        default=None, description="MJML instead of `html`; it becomes HTML when it is saved."
    )
    inline_css: bool = Field(
        default=False,
        description="Write the style sheets of the HTML into its elements when it is saved.",
    )

    def wording(self) -> Wording:
        """Return the domain's value."""
        return Wording(self.subject, self.html, self.text, self.amp, self.mjml, self.inline_css)


class TemplateRequest(WordingForm):
    """A new template."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "order-shipped", **_EXAMPLE}]}
    )

    name: TemplateName = Field(
        description="What messages call it; it cannot change.", examples=["order-shipped"]
    )


class VersionRequest(WordingForm):
    """One more version of a template."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    make_current: bool = Field(
        default=True, description="Send this version from now on where a message names none."
    )


class CurrentRequest(WireModel):
    """Which version shall be sent."""

    version: Annotated[int, Field(ge=1)] = Field(description="Its number.", examples=[1])


class PreviewRequest(WireModel):
    """Values to look at a template with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"variables": _VALUES}]})

    version: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Which version; the current one where it is missing."
    )
    variables: _Variables = Field(default_factory=dict)


class UnsavedRequest(WordingForm):
    """A template that is not saved, and values to look at it with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "variables": _VALUES}]})

    variables: _Variables = Field(default_factory=dict)


class TemplateQuery(QueryModel):
    """Which page of the list is wanted."""

    cursor: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="`next_cursor` of the page before."
    )
    limit: int = Field(default=100, ge=1, le=1_000, description="Templates of a page at most.")
