#!/usr/bin/env bash
# Pins the packages of every environment, with their hashes (`make lock`):
#   compute.lock  what the image holds
#   dev.lock      .venv: the same, and the tools
#   light.lock    .venv-3.12, .venv-3.13: what a login node has, and pytest
# A pinned version stays while pyproject.toml allows it. Arguments go to uv, such as `--upgrade`
# or `--upgrade-package zarr`. uv itself is the one tool that no lock brings: `pip install uv`.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # OUTPUT INPUT...: extra requirements come on standard input
    "${UV:-uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --output-file "containers/$1.lock" \
        pyproject.toml - "${@:2}"
}

# Quantus asks for the OpenCV that opens windows and so needs libGL and X11, which compute nodes
# do not have; excluded.txt takes it out, and the same code without windows comes in here.
lock compute --extra compute --excludes containers/excluded.txt "$@" <<'REQUIREMENTS'
opencv-python-headless
REQUIREMENTS
lock dev --extra compute --extra dev --excludes containers/excluded.txt \
    --constraints containers/compute.lock "$@" <<'REQUIREMENTS'
opencv-python-headless
REQUIREMENTS
lock light --constraints containers/dev.lock "$@" <<'REQUIREMENTS'
hatchling
pytest
pytest-xdist
REQUIREMENTS
