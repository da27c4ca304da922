"""Every answer of docs/analysis.md, on a stored run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtljobs.ledger.paths import RunFolder

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


def read_blocks() -> dict[str, str]:
    """The code of every section, by its heading."""
    sections = re.split(r"^#+ (.*)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    blocks = {
        title: "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }
    return {title: code for title, code in blocks.items() if code}


def test_every_question_is_answered(
    stored_run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(stored_run.root.parent))
    blocks = read_blocks()
    assert sum(title[0].isdigit() for title in blocks) == 10
    names: dict[str, object] = {}
    for title, code in blocks.items():
        exec(compile(code, title, "exec"), names)  # noqa: S102 (our own document)
        if title[0].isdigit():
            answer = capsys.readouterr().out
            assert answer.strip(), title
            assert "nan" not in answer.lower(), title
