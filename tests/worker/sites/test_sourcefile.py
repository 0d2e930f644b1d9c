"""The file of sources: what it may say, and that each mistake is told in a line that names its place."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.messages import Stream
from worker.sites.sourcefile import parse_sources, read_sources
from worker.sites.sources import Pool, Source, WarmUp

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"
ALL = 'streams = ["transactional", "bulk"]'
GOOD = f"""
[all]
{ALL}
[[all.sources]]
name = "out1"
ipv4 = "127.0.0.2"
ehlo_name = "out1.example.com."
warm_up = {{ start = 2026-03-01, mails = [50, 100] }}
"""
ANOTHER = """
[[all.sources]]
name = "out2"
ipv4 = "127.0.0.3"
ehlo_name = "out2.example.com"
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_sources(text)
    return caught.value.detail.splitlines()


def test_a_good_file_is_read() -> None:
    warm_up = WarmUp(date(2026, 3, 1), (50, 100))
    source = Source("out1", "out1.example.com", ipv4="127.0.0.2", warm_up=warm_up)
    assert parse_sources(GOOD) == (Pool("all", frozenset(Stream), (source,)),)


def test_the_example_of_the_page_is_a_good_file() -> None:
    (example,) = re.findall(
        r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    pools = parse_sources(example)
    assert [(pool.name, [source.name for source in pool.sources]) for pool in pools] == [
        ("shop", ["out1", "out2"]),
        ("news", ["news1", "news2"]),
    ]


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("ipv4", "ip", "all.sources[1].ip: there is no such key"),
        ("[all]", "[all]\ncolour = 1", "all.colour: there is no such key"),
        ('name = "out1"', "", "all.sources[1].name: it is missing"),
        ("ehlo_name", "# ", "all.sources[1].ehlo_name: it is missing"),
        ("out1.example.com.", "out 1", "all.sources[1].ehlo_name: 'out 1' is no host name"),
        ('"out1"', '"Out 1"', "all.sources[1].name: a name has small letters"),
        ("127.0.0.2", "127.0.0", "all.sources[1].ipv4: Input is not a valid IPv4 address"),
        ("127.0.0.2", "::1", "all.sources[1].ipv4: Input is not a valid IPv4 address"),
        ("127.0.0.2", "0.0.0.0", "all.sources[1].ipv4: 0.0.0.0 is not the address of one host"),
        ("127.0.0.2", "224.0.0.1", "all.sources[1].ipv4: 224.0.0.1 is not the address of one host"),
        ('ipv4 = "127.0.0.2"', "", "all.sources[1]: a source needs `ipv4`, `ipv6` or both"),
        ("[50, 100]", "[]", "all.sources[1].warm_up.mails: there has to be one at least"),
        ("[50, 100]", "[50, 0]", "all.sources[1].warm_up.mails[2]: Input should be greater"),
        ("2026-03-01", "2026-02-30", "this is not TOML"),
        ("2026-03-01", '"soon"', "all.sources[1].warm_up.start: Input should be a valid date"),
        (ALL, 'streams = ["bulk"]', "the stream transactional has no pools; it needs one"),
        (ALL, "streams = []", "all.streams: there has to be one at least"),
        ('"bulk"', '"balk"', "all.streams[2]: Input should be 'transactional' or 'bulk'"),
        ("[all]", "nothing = 1\n[all]", "nothing: it has to be a table"),
        ("[all]", "[all", "this is not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(wrong: str, right: str, line: str) -> None:
    assert wrong in GOOD
    (told,) = mistakes(GOOD.replace(wrong, right))
    assert told.startswith(line)


def test_every_mistake_has_a_line() -> None:
    wrong = GOOD.replace("127.0.0.2", "127").replace("100]", "-1]") + ANOTHER.replace("ipv4", "ip")
    assert len(mistakes(wrong)) == 3


def test_an_empty_file_lacks_a_pool_for_each_stream() -> None:
    assert len(mistakes("")) == len(Stream)


def test_a_stream_has_one_pool_only() -> None:
    second = GOOD.replace("all", "more").replace("out1", "out2").replace("127.0.0.2", "127.0.0.3")
    assert mistakes(GOOD + second) == [
        f"the stream {stream} has 2 pools; it needs one" for stream in Stream
    ]


def test_names_and_addresses_are_given_once() -> None:
    assert mistakes(GOOD + ANOTHER.replace("out2", "out1").replace("0.3", "0.2")) == [
        "the name out1 is given to 2 sources",
        "the address 127.0.0.2 is given to 2 sources",
    ]


def test_the_machine_must_have_every_address(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(GOOD + ANOTHER)
    assert len(read_sources(path)[0].sources) == 2
    path.write_text(GOOD + ANOTHER.replace("127.0.0.3", "192.0.2.1"))
    with pytest.raises(ConfigurationError) as caught:
        read_sources(path)
    assert caught.value.detail == (
        f"{path}: out2: 192.0.2.1 cannot be used on this machine: no interface has it"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml: cannot be read"):
        read_sources(tmp_path / "gone.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"odd\.toml: cannot be read"):
        read_sources(tmp_path / "odd.toml")
