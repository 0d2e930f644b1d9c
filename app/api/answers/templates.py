"""Answers about templates."""

from __future__ import annotations

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.letters.authoring import Preview
from app.letters.templating import Part
from app.projects.templates import Head, Page, Version


class TemplateSummary(AnswerModel):
    """A template, without what it says."""

    name: str = Field(description="What messages call it.", examples=["order-shipped"])
    current_version: int = Field(description="The version that messages get which name none.")
    created_at: Time
    updated_at: Time = Field(description="When a version was added or made current.")

    @classmethod
    def of(cls, head: Head) -> TemplateSummary:
        """Return the answer that shows `head`."""
        return cls(
            name=head.name,
            current_version=head.current,
            created_at=head.created_at,
            updated_at=head.updated_at,
        )


class TemplateOut(TemplateSummary):
    """A template, and which versions of it there are."""

    versions: list[int] = Field(description="Their numbers, oldest first.")

    @classmethod
    def among(cls, head: Head, versions: tuple[int, ...]) -> TemplateOut:
        """Return the answer that shows `head` with `versions`."""
        return cls(**dict(TemplateSummary.of(head)), versions=list(versions))


class TemplatePage(AnswerModel):
    """A page of the project's templates, by name."""

    data: list[TemplateSummary]
    next_cursor: str | None = Field(
        description="What to ask the next page with; null on the last one."
    )

    @classmethod
    def of(cls, page: Page) -> TemplatePage:
        """Return the answer that shows `page`."""
        data = [TemplateSummary.of(head) for head in page.heads]
        return cls(data=data, next_cursor=None if page.is_last else page.heads[-1].name)


class TemplateVersion(AnswerModel):
    """One version of a template, which never changes."""

    name: str = Field(examples=["order-shipped"])
    version: int = Field(description="Its number, from 1.")
    created_at: Time
    subject: str
    html: str | None = Field(description="As it was written.")
    text: str | None
    amp: str | None
    mjml: str | None = Field(description="As it was written.")
    inline_css: bool
    made_html: str | None = Field(
        description="The HTML that is sent, before its variables: made of `mjml`, with styles inlined."
    )
    variables: list[str] = Field(
        description="What it cannot do without, by dotted names; not those with a default, nor fields of rows.",
        examples=[["name", "order.id", "order.lines"]],
    )
    warnings: list[str] = Field(description="What MJML or CSS had no use for.")

    @classmethod
    def of(cls, name: str, number: int, version: Version) -> TemplateVersion:
        """Return the answer that shows `version`."""
        written = version.wording
        return cls(
            name=name,
            version=number,
            created_at=version.created_at,
            subject=written.subject,
            html=written.html,
            text=written.text,
            amp=written.amp,
            mjml=written.mjml,
            inline_css=written.inline_css,
            made_html=version.html,
            variables=list(version.variables),
            warnings=list(version.warnings),
        )


class PreviewOut(AnswerModel):
    """A mail as a template would make it. Nothing was sent or stored."""

    subject: str
    html: str | None
    text: str | None
    amp: str | None
    missing: list[str] = Field(
        description="Variables that have no value, by dotted names; they stand as `[name]` in the parts, and "
        "have no rows in loops.",
        examples=[["order.id"]],
    )

    @classmethod
    def of(cls, preview: Preview) -> PreviewOut:
        """Return the answer that shows `preview`."""
        return cls(
            subject=preview.parts[Part.SUBJECT],
            html=preview.parts.get(Part.HTML),
            text=preview.parts.get(Part.TEXT),
            amp=preview.parts.get(Part.AMP),
            missing=list(preview.missing),
        )
