from __future__ import annotations


def test_a_run_without_a_store_is_refused_and_nothing_is_written(mtljobs, submitted, tmp_path):
    submitted()
    answer = mtljobs(f"export study --format csv --output {tmp_path}/items.csv")
    assert (answer.code, "no store yet" in answer.err) == (2, True)
    assert not list(tmp_path.glob("*items.csv*"))


def test_a_format_that_does_not_exist_is_answered_with_those_that_do(mtljobs, submitted):
    submitted()
    answer = mtljobs("export study --format hdf")
    assert (answer.code, "netcdf" in answer.err) == (2, True)


def test_a_sparsity_of_an_archive_is_refused_before_anything_is_read(mtljobs, submitted, tmp_path):
    submitted()
    answer = mtljobs(f"export study --format zarr-zip --sparsity 0.5 --output {tmp_path}/a.zip")
    assert (answer.code, "leave --sparsity out" in answer.err) == (2, True)


def test_help_says_how_an_archive_is_opened_and_of_which_runs_it_is(mtljobs):
    said = " ".join(mtljobs("export --help").out.split())
    assert 'zarr.storage.ZipStore(FILE, mode="r")' in said
    assert "runs that keep their results in Zarr" in " ".join(said.replace("│", " ").split())
