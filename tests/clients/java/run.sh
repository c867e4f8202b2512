#!/usr/bin/env bash
# The basic story with the stock Java client: run.sh HUB_URL EVENT. Builds into target/ of the project.
set -euo pipefail
cd "$(dirname "$0")"
out=$(cd ../../.. && pwd)/target/clients-java
mkdir -p "$out"
mvn -q --no-transfer-progress -B -DbuildDirectory="$out" compile dependency:copy-dependencies -DoutputDirectory="$out/dependency"
exec java -cp "$out/classes:$out/dependency/*" Story "$@"
