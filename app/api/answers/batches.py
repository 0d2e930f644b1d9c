"""What became of the messages of a batch, as clients get it: a result for each, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal, TypeAlias

import orjson
from fastapi import Response
from pydantic import Field

from app.api.answers.messages import Accepted
from app.api.answers.model import AnswerModel
from app.api.answers.problems import ProblemOut
from app.api.problems import answer_with, content_of
from app.errors import PillarboxError
from app.messages import Receipt


class AcceptedItem(AnswerModel):
    """This message is on disk and will be delivered."""

    status: Literal["accepted"]
    message: Accepted
    replayed: bool = Field(
        description="Whether an earlier request with this Idempotency-Key had it accepted."
    )


class RefusedItem(AnswerModel):
    """This message was not accepted."""

    status: Literal["refused"]
    problem: ProblemOut = Field(description="Why; pointers begin at the message.")


Item: TypeAlias = Annotated[AcceptedItem | RefusedItem, Field(discriminator="status")]


class BatchResults(AnswerModel):
    """What became of each message of a batch."""

    accepted: int = Field(description="How many messages are on disk.")
    refused: int = Field(description="How many are not.")
    results: list[Item] = Field(description="One for each message, in their order.")


class BatchProblemOut(ProblemOut):
    """Why a batch was not read to its end."""

    results: list[Item] | None = Field(
        default=None, description="What became of the messages before; missing where none was read."
    )


def answer_of(results: Sequence[Receipt | PillarboxError]) -> Response:
    """Return the answer to a batch that was read to its end."""
    accepted = sum(isinstance(result, Receipt) for result in results)
    content = {
        "accepted": accepted,
        "refused": len(results) - accepted,
        "results": [*map(_item, results)],
    }
    return Response(orjson.dumps(content), HTTPStatus.ACCEPTED, media_type="application/json")


def broken_off(error: PillarboxError, results: Sequence[Receipt | PillarboxError]) -> Response:
    """Return the answer to a batch that was not, with what became of the messages before."""
    return answer_with(error, {"results": [*map(_item, results)]} if results else {})


def _item(result: Receipt | PillarboxError) -> dict[str, object]:
    if isinstance(result, PillarboxError):
        return {"status": "refused", "problem": content_of(result)}
    message = Accepted.of(result).model_dump(mode="json")
    return {"status": "accepted", "message": message, "replayed": result.replayed}
