"""Identity: the domains a project sends from, the keys that sign its mail, and where its bounces go.

Values and pure rules first, then what Redis keeps of them. Looking things up in DNS is the worker's.
"""
