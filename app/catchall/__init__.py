"""The catch-all mailbox of development: it takes every mail on loopback and keeps it in a folder.

`server` speaks SMTP and answers some `specials` in their own way, `folder` keeps what arrived,
`reading` takes a mail apart for the pages of `app.dashboard`. Mails are untrusted everywhere here.
"""
