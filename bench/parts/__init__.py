"""The measurements. Each runs alone, with processes of its own: `measure(size, directory)` returns figures.

relays        mails a second and processor time a mail, in turns with Postfix and Haraka, to the same sink
latency       from POST to 202 at half load, from POST to MAIL FROM on an idle system, and what idling costs
letters       composing and signing alone
wire          mails for many sites that are 0, 20 and 100 ms away, and the connections held
destinations  one domain, 1,000 domains, and fast domains beside one whose replies take seconds
backlog       throughput beside mail that waits, and the memory that a waiting mail takes
"""
