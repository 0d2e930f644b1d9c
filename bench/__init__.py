"""Measurements of the whole, on one machine, beside Postfix doing the same work in the same run."""
