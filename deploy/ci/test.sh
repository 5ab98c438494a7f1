#!/usr/bin/env bash
# Runs all tests with the race detector. Arguments are more flags for go test. A package
# that hangs ends after 20 minutes, with the stacks of its goroutines.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/build/tools:$PATH

# Compiled quickly rather than to run quickly or to be debugged: C needs a third of the
# time, Go without debugger's tables four fifths. Nothing uses gin's MessagePack.
export CGO_CFLAGS=${CGO_CFLAGS--O1 -g0}
flags=(-race -tags=nomsgpack -gcflags=all=-dwarf=false)

# A program that ends waits this many milliseconds for reports of races, not a second:
# the tests start hundreds.
export GORACE="atexit_sleep_ms=20 ${GORACE-}"

# Tests write to memory where there is enough: they make thousands of databases, and on a disk
# each commit of them waits. Some run programs from there.
shm=/dev/shm
if [ -z "${TMPDIR-}" ] && [ -w $shm ] && ! findmnt -no OPTIONS $shm | grep -q noexec &&
	[ "$(df -k --output=avail $shm | tail -1)" -gt 8000000 ] && [ "$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)" -gt 8000000 ]; then
	export GOTMPDIR=${GOTMPDIR-/tmp}
	TMPDIR=$(mktemp -d $shm/trialmesh-test-XXXXXX)
	chmod 711 "$TMPDIR" # PostgreSQL runs as a user of its own
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
fi

# Collect garbage a third as often: compilers and tests end before it matters.
export GOGC=${GOGC-300}

# Arithmetic, what reads text byte by byte and what unpacks test data is compiled without
# the detector, which makes it three to ten times as slow: curves, hashes, ciphers, circuits;
# canonical JSON, base64, gjson, regexp; zstd. They keep nothing of ours, and what goroutines
# gnark starts share is gnark's; what is missed is a race with their reading of our bytes,
# which plain go test -race finds. JSON would be worth most, and has a copy of sync.Map. No
# false report comes of it as long as they carry no compiled copy of sync's generic
# functions which others use too: the linker could take it for the whole program, whose
# atomics the detector would then not see. Pointers to the package's own types (the compiler
# shortens long ones to a hash) are not used by others, and the detector looks away inside
# of sync.Pool.
unchecked=(
	crypto/ecdh crypto/internal/fips140
	crypto/internal/fips140/{aes,aes/gcm,bigmod,edwards25519,edwards25519/field,hmac,nistec,nistec/fiat,sha256,sha512,sha3,subtle}
	golang.org/x/crypto/{chacha20,scrypt}
	github.com/consensys/gnark-crypto/ecc/bn254{,/fp,/fr,/fr/fft,/internal/fptower}
	github.com/consensys/gnark/{constraint,constraint/bn254,backend/groth16/bn254}
	github.com/consensys/gnark/{frontend/cs/r1cs,frontend/internal/expr,std/permutation/poseidon2}
	github.com/klauspost/compress/{fse,huff0,zstd}
	github.com/tink-crypto/tink-go/v2/streamingaead{,/subtle,/subtle/noncebased}
	github.com/{ronanh/intcomp,tidwall/gjson} compress/flate math/big regexp{,/syntax}
	encoding/base64 unicode/utf8 github.com/trialmesh/trialmesh/protocol/canonical
)
for package in "${unchecked[@]}"; do flags+=("-gcflags=$package=-race=false -dwarf=false"); done

go list "${flags[@]}" -export -f '{{.ImportPath}} {{.Export}}' "${unchecked[@]}" | while read -r package object; do
	own="sync\.pool(Dequeue|ChainElt)|Pointer\[(go\.shape\.[0-9a-f]{64}|$package\.)"
	symbols=$(go tool nm "$object")
	if grep -E ' T (internal/sync|sync|sync/atomic)\.' <<<"$symbols" | grep -Ev "$own" >/dev/null; then
		echo "test: $package has a copy of sync's functions: take it off the list in $0" >&2
		exit 1
	fi
done

# The longest first, so that no core is idle at the end; and one more at a time than there
# are cores, as networks of programs wait for half of their time.
go test "${flags[@]}" -vet=off -p $(($(nproc) + 1)) -timeout 20m "$@" . ./simulations/lab ./hub/dispatch ./...
