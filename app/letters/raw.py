"""Raw drafts: a finished mail with the envelope that its caller gives it, and how it becomes what is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import FieldError, InvalidRequest
from app.letters.drafts import RawDraft
from app.mail.dkim import SigningKey, sign
from app.mail.finished.completing import Missing, complete
from app.messages import Message, TlsWish
from app.projects.keyring import Keyring


def check_domains(draft: RawDraft, keyring: Keyring) -> None:
    """Raise InvalidRequest for domains, beside that of From, that we have no reason to speak for.

    Mail readers show Sender, and reports of failures go to the return path: neither may be a stranger's.
    """
    if refused := tuple(_foreign_domains(draft, keyring)):
        raise InvalidRequest(refused)


def write_raw(draft: RawDraft, message: Message, keys: Sequence[SigningKey]) -> bytes:
    """Return the mail, completed and signed."""
    unique = message.id.removeprefix("msg_")
    missing = Missing(
        date=message.created_at,
        message_id=f"{unique}@{draft.sender.address.domain}",
        is_tls_optional=draft.options.tls is TlsWish.OPTIONAL,
    )
    return sign(complete(draft.mail, missing), keys, message.created_at)


def _foreign_domains(draft: RawDraft, keyring: Keyring) -> Iterator[FieldError]:
    submitter = draft.mail.submitter
    if submitter and not _is_ours(submitter.domain, draft, keyring):
        yield _foreign("/header/sender", submitter.domain)
    if not _is_ours(draft.mail_from.domain, draft, keyring):
        yield _foreign("/mail_from", draft.mail_from.domain)


def _is_ours(domain: str, draft: RawDraft, keyring: Keyring) -> bool:
    own = draft.sender.address.domain
    return domain == own or domain.endswith(f".{own}") or bool(keyring.keys_for(domain))


def _foreign(pointer: str, domain: str) -> FieldError:
    detail = f"{domain} is neither the domain of From, nor below it, nor has it a DKIM key here"
    return FieldError(pointer, "domain_without_key", detail)
