"""HTML from values: what is not markup already is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence


class Markup(str):
    """Text that is HTML; every other string is escaped where it meets HTML."""

    __slots__ = ()


def element(tag: str, *content: str, attributes: Mapping[str, str] | None = None) -> Markup:
    """An element with its content.

    Example:
        >>> element("td", "a < b", attributes={"class": "number"})
        '<td class="number">a &lt; b</td>'
        >>> element("tr", element("td", "1"), element("td", "2"))
        '<tr><td>1</td><td>2</td></tr>'
    """
    written = "".join(
        f' {name}="{html.escape(value)}"' for name, value in (attributes or {}).items()
    )
    return Markup(f"<{tag}{written}>{join(content)}</{tag}>")


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(separator.join(_escape(part) for part in parts))


def table(header: Sequence[str], body: Iterable[Sequence[str]], *, kind: str) -> Markup:
    """A table whose first column names the rows.

    Args:
        kind: CSS class: "numbers" aligns right, "words" left.
    """
    head = element("tr", *(element("th", cell, attributes={"scope": "col"}) for cell in header))
    rows = [
        element(
            "tr",
            element("th", row[0], attributes={"scope": "row"}),
            *(element("td", cell) for cell in row[1:]),
        )
        for row in body
    ]
    framed = element(
        "table",
        element("thead", head),
        element("tbody", join(rows, "\n")),
        attributes={"class": kind},
    )
    return wide(framed)


def wide(*content: str) -> Markup:
    """Content in a frame of its own, which scrolls sideways where the window is narrower."""
    return element("div", *content, attributes={"class": "wide"})


def picture(content: bytes, *, kind: str, alt: str, caption: str, width: int) -> Markup:
    """An image inside the page, with its caption.

    Args:
        kind: "jpeg", "png" or "svg+xml".
        alt: What a reader who cannot see it should know.
        width: At which it is shown, in CSS pixels; in narrower windows it scrolls.
    """
    data = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    shown = Markup(f'<img src="{data}" alt="{html.escape(alt)}" width="{width}">')
    return element("figure", wide(shown), element("figcaption", caption))


def details(summary: str, *content: str) -> Markup:
    """Content that opens on a click."""
    return element("details", element("summary", summary), *content)


def _escape(text: str) -> str:
    return text if isinstance(text, Markup) else html.escape(text)
