#!/usr/bin/env bash
# Formatting, go vet and golangci-lint with .golangci.yml. golangci-lint is built
# once into build/tools, outside this module, so that its requirements are not ours.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=v2.15.0
tools=$PWD/build/tools
status=0

unformatted=$(git ls-files --cached --others --exclude-standard '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt would change:" >&2
	echo "$unformatted" >&2
	status=1
fi

go vet ./... || status=1

if [ ! -x "$tools/golangci-lint-$version" ]; then
	mkdir -p "$tools/new"
	GOBIN=$tools/new go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
	mv "$tools/new/golangci-lint" "$tools/golangci-lint-$version"
	rm -rf "$tools/new"
fi
"$tools/golangci-lint-$version" run "$@" ./... || status=1

# The types of the Python client, where mypy is installed.
if command -v mypy >/dev/null; then
	(cd protocol/sdk/python && mypy) || status=1
else
	echo "lint: mypy is missing, the types of protocol/sdk/python are not checked: apt-get install mypy" >&2
fi
exit $status
