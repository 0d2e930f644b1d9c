"""MIME: a letter's content, and its way into parts, parameters and 7-bit lines.

`content` holds it, `invitation` and `filenames` say which calendars and names can be sent, `compose` writes the
mail, with `transfer` for bodies and `parameters` for the names of files.
"""
