"""Letters: from a draft to the bytes that each recipient gets.

`drafts` says what comes in, `writer` is the trunk: it fills, composes and signs. `merging` makes the mails that
recipients get, with values (`values`) put in by `templating`, whose language is in `language`; `texts` makes the
text part that is missing, `additions` the header fields beside those for people; `raw` is for mails that are
finished already. Stored templates are made by `authoring` when they are saved, and come into drafts by
`library`. What the RFCs say of bytes is in `app.mail`.
"""
