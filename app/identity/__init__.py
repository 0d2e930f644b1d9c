"""Identity: the domains a project sends from, and the keys that sign its mail.

Values and pure rules first, then what Redis keeps of them. Looking things up in DNS is the worker's.
"""
