from __future__ import annotations

from pathlib import Path

import pytest

from mtljobs.errors import GridError
from mtljobs.plan.grids import find_grid, read_grid
from mtljobs.plan.shipped import shipped, shipped_grids


class TestFindGrid:
    def test_name_is_a_shipped_grid(self):
        assert find_grid("demo") == shipped("jobs/demo.toml")

    def test_path_is_a_file_anywhere(self, grid_file):
        assert find_grid(str(grid_file())) == grid_file()

    def test_file_in_this_folder_needs_its_suffix_only(self, grid_file, monkeypatch):
        monkeypatch.chdir(grid_file().parent)
        assert find_grid("study.toml") == Path("study.toml")

    def test_misspelt_name_is_answered_with_the_nearest(self):
        with pytest.raises(GridError, match=r"no grid 'demoo' \(did you mean 'demo'\?\)"):
            find_grid("demoo")

    def test_name_like_no_other_is_answered_with_all(self):
        with pytest.raises(GridError) as caught:
            find_grid("xyz")
        assert f"(valid: {', '.join(shipped_grids())})" in str(caught.value)

    @pytest.mark.parametrize("path", ["demo.toml", "grids/demo", "/no/where.toml"])
    def test_missing_file_is_named(self, path, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(GridError, match=f"no grid file at '{path}'.*demo"):
            find_grid(path)

    def test_folder_is_no_grid(self, tmp_path):
        with pytest.raises(GridError, match="no grid file at"):
            find_grid(str(tmp_path))


class TestReadGrid:
    def test_file_becomes_settings(self, grid_file):
        grid = read_grid(grid_file())
        assert grid.experiment[0].sparsities == (0.0, 0.5)
        assert grid.experiment[0].data.size == (32, 32)
        assert grid.resources.data == {"desk": "../desk"}

    def test_order_of_keys_and_the_way_of_writing_tables_change_nothing(self, grid_file):
        first = read_grid(grid_file())
        again = read_grid(
            grid_file(
                ("seeds = [0]\n", ""),
                ('name = "study"\n', 'seeds = [0]\nname = "study"\n'),
                ("training = { iterations = 12, batch = 4 }\n", ""),
                ("[numerics]", "[experiment.training]\nbatch = 4\niterations = 12\n[numerics]"),
            )
        )
        assert again == first

    @pytest.mark.parametrize("name", shipped_grids())
    def test_shipped_grid_is_valid_to_its_last_key(self, name):
        assert read_grid(find_grid(name)).experiment

    def test_grid_that_is_not_toml_names_the_line(self, refusal, grid_file):
        assert "is not a TOML file" in refusal(grid_file(("seeds = [0]", "seeds = [0")))
        assert "at line 11" in refusal(grid_file(("seeds = [0]", "seeds = [0")))

    def test_grid_that_is_not_utf8_is_no_toml(self, refusal, grid_text, tmp_path):
        path = tmp_path / "study.toml"
        path.write_bytes(grid_text.encode("utf-16"))
        assert "is not a TOML file: 'utf-8' codec can't decode" in refusal(path)

    def test_empty_file_lacks_its_experiment(self, refusal, tmp_path):
        path = tmp_path / "study.toml"
        path.write_text("")
        assert refusal(path) == "the key experiment is missing."
