#!/usr/bin/env bash
# With signalrcore and pysignalr: run.sh story HUB_URL EVENT, or run.sh acks HUB_URL SERVICE_KEY.
# The virtual environment is target/python.
set -euo pipefail
cd "$(dirname "$0")"
environment=$(cd ../../.. && pwd)/target/python
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$environment/requirements.txt"
fi
exec "$environment/bin/python" -B "$1.py" "${@:2}"
