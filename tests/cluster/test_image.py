"""Building and checking an image, with a script in Apptainer's place."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mtljobs.cluster import image as module
from mtljobs.cluster.building import build_image, find_checkout, find_commit
from mtljobs.cluster.image import check_image, image_digest, read_labels
from mtljobs.errors import MtljobsError, UserError
from mtljobs.ledger.files import hash_file
from mtljobs.plan.shipped import shipped

FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
told = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}
(here / f"{{sys.argv[1]}}.json").write_text(json.dumps(told))
answer = json.loads((here / "answers.json").read_text()).get(sys.argv[1], [0, ""])
if sys.argv[1] == "build":
    pathlib.Path(sys.argv[-2]).write_text("half of an image" if answer[0] else "an image")
print(answer[1])
sys.exit(answer[0])
"""


class Apptainer:
    """What it was told, and what it shall answer."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "apptainer").write_text(FAKE)
        (folder / "apptainer").chmod(0o755)
        self.answer()

    def answer(self, **answers):
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def told(self, command):
        return json.loads((self.folder / f"{command}.json").read_text())


@pytest.fixture
def apptainer_script(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Apptainer(folder)


@pytest.fixture
def sif(tmp_path, monkeypatch):
    """An image that was last changed long ago, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "mtljobs.sif"
    path.write_bytes(b"an image")
    monkeypatch.setattr(module, "RECENT_S", -1.0)
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class TestDigest:
    def test_it_is_the_sha256_of_the_file(self, sif):
        assert image_digest(sif) == sha256(b"an image")

    def test_an_image_is_read_once(self, sif, monkeypatch):
        image_digest(sif)
        monkeypatch.setattr(module, "hash_file", lambda path: pytest.fail(f"{path} read again"))
        assert image_digest(sif) == sha256(b"an image")

    def test_another_image_in_its_place_is_seen_although_size_and_time_are_the_same(self, sif):
        image_digest(sif)
        then = sif.stat().st_mtime_ns
        other = sif.with_suffix(".new")
        other.write_bytes(b"AN IMAGE")
        os.utime(other, ns=(then, then))
        other.replace(sif)
        assert image_digest(sif) == sha256(b"AN IMAGE")

    def test_content_that_was_changed_behind_its_times_back_is_seen(self, sif):
        image_digest(sif)
        then = sif.stat().st_mtime_ns
        sif.write_bytes(b"AN IMAGE")
        os.utime(sif, ns=(then, then))
        assert image_digest(sif) == sha256(b"AN IMAGE")

    def test_what_may_still_change_unseen_is_not_kept(self, sif, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "RECENT_S", 3600.0)
        image_digest(sif)
        assert not (tmp_path / "cache").exists()

    def test_the_cache_is_private_and_a_broken_one_is_none(self, sif, tmp_path):
        image_digest(sif)
        (kept,) = (tmp_path / "cache" / "mtljobs" / "images").iterdir()
        assert kept.parent.stat().st_mode & 0o077 == 0
        kept.write_text("{")
        assert image_digest(sif) == sha256(b"an image")

    def test_a_cache_that_cannot_be_written_does_not_matter(self, sif, tmp_path):
        (tmp_path / "cache").write_text("a file")
        assert image_digest(sif) == sha256(b"an image")

    def test_an_unpacked_image_has_none(self, tmp_path):
        assert image_digest(tmp_path) == ""

    def test_a_missing_image_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"nothing\.sif cannot be read.*mtljobs image build"):
            image_digest(tmp_path / "nothing.sif")


LABELS = {
    "mtljobs.stack": "full",
    "mtljobs.lock.name": "compute.lock",
    "mtljobs.lock.sha256": hash_file(shipped("containers/compute.lock")),
}


class TestCheck:
    @pytest.fixture
    def answer(self, apptainer_script):
        """Lets the image hold what is here, except for some changes."""

        def answer(labels=(), test=(0, "ok"), **versions):
            here = {name: metadata.version(name) for name in ("submitit", "cloudpickle", "mtljobs")}
            here["python"] = ".".join(platform.python_version_tuple()[:2])
            attributes = {"labels": {**LABELS, **dict(labels)}}
            apptainer_script.answer(
                exec=[0, json.dumps(here | versions)],
                inspect=[0, json.dumps({"data": {"attributes": attributes}})],
                test=list(test),
            )

        return answer

    def differing(self, found):
        return {row.what for row in found.compared if row.differs and row.matters}

    def test_an_image_of_the_same_versions_fits(self, answer, sif):
        answer()
        found = check_image(sif, environment=None)
        assert (found.fits, found.test, self.differing(found)) == (True, "ok", set())

    @pytest.mark.parametrize("what", ["python", "submitit", "cloudpickle", "mtljobs"])
    def test_another_version_does_not_fit(self, answer, sif, what):
        answer(**{what: "0.0"})
        found = check_image(sif, environment=None)
        assert (found.fits, self.differing(found)) == (False, {what})

    def test_another_lock_does_not_fit(self, answer, sif):
        answer(labels={"mtljobs.lock.sha256": "00" * 32})
        assert self.differing(check_image(sif, environment=None)) == {"lock"}

    def test_a_lock_that_is_not_here_does_not_fit(self, answer, sif):
        answer(labels={"mtljobs.lock.name": "of-the-site.lock"})
        assert self.differing(check_image(sif, environment=None)) == {"lock"}

    def test_another_commit_is_told_and_fits(self, answer, sif):
        answer(labels={"org.opencontainers.image.revision": "0123"})
        found = check_image(sif, environment=None)
        (commit,) = [row for row in found.compared if row.what == "commit"]
        assert (found.fits, commit.differs, commit.image) == (True, True, "0123")

    def test_an_image_whose_own_test_fails_does_not_fit(self, answer, sif):
        answer(test=(1, "no convolution"))
        found = check_image(sif, environment=None)
        assert (found.fits, found.passed, found.test) == (False, False, "no convolution")

    def test_an_image_without_an_interpreter_does_not_fit(self, answer, sif, apptainer_script):
        answer()
        answers = json.loads((apptainer_script.folder / "answers.json").read_text())
        apptainer_script.answer(**answers | {"exec": [255, ""]})
        assert not check_image(sif, environment=None).passed

    def test_an_environment_is_bound_and_named_to_the_images_own_test(
        self, answer, sif, apptainer_script
    ):
        answer()
        check_image(sif, environment=sys.prefix)
        for command in ("exec", "test"):
            told = apptainer_script.told(command)
            assert told["environment"]["APPTAINERENV_MTLJOBS_PYTHON"] == f"{sys.prefix}/bin/python"
            mounts = [word for word in told["arguments"] if word.startswith("--mount=")]
            sources = [mount.split('"source=')[1].split('"')[0] for mount in mounts]
            assert any(Path(sys.prefix).is_relative_to(source) for source in sources)

    def test_a_file_that_is_no_image_is_named(self, sif, apptainer_script):
        apptainer_script.answer(inspect=[255, ""])
        with pytest.raises(UserError, match=r"mtljobs\.sif is no image"):
            read_labels(sif)

    def test_a_missing_image_is_named(self, tmp_path, apptainer_script):
        with pytest.raises(UserError, match=r"there is no image .*mtljobs image build"):
            check_image(tmp_path / "nothing.sif", environment=None)

    def test_without_apptainer_it_says_where_to_go(self, sif, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(UserError, match="no `apptainer` on the PATH"):
            check_image(sif, environment=None)


class TestBuild:
    @pytest.fixture
    def checkout(self, tmp_path, monkeypatch):
        """The least that a wheel is built of; hatchling is a script, too."""
        root = tmp_path / "check out"
        root.mkdir()
        for name in ("Apptainer.def", "pyproject.toml"):
            (root / name).write_text("")
        hatchling = tmp_path / "python"
        hatchling.write_text("#!/bin/sh\necho dist/mtljobs-0.1.0-py3-none-any.whl >&2\n")
        hatchling.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(hatchling))
        return root

    def build(self, output, checkout, **changes):
        choices = {"stack": "host", "arguments": {}, "options": []} | changes
        build_image(output, checkout=checkout, **choices)

    def test_apptainer_is_told_stack_wheel_commit_and_what_the_user_adds(
        self, apptainer_script, checkout, tmp_path
    ):
        self.build(
            tmp_path / "i.sif",
            checkout,
            arguments={"BASE": "python:3.12", "PYTHON": "3.12"},
            options=["--fakeroot"],
        )
        told = apptainer_script.told("build")
        assert told["folder"] == str(checkout)
        *options, aside, definition = told["arguments"][1:]
        assert options == [
            "--fakeroot",
            "--build-arg=STACK=host",
            "--build-arg=WHEEL=dist/mtljobs-0.1.0-py3-none-any.whl",
            "--build-arg=COMMIT=unknown",
            "--build-arg=BASE=python:3.12",
            "--build-arg=PYTHON=3.12",
        ]
        assert (Path(aside).parent, definition) == (tmp_path, "Apptainer.def")

    def test_a_base_on_this_machine_counts_from_where_the_user_is(
        self, apptainer_script, checkout, tmp_path, monkeypatch
    ):
        (tmp_path / "root").mkdir()
        monkeypatch.chdir(tmp_path)
        self.build(tmp_path / "i.sif", checkout, arguments={"BASE": "root"})
        assert f"--build-arg=BASE={tmp_path}/root" in apptainer_script.told("build")["arguments"]

    def test_an_image_is_replaced_when_the_new_one_is_whole(
        self, apptainer_script, checkout, tmp_path
    ):
        output = tmp_path / "i.sif"
        output.write_text("the old one")
        apptainer_script.answer(build=[1, ""])
        with pytest.raises(MtljobsError, match=r"`apptainer build` ended with 1.*base-root\.sh"):
            self.build(output, checkout)
        assert output.read_text() == "the old one"
        apptainer_script.answer()
        self.build(output, checkout)
        assert output.read_text() == "an image"
        assert [path.name for path in tmp_path.glob(".*")] == []

    def test_a_folder_that_is_no_checkout_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"no checkout of mtljobs.*--checkout"):
            find_checkout(tmp_path)

    def test_without_hatchling_it_says_how_to_get_it(self, apptainer_script, checkout, tmp_path):
        Path(sys.executable).write_text("#!/bin/sh\necho No module named hatchling >&2; exit 1\n")
        with pytest.raises(UserError, match=r"No module named hatchling.*make \.venv/ready"):
            self.build(tmp_path / "i.sif", checkout)

    def test_the_commit_says_whether_files_differ_from_it(self, tmp_path):
        git = ["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e@example.org"]
        assert find_commit(tmp_path) == "unknown"
        (tmp_path / "file").write_text("1")
        for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
            subprocess.run([*git, *command], check=True)
        commit = find_commit(tmp_path)
        assert len(commit) == 40
        (tmp_path / "file").write_text("2")
        assert find_commit(tmp_path) == f"{commit}-dirty"
