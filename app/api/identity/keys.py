"""DKIM keys of a domain: list, rotate, import, revoke. Secrets come in, and never go out."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.api.answers.keys import KeyList, KeyOut
from app.api.deps import Manager, Parts, Reader, Services, sent
from app.api.document import body_of, problems
from app.api.identity.domainforms import DomainPath
from app.api.identity.keyforms import SELECTOR_PATTERN, KeyRequest, RevokeQuery
from app.errors import NotFound
from app.identity.keys.dkimkeys import Keys
from app.projects.keys import Caller

router = APIRouter(prefix="/domains/{domain_name}/keys", tags=["domains"])

_Selector = Annotated[str, Path(pattern=SELECTOR_PATTERN, max_length=60)]


@router.get(
    "",
    operation_id="list_domain_keys",
    summary="List the DKIM keys of a domain",
    response_description="The keys, without their secrets.",
    responses=problems("read"),
)
async def list_domain_keys(caller: Reader, name: DomainPath, parts: Parts) -> KeyList:
    """Return the keys of a domain, former ones for a month too, each with the record that it wants."""
    return KeyList.of(await _keys(caller, name, parts), name, datetime.now(UTC))


@router.post(
    "",
    operation_id="import_domain_key",
    summary="Import a DKIM key",
    response_description="The key, without its secret.",
    status_code=HTTPStatus.CREATED,
    responses=problems("import_key"),
    openapi_extra=body_of(KeyRequest),
)
async def import_domain_key(
    caller: Manager,
    name: DomainPath,
    wanted: Annotated[KeyRequest, Depends(sent(KeyRequest))],
    parts: Parts,
    response: Response,
) -> KeyOut:
    """Take a key that you have. It signs once its record is found, in place of others of its algorithm."""
    parts.health.require_room()
    await _keys(caller, name, parts)
    pem = wanted.private_key.get_secret_value().encode()
    key = await parts.dkim.add(caller.project, name, wanted.selector, pem)
    response.headers["Location"] = f"/domains/{name}/keys"
    return KeyOut.of(key, name, datetime.now(UTC))


@router.post(
    "/rotate",
    operation_id="rotate_domain_keys",
    summary="Rotate the DKIM keys of a domain",
    response_description="The keys whose records are to be published.",
    responses=problems("rotate"),
)
async def rotate_domain_keys(caller: Manager, name: DomainPath, parts: Parts) -> KeyList:
    """Make new keys and return their records. The former keys sign until the new records are found.

    While there are keys whose records were not found yet, those are returned, and none are made.
    """
    parts.health.require_room()
    await _keys(caller, name, parts)
    keys = await parts.dkim.rotate(caller.project, name)
    return KeyList.of(keys, name, datetime.now(UTC))


@router.delete(
    "/{selector}",
    operation_id="revoke_domain_key",
    summary="Revoke a DKIM key",
    response_description="It signs no more.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("revoke"),
)
async def revoke_domain_key(
    caller: Manager,
    name: DomainPath,
    selector: _Selector,
    query: Annotated[RevokeQuery, Query()],
    parts: Parts,
) -> None:
    """End a key at once and destroy its secret; mail that it signed and that waits keeps its signature.

    A key that has never signed, or is over already, leaves the list.
    """
    await parts.dkim.revoke(caller.project, name, selector, even_if_last=query.force)


async def _keys(caller: Caller, name: str, parts: Services) -> Keys:
    """Return the keys of a domain. Raises NotFound where the project has no such domain."""
    keys = await parts.dkim.keys(caller.project, name)
    if not keys:
        raise NotFound(f"there is no domain {name} in this project")
    return keys
