"""The workshop: what is done to HTML by libraries that a hostile text can bring down, in child processes.

`workshop` is the door: it takes orders, in turns between projects, and hands each to an `artisan`, which
keeps one child process. The child runs `bench`, which knows the crafts: `mjml`, `styles` and `plaintext`.
`placeholders` carry template syntax unharmed through the first two; `elements` tells how deep a text is nested,
so that most attacks are refused beforehand; `shelf` remembers what was made.
"""
