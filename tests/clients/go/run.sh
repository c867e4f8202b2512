#!/usr/bin/env bash
# The basic story with the Go client: run.sh HUB_URL.
set -euo pipefail
cd "$(dirname "$0")"
exec go run . "$@"
