"""The text part of a mail that was given as HTML only: made from it, for readers and filters that want one."""

from __future__ import annotations

from dataclasses import replace

from app.errors import WorkshopBusy
from app.ids import ProjectId
from app.letters.drafts import Draft
from app.workshop.orders import WorkshopRefusal
from app.workshop.workshop import Workshop


async def with_text(draft: Draft, project: ProjectId, workshop: Workshop) -> Draft:
    """Return the draft with a text part, if it has HTML and says nothing of text; `text=""` says something.

    No mail is refused for the lack of one: where none can be made, the draft stays as it is, and the metrics
    of the workshop tell why.
    """
    if draft.html is None or draft.text is not None:
        return draft
    try:
        made = await workshop.text_of_html(draft.html, project)
    except (WorkshopRefusal, WorkshopBusy):
        return draft
    return replace(draft, text=made.text) if made.text else draft
