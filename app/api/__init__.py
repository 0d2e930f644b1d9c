"""The HTTP edge: bytes to domain values and back, and nothing in between.

A request passes `middleware` (headers, metrics, the last catch), `deps` (who calls, what is asked),
`body` (bytes to JSON), `sending` (JSON to drafts) and its route in `resources`; the answer is shaped by
`answers`, an error by `problems`. `document` describes it all as OpenAPI.
"""
