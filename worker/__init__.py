"""The worker: everything that talks to the outside.

A drain claims mail from a lane (`worker.drain`), finds the hosts (`worker.routing`), speaks SMTP to
them (`worker.smtp`) and gets an outcome for each recipient (`worker.outcomes`), on which one function
acts (`worker.settle`).
"""
