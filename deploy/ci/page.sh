#!/usr/bin/env bash
# Builds hub/page/dist/verify.html: package evidence compiled to WebAssembly, in one page.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p build/page
GOOS=js GOARCH=wasm CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags='-s -w -buildid=' -o build/page/verify.wasm ./hub/page/wasm
go run ./hub/page/assemble build/page/verify.wasm "$(go env GOROOT)/lib/wasm/wasm_exec.js" hub/page/dist/verify.html
