from __future__ import annotations

from mtljobs.report.markup import Markup, details, element, join, picture, table


def test_text_is_escaped_wherever_it_enters() -> None:
    evil = "<script>alert('1 & 2')</script>"
    built = [
        element("p", evil, attributes={"title": evil}),
        table([evil], [[evil, evil]], kind=evil),
        picture(b"", kind="png", alt=evil, caption=evil, width=3),
        details(evil, evil),
        join([evil]),
    ]
    for markup in built:
        assert "<script" not in markup
        assert "&lt;script&gt;" in markup


def test_markup_is_not_escaped_twice() -> None:
    assert element("p", join([Markup("<b>x</b>"), " < y"])) == "<p><b>x</b> &lt; y</p>"


def test_a_picture_carries_its_bytes() -> None:
    shown = picture(b"\x00\x01\x02", kind="png", alt="three bytes", caption="", width=3)
    assert 'src="data:image/png;base64,AAEC" alt="three bytes" width="3"' in shown
