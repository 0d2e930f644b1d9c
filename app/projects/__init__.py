"""What a project owns: its API keys, endpoints, templates and suppressions.

`keys` says who a caller is, before anything else of a request is looked at. `endpoints` keeps the URLs
that are told of events; `urls` decides which URLs those may be. `templates` keeps what mails say, in versions,
and `suppressions` the addresses that get none.
"""
