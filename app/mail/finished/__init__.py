"""Finished mails: a caller's whole RFC 5322 message, checked and completed but never written anew.

`reading` is the trunk: it takes the bytes apart with the help of `lines` and `fields`, and refuses what readers
would understand differently; `completing` puts them together again, with what they lack.
"""
