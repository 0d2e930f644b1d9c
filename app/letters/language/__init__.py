"""The language of templates: what may be written, filters of our own, and how missing variables are found."""
