"""A calendar to test with."""

from __future__ import annotations

from app.mail.mime.invitation import Invitation, Method

CALENDAR = (
    "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//shop.example//EN\nMETHOD:REQUEST\n"
    "BEGIN:VEVENT\nUID:1815@shop.example\nDTSTAMP:20300131T093000Z\nDTSTART:20300201T090000Z\n"
    'ORGANIZER;CN="Shop: Café":mailto:shop@example.com\nATTENDEE;RSVP=TRUE:mailto:jane@example.net\n'
    "SUMMARY:Übergabe 🚚\nDESCRIPTION:one line that is\n  folded\\nand has METHOD:CANCEL in it\n"
    "END:VEVENT\nEND:VCALENDAR\n"
)
INVITATION = Invitation(CALENDAR, Method.REQUEST)
