"""MIME: a letter's content, and its way into parts, parameters and 7-bit lines."""
