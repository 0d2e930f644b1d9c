"""The routes, a module for each resource, and what is sent to them that is not mail.

`forms` and `templateforms` are the bodies and queries; `imports` and `exports` read and write long lists.
Messages have forms of their own in `app.api.sending`.
"""
