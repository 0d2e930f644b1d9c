"""Sending over HTTP: what callers may write, and how it becomes drafts.

`requests` is a message, of the parts that `content`, `merging`, `options`, `templates` and `threads` read;
`envelope` is what goes with a finished mail. A batch is taken apart by `splitting` as it comes, its items are
read as `batches` says, and sent in `groups`.
"""
