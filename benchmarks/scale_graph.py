"""A graph of 10,000 shards, as a grid of ours and as rules of Snakemake, and a Slurm for it."""

from __future__ import annotations

from pathlib import Path

SETS = ("rooms", "streets")
SPARSITIES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

GRID = """
[[experiment]]
name = "{set}"
data = {{ name = "{set}", size = [32, 64], train = 16, test = 16 }}
model = {{ name = "segnet_mtan", width = 0.0625 }}
tasks = [{{ name = "segmentation" }}, {{ name = "depth" }}]
training = {{ iterations = 12, batch = 4 }}
pruning = {{ name = "netslim" }}
sparsities = {sparsities}
seeds = {seeds}
explain = {{ images = 16, block = 8 }}
"""
"""One experiment: per seed 2 trainings, 8 cuts, 8 tunings, 9 evaluations, 18 explanations."""

SNAKEFILE = """
SETS, SPARSITIES, SEEDS = {sets}, {sparsities}, {seeds}
wildcard_constraints:
    pruned=r"0\\.\\d", block=r"\\d", seed=r"\\d+"
rule all:
    input:
        expand("{{set}}/{{result}}/{{sparsity}}-{{seed}}", set=SETS, sparsity=SPARSITIES,
               result=["evaluate", "explain-0", "explain-1"], seed=SEEDS)
rule segment:
    output: "{{set}}/segments"
rule dense:
    output: "{{set}}/network/0-{{seed}}"
rule train:
    output: "{{set}}/trained/{{seed}}"
rule cut:
    input: "{{set}}/trained/{{seed}}"
    output: "{{set}}/cut/{{pruned}}-{{seed}}"
rule tune:
    input: "{{set}}/cut/{{pruned}}-{{seed}}"
    output: "{{set}}/network/{{pruned}}-{{seed}}"
rule evaluate:
    input: "{{set}}/network/{{sparsity}}-{{seed}}"
    output: "{{set}}/evaluate/{{sparsity}}-{{seed}}"
rule explain:
    input: "{{set}}/network/{{sparsity}}-{{seed}}", "{{set}}/segments"
    output: "{{set}}/explain-{{block}}/{{sparsity}}-{{seed}}"
"""

PROGRAMS = {
    "sbatch": 'echo call >> "$0.calls"\necho Submitted batch job $((100 + $(wc -l < "$0.calls")))',
    "scontrol": "echo MaxArraySize = 1001\necho MaxJobCount = 100000",
    "squeue": 'cat "$0.lines"',
    "srun": "",
}
"""A Slurm that takes every job and runs none: name of a program -> lines of its script."""


def write_grid(folder: Path, *, seeds: int) -> Path:
    """A grid of two experiments: 90 shards per seed, two of superpixels, and the reduction."""
    path = folder / "scale.toml"
    values = {"sparsities": list(SPARSITIES), "seeds": list(range(seeds))}
    path.write_text("".join(GRID.format(set=name, **values) for name in SETS))
    return path


def write_snakefile(folder: Path, *, seeds: int) -> Path:
    """The same graph: a job for each shard, and a file for each result."""
    path = folder / "Snakefile"
    values = {"sparsities": list(SPARSITIES), "seeds": list(range(seeds))}
    path.write_text(SNAKEFILE.format(sets=list(SETS), **values))
    return path


def write_slurm(folder: Path) -> Path:
    """A folder of Slurm's programs.

    `sbatch.calls` in it has a line for each call of sbatch, `squeue.lines` is what squeue shows.
    """
    programs = folder / "programs"
    programs.mkdir()
    (programs / "squeue.lines").touch()
    for name, lines in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{lines}\n")
        (programs / name).chmod(0o755)
    return programs
