from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mtljobs.results.latex import escape, to_latex
from mtljobs.results.sheets import Sheet

COMPILERS = [name for name in ("tectonic", "pdflatex") if shutil.which(name)]
HOSTILE = {
    r"50%_of & $x$ #1 {a} ~ ^ \end": Sheet(
        ["[0] | *", "50 %", "±"],
        [["[1em] depth ↓", "-0.25 [-0.3, -0.2]", "<0.001"], ["*", "0.4 ± 0.1 †", "-"]],
    ),
    "empty": Sheet(["AOC"], []),
    "plain": Sheet(["AOC", "0 %"], [["+-+", "0.5"]]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b%c&d$e#f{g}", r"a\_b\%c\&d\$e\#f\{g\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("\\", r"\textbackslash{}"),
        ("[1em]", "{[}1em{]}"),
        ("0.4 ± 0.1 †", r"0.4 $\pm$ 0.1 $\dagger$"),
        ("<0.001", "$<$0.001"),
        ("two\nlines", "two lines"),
    ],
)
def test_every_sign_is_printed_as_it_is(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.25 [-0.3, 0.1]", "$-$0.25 {[}$-$0.3, 0.1{]}"),
        ("0.00-0.20", "0.00-0.20"),
        ("test-00002", "test-00002"),
        ("+-+", "+-+"),
        ("-", "-"),
    ],
)
def test_only_a_hyphen_before_a_number_is_a_minus(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_sheet_is_a_booktabs_tabular_with_its_numbers_flush_right() -> None:
    sheet = Sheet(["AOC", "0 %", "50 %"], [["depth", "0.5", "0.4"], ["normals", "0.7", "0.6"]])
    assert to_latex({"segnet-netslim": sheet}).splitlines()[1:] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"\multicolumn{3}{l}{segnet-netslim} \\",
        r"\midrule",
        r"AOC & 0 \% & 50 \% \\",
        r"\midrule",
        r"depth & 0.5 & 0.4 \\",
        r"normals & 0.7 & 0.6 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_no_name_or_cell_breaks_rows_columns_or_groups() -> None:
    text = to_latex(HOSTILE)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    separators = [len(re.findall(r"(?<!\\)&", row)) for row in rows]
    assert separators == [0, 2, 2, 2, 0, 1, 1]
    assert not any(row.startswith(("[", "*")) for row in rows)
    for row in rows:
        braces = re.sub(r"\\[{}]", "", row)
        assert braces.count("{") == braces.count("}")
        assert not re.search(r"(?<!\\)[#~^_%]", row.replace(r"\textasciitilde{}", ""))


@pytest.mark.skipif(not COMPILERS, reason="neither tectonic nor pdflatex is installed")
def test_what_is_written_compiles(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(to_latex(HOSTILE), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\n"
        "\\begin{document}\\input{table.tex}\\end{document}\n"
    )
    done = subprocess.run(
        [COMPILERS[0], "paper.tex"], cwd=tmp_path, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "paper.pdf").stat().st_size > 0
