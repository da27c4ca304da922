from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

from mtljobs.cluster.profiles import find_profile, remember_profile, run_profile
from mtljobs.errors import ProfileError
from mtljobs.plan.shipped import shipped, shipped_profiles
from mtljobs.settings.profile import Profile


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder that a user works in; its own profiles."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs/profiles").mkdir(parents=True)
    return tmp_path / "jobs/profiles"


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profile_is_valid(project, name):
    assert isinstance(find_profile(name), Profile)


def test_template_changes_nothing_until_somebody_edits_it(project):
    assert find_profile("template") == Profile()


def test_template_has_an_example_of_every_key(project):
    text = shipped("jobs/profiles/template.toml").read_text()
    lines = re.findall(r"^# (\w+ = .*)$", text, flags=re.MULTILINE)
    (project / "all.toml").write_text("\n".join(lines))
    assert isinstance(find_profile("all"), Profile)
    assert list(tomllib.loads("\n".join(lines))) == [
        field.name for field in dataclasses.fields(Profile)
    ]


def test_profile_of_the_project_counts_before_the_shipped_one(project):
    assert find_profile("habrok").partition == "gpu"
    (project / "habrok.toml").write_text('partition = "mine"')
    assert find_profile("habrok").partition == "mine"


def test_path_works_too(project):
    (project.parent / "other.toml").write_text("notice_s = 60")
    assert find_profile("jobs/other.toml") == Profile(notice_s=60)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("habrock", r"no profile 'habrock' \(did you mean 'habrok'\?\)"),
        ("mine", r"valid: habrok, ours, template"),
        ("jobs/none.toml", r"no profile at 'jobs/none.toml'; `mtljobs init` writes one"),
    ],
)
def test_profile_that_is_not_there_names_those_that_are(project, name, message):
    (project / "ours.toml").touch()
    with pytest.raises(ProfileError, match=message):
        find_profile(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('partiton = "gpu"', r"unknown key partiton \(did you mean 'partition'"),
        ('notice_s = "120"', r"notice_s = '120' should be a valid integer"),
        ("notice_s = 5", r"notice_s = 5 should be greater than or equal to 10"),
        ('modules = "Python"', r"modules should be an array"),
        ('umask = "0o77"', r"umask = '0o77' should match pattern"),
        ('account = "a\\nb"', r"account = 'a\\nb' should match pattern"),
        ("partition = ", r"is not a TOML file"),
    ],
)
def test_mistake_in_a_profile_is_told_by_its_key(project, text, message):
    (project / "mine.toml").write_text(text)
    with pytest.raises(ProfileError, match=message):
        find_profile("mine")


def test_run_keeps_the_profile_that_it_was_submitted_with(run):
    assert run_profile(run) == Profile()
    profile = find_profile("habrok")
    remember_profile(run, profile)
    assert run_profile(run) == profile
