"""Calls about the domains of a project."""
