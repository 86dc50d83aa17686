#!/usr/bin/env bash
# The tests with the lowest versions that pyproject.toml promises, in an environment of their own.
#   scripts/test_lowest.sh [what pytest takes]
# It downloads 4 GB on Linux, and needs 8 GB of disk while it runs: TMPDIR says where.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
# shellcheck disable=SC1091
source "$environment/bin/activate"
python -m pip install --quiet --disable-pip-version-check uv
# pip only knows the newest versions. uv reads the promises from pyproject.toml, as pip does.
uv pip install --resolution lowest-direct -e '.[dev]'
uv pip list
pytest "$@"
