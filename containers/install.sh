#!/bin/sh
# Installs what lies beside it, compute.lock and one wheel of mtljobs, into ./venv.
# %post of Apptainer.def calls it: sh /opt/mtljobs/install.sh python3.11
set -eu
cd "$(dirname "$0")"
python=$1

if ! "$python" -c 'import ensurepip, venv'; then
    echo "The base image needs $python with its venv module (Debian: apt-get install $python-venv)." >&2
    exit 1
fi

# --no-deps: the lock is complete, and pip would add the OpenCV that Quantus's metadata asks for.
"$python" -m venv --clear venv
venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r compute.lock
venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --no-index --no-deps mtljobs-*.whl
