"""The records to publish, and how they stand in a zone file."""

from __future__ import annotations

import dns.rdatatype
import dns.zone
from hypothesis import given
from hypothesis import strategies as st

from app.identity.records import Hosts, PublicKey, Purpose, Record, RecordType, records_of, zone_of
from tests.fakes.identity import ED25519, RSA

KEYS = (PublicKey("r1", RSA), PublicKey("e1", ED25519), PublicKey("old", RSA, is_required=False))
HOSTS = Hosts(("include:spf.mail.example.net", "ip4:192.0.2.7"), "in.mail.example.net")


def test_each_purpose_has_its_record() -> None:
    records = records_of("shop.example", "bounces.shop.example", KEYS, HOSTS)
    assert [(each.purpose.value, each.name, each.is_required) for each in records] == [
        ("dkim", "r1._domainkey.shop.example", True),
        ("dkim", "e1._domainkey.shop.example", True),
        ("dkim", "old._domainkey.shop.example", False),
        ("return_path", "bounces.shop.example", True),
        ("return_path_mx", "bounces.shop.example", True),
        ("spf", "shop.example", False),
        ("dmarc", "_dmarc.shop.example", False),
    ]
    by_purpose = {each.purpose: each.value for each in records}
    assert by_purpose[Purpose.RETURN_PATH] == (
        "v=spf1 include:spf.mail.example.net ip4:192.0.2.7 -all"
    )
    assert by_purpose[Purpose.RETURN_PATH_MX] == "10 in.mail.example.net"


def test_what_the_settings_do_not_say_is_left_out() -> None:
    records = records_of("shop.example", "bounces.shop.example", KEYS[:2], Hosts())
    assert {each.purpose for each in records} == {Purpose.DKIM, Purpose.DMARC}


def test_another_reader_of_zone_files_reads_the_same_values() -> None:
    records = records_of("shop.example", "bounces.shop.example", KEYS, HOSTS)
    soa = "@ 3600 IN SOA ns.shop.example. root.shop.example. 1 2 3 4 5\n@ 3600 IN NS ns.example.net.\n"
    zone = dns.zone.from_text(soa + zone_of("shop.example", records), "shop.example.")
    for record in records:
        kind = dns.rdatatype.from_text(record.type.value)
        found = zone.get_rdataset(record.name + ".", kind)
        assert found is not None
        values = [
            b"".join(each.strings).decode() if record.type is RecordType.TXT else str(each)
            for each in found
        ]
        wanted = record.value if record.type is RecordType.TXT else f"{record.value}."
        assert wanted in values
        assert all(len(part) <= 255 for each in found for part in getattr(each, "strings", ()))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=600))
def test_any_text_is_quoted_so_that_it_comes_back(text: str) -> None:
    record = Record(Purpose.DKIM, "x.shop.example", RecordType.TXT, text, is_required=True)
    soa = "@ 3600 IN SOA ns.shop.example. root.shop.example. 1 2 3 4 5\n@ 3600 IN NS ns.example.net.\n"
    zone = dns.zone.from_text(f"{soa}{record.zone_line}\n", "shop.example.")
    found = zone.get_rdataset("x", "TXT")
    assert found is not None
    assert b"".join(found[0].strings).decode() == text
