#!/usr/bin/env bash
# The basic story with signalrcore and pysignalr: run.sh HUB_URL EVENT. Its virtual environment is target/python.
set -euo pipefail
cd "$(dirname "$0")"
environment=$(cd ../../.. && pwd)/target/python
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$environment/requirements.txt"
fi
exec "$environment/bin/python" -B story.py "$@"
