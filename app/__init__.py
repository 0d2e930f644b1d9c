"""Pillarbox: applications post JSON, every mail reaches the recipient's own MX server.

The map: `app.api` takes a request, `app.accept` turns it into a message (`app.letters` writes and signs
it) and puts it into Redis in one atomic step (`app.spool`). The `worker` package carries it: a drain
claims a batch from a lane, finds the hosts, speaks SMTP and settles what became of each recipient;
events reach the application's endpoints through lanes of the same kind.

The words: a *project* is a tenant. A *message* is what one accepted request became, with one or more
*recipients*, each with its own status. A *lane* is the queue of one (project, stream, recipient
domain), or of one endpoint. A *drain* is one run of a worker over one lane. A *claim* is the
recipients of one message that one drain holds. An *attempt* is one try of a claim at hosts and returns an
*outcome* for each; only `worker.settle` acts on outcomes. A *site* is a receiving system, a *source* a
local address that mail leaves from. An *event* is a fact about a recipient, numbered per message; an
*endpoint* is a webhook URL that is told; a *parcel* is one event on its way to one endpoint.
"""
