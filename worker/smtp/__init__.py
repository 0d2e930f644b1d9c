"""Speaking SMTP to receiving hosts (RFC 5321, the client's side).

`attempt` goes through the hosts; `pool` keeps sessions; `session` opens one (TCP, greeting, EHLO,
STARTTLS) through aiosmtplib and hands its transport to `dialogue`, over which `transaction` sends one
mail and returns an outcome for each recipient.
"""
