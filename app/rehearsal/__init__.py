"""Rehearsal: all of sending but the keeping, and what is to be said of a mail before it goes out.

`dryrun` is the use case. What a worker finds of the domains comes as `prospects`; `alignment` judges them as DMARC
does. `remarks` says which warnings there are; `heads`, `contents` and `links` find them, by what `markup` sees in
HTML.
"""
