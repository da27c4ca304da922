"""Sheets as LaTeX that a paper reads in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mtljobs.results.sheets import Sheet

_MINUS = "\N{MINUS SIGN}"
_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{sign: f"\\{sign}" for sign in "_%&$#{}"},
        # At the start of a row these would be arguments of the \\ before it.
        **{sign: f"{{{sign}}}" for sign in "[]*"},
        **{sign: f"${sign}$" for sign in "<>|"},
        _MINUS: "$-$",
        "±": r"$\pm$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "†": r"$\dagger$",
    }
)


def to_latex(sheets: Mapping[str, Sheet]) -> str:
    r"""A `tabular` per sheet that has rows, each under its name; needs the package booktabs.

    The first column is flush left, all others are flush right; nothing is set in bold.

    Args:
        sheets: Name -> sheet; names and cells are plain text.

    Example:
        >>> print(to_latex({"net_1": Sheet(["AOC", "50 %"], [["depth", "-0.25"]])}))
        % \usepackage{booktabs}
        \begin{tabular}{lr}
        \toprule
        \multicolumn{2}{l}{net\_1} \\
        \midrule
        AOC & 50 \% \\
        \midrule
        depth & $-$0.25 \\
        \bottomrule
        \end{tabular}
        <BLANKLINE>
    """
    tabulars = [_tabular(name, sheet) for name, sheet in sheets.items() if sheet.body]
    return "% \\usepackage{booktabs}\n" + "\n".join(tabulars)


def _tabular(name: str, sheet: Sheet) -> str:
    columns = len(sheet.header)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"\toprule",
        rf"\multicolumn{{{columns}}}{{l}}{{{escape(name)}}} \\",
        r"\midrule",
        _row(sheet.header),
        r"\midrule",
        *map(_row, sheet.body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    r"""Plain text, as LaTeX prints it; the hyphen before a number becomes a minus.

    Example:
        >>> print(escape("100 % of a_b: -0.5"))
        100 \% of a\_b: $-$0.5
    """
    signed = re.sub(r"(?<![\w.])-(?=\d)", _MINUS, " ".join(text.split()))
    return signed.translate(_ESCAPED)
