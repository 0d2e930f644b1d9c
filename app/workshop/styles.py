"""The styles of an HTML document, written into the elements: many mail clients know no style sheets.

Rules that cannot be written into an element (`@media`, `@font-face`, `:hover`) stay in their `<style>`.
Nothing is ever loaded: links to style sheets stay in the document, unread.
"""

from __future__ import annotations

import re

from css_inline import CSSInliner, InlineError

from app.workshop.orders import Piece, Trouble, WorkshopRefusal
from app.workshop.placeholders import guarded

_TBODY = re.compile(r"</?tbody\b[^>]*>")


def inlined(html: str) -> Piece:
    """Return the document with its styles in `style` attributes. Raises WorkshopRefusal.

    Elements keep what their own `style` says. Template syntax comes out as it went in.
    """
    guard = guarded(html)
    inliner = CSSInliner(
        load_remote_stylesheets=False,
        keep_link_tags=True,
        keep_style_tags=True,
        remove_inlined_selectors=True,
    )
    try:
        made = inliner.inline(guard.text)
    except InlineError as error:
        raise WorkshopRefusal(Trouble.INVALID, f"the styles cannot be inlined: {error}") from error
    if "tbody" not in html.lower():
        # The parser adds it, and would have it begin inside of a loop over rows and end outside.
        made = _TBODY.sub("", made)
    guard.require_order(made)
    return Piece(guard.restored(made), guard.without_effect(made))
