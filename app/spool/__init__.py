"""The spool: everything Redis keeps for mail in flight, and the atomic steps that change it.

`keyspace` names every key. Each atomic step is one Lua file in `lua/`; `store` and the modules of `workers` are
their Python faces, `codec` turns domain values into bytes, `client` is the only wall to the Redis library,
`jobs` the only one to arq.
"""
