"""Sending over HTTP: what callers may write, and how it becomes drafts."""
