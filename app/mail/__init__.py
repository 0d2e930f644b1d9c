"""Mail itself: what the RFCs say of addresses, headers, MIME, DKIM and replies, as pure functions.

`address` parses what callers write, `headers` says which header fields they may add and `grammars` what some
of those hold, `threads` what a mail answers. `mime` holds what becomes a mail and turns it into canonical
bytes with the help of `fields` and `words`, `dkim` signs those bytes, and `reply` reads what the receiving
server says in the end. `finished` is for mails that callers have composed themselves. `characters` knows what
no text of a caller may hold, `refusal` how to say no. Nothing here does I/O or knows the time; the only
randomness makes DKIM keys.
"""
