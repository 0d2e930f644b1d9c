"""Raw drafts: a finished mail with the envelope that its caller gives it, and how it becomes what is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import FieldError, InvalidRequest
from app.identity.keys.keyring import Keyring
from app.ids import ProjectId
from app.letters.drafts import RawDraft
from app.mail.dkim import SigningKey, sign
from app.mail.finished.completing import Missing, complete
from app.messages import Message, TlsWish


async def check_domains(draft: RawDraft, project: ProjectId, keyring: Keyring) -> None:
    """Raise InvalidRequest for domains, beside that of From, that we have no reason to speak for.

    Mail readers show Sender, and reports of failures go to the return path: neither may be a stranger's.
    """
    refused = [
        FieldError(pointer, "domain_without_key", _foreign(domain))
        for pointer, domain in _named(draft)
        if not _is_below(domain, draft) and not await keyring.keys_for(project, domain)
    ]
    if refused:
        raise InvalidRequest(tuple(refused))


def write_raw(draft: RawDraft, message: Message, keys: Sequence[SigningKey]) -> bytes:
    """Return the mail, completed and signed."""
    unique = message.id.removeprefix("msg_")
    missing = Missing(
        date=message.created_at,
        message_id=f"{unique}@{draft.sender.address.domain}",
        is_tls_optional=draft.options.tls is TlsWish.OPTIONAL,
    )
    return sign(complete(draft.mail, missing), keys, message.created_at)


def _named(draft: RawDraft) -> Iterator[tuple[str, str]]:
    if submitter := draft.mail.submitter:
        yield "/header/sender", submitter.domain
    yield "/mail_from", draft.mail_from.domain


def _is_below(domain: str, draft: RawDraft) -> bool:
    own = draft.sender.address.domain
    return domain == own or domain.endswith(f".{own}")


def _foreign(domain: str) -> str:
    return f"{domain} is neither the domain of From, nor below it, nor has it a DKIM key here"
