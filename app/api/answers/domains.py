"""Answers about domains: what to publish, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.events import EventType
from app.identity.domain import Domain, DomainStatus
from app.identity.findings import Finding, FindingState
from app.identity.records import Purpose, Record, RecordType
from app.wire import finding_json


class RecordFinding(AnswerModel):
    """A DNS record of a domain, and what was found of it."""

    purpose: Purpose
    name: str = Field(description="Where it stands, without the final dot.")
    type: RecordType
    value: str = Field(
        description="What should stand there: a merged value where there is a record to keep."
    )
    required: bool = Field(description="Whether the domain is not verified without it.")
    state: FindingState | None = Field(description="What was found; null before the first check.")
    found: list[str] = Field(description="The values that the name servers have.")
    detail: str = Field(
        description="What is wrong and how to put it right, or what could be better; may be empty."
    )


class RecordOut(RecordFinding):
    """The same, with a line for a zone file."""

    zone_line: str = Field(description="The record as one line of a zone file.")

    @classmethod
    def of(cls, record: Record, found: Finding | None) -> RecordOut:
        """Return the answer that shows a record; None is for one that was not looked for yet."""
        if found is None:
            fresh = Finding(record, FindingState.MISSING, (), "", record.value)
            told = {**finding_json(fresh), "state": None}
        else:
            told = finding_json(replace(found, record=record))
            record = replace(record, value=found.value)
        return cls.model_validate({**told, "zone_line": record.zone_line})


class DomainOut(AnswerModel):
    """A domain that the project sends from, with all names below it."""

    name: str = Field(description="In A-labels.", examples=["shop.example"])
    status: DomainStatus
    status_since: Time
    return_path: str = Field(description="The name that receivers return mail to.")
    created_at: Time
    checked_at: Time | None = Field(description="When its records were looked at last.")
    records: list[RecordOut] = Field(description="What to publish, the required ones first.")

    @classmethod
    def of(cls, domain: Domain, records: Sequence[Record]) -> DomainOut:
        """Return the answer that shows `domain`, which has to publish `records`."""
        found = {_whatever_its_need(each.record): each for each in domain.findings}
        return cls(
            name=domain.name,
            status=domain.status,
            status_since=domain.since,
            return_path=domain.return_path,
            created_at=domain.created_at,
            checked_at=domain.checked_at,
            records=[
                RecordOut.of(record, found.get(_whatever_its_need(record))) for record in records
            ],
        )


def _whatever_its_need(record: Record) -> Record:
    """Return what a record is known by: the check that finds a new key is what makes it required."""
    return replace(record, is_required=False)


class DomainSummary(AnswerModel):
    """A domain without its records."""

    name: str
    status: DomainStatus
    status_since: Time
    created_at: Time
    checked_at: Time | None

    @classmethod
    def of(cls, domain: Domain) -> DomainSummary:
        """Return the answer that names `domain`."""
        return cls(
            name=domain.name,
            status=domain.status,
            status_since=domain.since,
            created_at=domain.created_at,
            checked_at=domain.checked_at,
        )


class DomainList(AnswerModel):
    """The domains of the project, by name."""

    data: list[DomainSummary]

    @classmethod
    def of(cls, domains: Sequence[Domain]) -> DomainList:
        """Return the answer that lists `domains`."""
        return cls(data=[DomainSummary.of(domain) for domain in domains])


class DomainEventData(AnswerModel):
    """The domain whose status changed, and its records as they were found."""

    domain: str
    status: DomainStatus
    sequence: int = Field(
        description="The place among the events of the domain: from 1, without gaps."
    )
    records: list[RecordFinding]


class DomainEventOut(AnswerModel):
    """One fact about a domain; only webhooks carry it."""

    id: str = Field(
        description="The same however often it is posted.",
        examples=["evt_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"],
    )
    type: EventType
    timestamp: Time
    data: DomainEventData
