#!/usr/bin/env bash
# Runs the benchmarks of deploy/docs/benchmarks.md and writes what go test prints to
# build/bench.txt (and to standard error) and the figures to build/bench.json, one
# JSON object a line.
# Arguments replace the choice: deploy/bench/run.sh PATTERN PACKAGE...
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# = 0 ]; then
	set -- '^Benchmark(Ingest|Series|Count|Epoch|Access|Verify|Gas)$' \
		./node/ingest . ./zk/prover ./zk/verifier ./zk/evm
fi
pattern=$1
shift

mkdir -p build
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
go test -run '^$' -bench "$pattern" -timeout 30m "$@" | tee build/bench.txt >&2
awk -v commit="$commit" -f deploy/bench/json.awk build/bench.txt >build/bench.json
echo "wrote build/bench.json: $(wc -l <build/bench.json) figures" >&2
