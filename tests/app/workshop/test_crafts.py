"""What the crafts make, and that nothing outside of the text goes into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workshop.elements import deepest
from app.workshop.mjml import rendered
from app.workshop.orders import WorkshopRefusal
from app.workshop.plaintext import text_of
from app.workshop.styles import inlined


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and what it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"p{color:red}")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


def test_no_style_sheet_is_loaded_from_anywhere(
    asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, paths = asked
    sheet = tmp_path / "sheet.css"
    sheet.write_text("p{color:green}")
    links = "".join(
        f'<link rel="stylesheet" href="{href}">'
        for href in (f"{url}/a.css", sheet.as_uri(), str(sheet), "file:///etc/passwd")
    )
    imports = f"<style>@import url({url}/b.css); @import '{sheet}'; p{{margin:0}}</style>"
    made = inlined(f"{links}{imports}<p>x</p>").text
    assert '<p style="margin: 0;">x</p>' in made
    assert "green" not in made
    assert "root:" not in made
    assert f'href="{url}/a.css"' in made  # for the mail program, which may load it
    assert paths == []


def test_nothing_is_included_into_mjml(asked: tuple[str, list[str]], tmp_path: Path) -> None:
    url, paths = asked
    part = tmp_path / "part.mjml"
    part.write_text("<mj-text>x</mj-text>")
    for path in (f"{url}/a.mjml", part.as_uri(), str(part)):
        with pytest.raises(WorkshopRefusal, match=r"^line 2: mj-include is not supported"):
            rendered(f'<mjml><mj-body>\n<mj-include path="{path}" /></mj-body></mjml>')
    assert paths == []


def test_text_is_made_without_loading_anything(asked: tuple[str, list[str]]) -> None:
    url, paths = asked
    assert (
        text_of(f'<img src="{url}/x.png" alt="A cat"><iframe src="{url}/y"></iframe>').text
        == "A cat"
    )
    assert paths == []


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ("<mj-foo />", "line 2: there is no element mj-foo in MJML"),
        ("<mj-text>\na < b</mj-text>", "line 3: `<` begins no tag there; write `&lt;`"),
        ("<mj-text>\n<p>x</mj-text>", "line 3: <p> is not closed"),
        ("<mj-text>x</b></mj-text>", "line 2: </b> closes nothing"),
        ("<mj-text><p class=x>x</p></mj-text>", "line 2: <p> has a value without quotes"),
        ("{{\n\n}}<mj-foo />", "line 4: there is no element mj-foo in MJML"),
    ],
)
def test_a_fault_in_mjml_is_told_with_its_line(inside: str, reason: str) -> None:
    with pytest.raises(WorkshopRefusal) as caught:
        rendered(f"<mjml><mj-body>\n{inside}</mj-body></mjml>")
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["", "hello", "<p>x</p>", "<mjml></mjml", "<?xml?><mjml />"])
def test_what_is_no_mjml_is_refused(text: str) -> None:
    with pytest.raises(WorkshopRefusal):
        rendered(text)


def test_rules_that_no_element_can_hold_stay() -> None:
    rules = "a:hover{color:red} @media (max-width:9px){p{margin:1px}} p{margin:0}"
    made = inlined(f"<style>{rules}</style><p style='color:red'>x</p>").text
    assert "a:hover" in made
    assert "@media (max-width:9px){p{margin:1px}}" in made
    assert '<p style="margin: 0;color:red">x</p>' in made.replace(": red", ":red")
    assert "p{margin:0}" not in made.replace(" ", "")


@pytest.mark.parametrize(
    ("html", "is_mjml", "depth"),
    [
        ("", False, 0),
        ("<div><p>a<p>b<br><img></div><div></div>", False, 1),
        ("<div/><div/>", False, 2),
        ("<mj-a/><mj-b><mj-c/></mj-b>", True, 1),
        ("<p><p><p>", True, 3),
        ("<b></x><b></x><b>", False, 3),
        ("<!-- <b><b> --><i title='<b><b>'>", False, 1),
        ("a < b <3 <>", False, 0),
    ],
)
def test_the_depth_of_elements(html: str, is_mjml: bool, depth: int) -> None:
    assert deepest(html, is_mjml=is_mjml) == depth


_TAGS = st.sampled_from(
    [
        "<p>", "</p>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<th>", "<ul>", "<ol start=x>", "<li>",
        "</ul>", "<a href='http://x.example'>", "</a>", "<img alt=cat>", "<br>", "<pre>", "</pre>", "<b>", "</b>",
        "<td colspan=9>", "<div style='padding:x;margin:-9em'>", "</div>", "<caption>", "<select><option>",
        "<svg>", "</body>", "<body>", "<h1>", "<q>", "<blockquote>", "<!-- -->", "<?x ?>", "<![CDATA[x]]>",
        "&nbsp;", "&bogus;", "&#0;", "<", ">", "\0",
    ]
)  # fmt: skip
_FORMS = st.sampled_from(
    [
        "<p>{}</p>", "<div>{}</div>", "<b>{}</b> ", "<ul><li>{}</li></ul>", "<h2>{}</h2>", "<img alt={}> ",
        "<table><tr><td>{}</td></tr></table>", "<table><tr><td>{}</td><td>x</td></tr></table>", "<pre>{}</pre>",
    ]
)  # fmt: skip


@given(st.lists(_TAGS | st.text(max_size=5), max_size=30).map("".join))
def test_text_can_be_made_of_whatever_is_no_html(html: str) -> None:
    text = text_of(html).text
    assert not any(line != line.rstrip() for line in text.split("\n"))
    assert "\n\n\n" not in text


@given(st.lists(st.tuples(_FORMS, st.from_regex(r"\A[a-z]{1,9}\Z"))))
def test_every_visible_word_is_in_the_text_in_its_order(parts: list[tuple[str, str]]) -> None:
    html = "".join(form.format(word) for form, word in parts)
    found = iter(text_of(html).text.split())
    assert all(word in found for _, word in parts)
