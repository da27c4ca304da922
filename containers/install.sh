#!/bin/sh
# Installs what lies beside it, compute.lock and one wheel of mtljobs, into ./venv.
# %post of Apptainer.def calls it: sh /opt/mtljobs/install.sh python3.11 full
# With "host" in the place of "full" ./venv stays empty: packages are bound in at run time.
set -eu
cd "$(dirname "$0")"
python=$1
stack=$2

case $stack in
full | host) ;;
*)
    echo "STACK is full or host, received '$stack'." >&2
    exit 1
    ;;
esac

if ! "$python" -c 'import ensurepip, venv'; then
    echo "The base image needs $python with its venv module (Debian: apt-get install $python-venv)." >&2
    exit 1
fi

if [ "$stack" = host ]; then
    "$python" -m venv --clear --without-pip venv
    rm mtljobs-*.whl
    exit
fi

# --no-deps: the lock is complete, and pip would add the OpenCV that Quantus's metadata asks for.
"$python" -m venv --clear venv
venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r compute.lock
venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --no-index --no-deps mtljobs-*.whl
