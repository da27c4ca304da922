"""The frame of the page: a document that loads nothing and runs its own script alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from mtljobs.report.markup import Markup, element, join

_BROWSER = Path(__file__).with_name("browser")
_SCRIPTS = ("items.js", "pictures.js", "chart.js", "explorer.js")


def html_document(title: str, content: Markup) -> str:
    """A whole document with the page's style and script inside."""
    style, script = _read("page.css"), read_script()
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; "
        f"script-src {_source(script)}; base-uri 'none'; form-action 'none'"
    )
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            element("title", title),
            element("style", Markup(style)),
        ],
        "\n",
    )
    body = element(
        "body", content, "\n", element("script", Markup(script), attributes={"type": "module"})
    )
    document = element("html", element("head", head), body, attributes={"lang": "en"})
    return f"<!DOCTYPE html>\n{document}\n"


def read_script() -> str:
    """The page's script: its files, each of which uses what those before it define."""
    return "\n".join(map(_read, _SCRIPTS))


def _read(name: str) -> str:
    return (_BROWSER / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a content security policy calls an inline text: its SHA-256."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
