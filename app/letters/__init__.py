"""Letters: from a draft to the bytes that each recipient gets.

`drafts` says what comes in, `writer` is the trunk: it fills, composes and signs. What callers may leave to us
has modules of its own (`raw`: mails that are finished already); what the RFCs say of bytes is in `app.mail`.
"""
