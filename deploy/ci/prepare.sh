#!/usr/bin/env bash
# Installs what the tests need beyond Go: a C compiler, PostgreSQL, openssl, Python with
# cryptography, pandas and YAML, Chromium, geth and clef, and the npm packages solc, snarkjs and those of the TypeScript
# client. Run it as often as you like: what is there is left alone.
#
# As root on Debian or Ubuntu it installs system packages. Elsewhere it says what is
# missing and goes on, and the tests that need it say that they were skipped; with
# CI=true a missing part ends it.
set -euo pipefail
cd "$(dirname "$0")/../.."

geth_version=v1.17.3
tools=$PWD/build/tools
missing=0

miss() { # what, remedy
	echo "prepare: $1 is missing: $2" >&2
	missing=1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The system's Python comes first, as in the tests: they look in these two places.
have_python() {
	local python
	for python in /usr/bin/python3 python3; do
		if "$python" -c 'import cryptography, pandas, yaml' 2>/dev/null; then return; fi
	done
	return 1
}

have_postgres() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb
}

# System packages, all in one call of apt.
packages=()
have make || packages+=(make)
have gcc || packages+=(gcc libc6-dev)
have openssl || packages+=(openssl)
have_postgres || packages+=(postgresql)
have chromium || have chromium-browser || have google-chrome || packages+=(chromium)
have_python || packages+=(python3 python3-cryptography python3-pandas python3-yaml)
if [ ${#packages[@]} -gt 0 ]; then
	if have apt-get && [ "$(id -u)" = 0 ]; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q </dev/null
		apt-get install -qy --no-install-recommends "${packages[@]}" </dev/null
	else
		miss "${packages[*]}" "install it with your system's package manager, on Debian: apt-get install ${packages[*]}"
	fi
fi

# The npm packages of one folder, again when its lock file changed.
npm_packages() {
	local dir=$1
	if cmp -s "$dir/package-lock.json" "$dir/node_modules/.installed-lock.json"; then return; fi
	if ! have npm; then
		miss "npm" "install Node 20 or later, then run npm ci in $dir"
		return
	fi
	if (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error </dev/null); then
		cp "$dir/package-lock.json" "$dir/node_modules/.installed-lock.json"
	else
		miss "what $dir/package.json names" "run npm ci there"
	fi
}
npm_packages zk/evm/contracts
npm_packages zk/verifier/testdata/snarkjs
npm_packages protocol/sdk/typescript
npm_packages protocol/sdk/evidence

# geth and the signer clef, in files named after their version so that a new version is
# built. Without cgo, optimization and debugger's tables geth builds in half the time (132 s
# instead of 260), clef then in seconds, and a chain of few blocks is quick.
for name in geth clef; do
	[ -x "$tools/$name-$geth_version" ] && continue
	mkdir -p "$tools/new"
	if GOBIN=$tools/new CGO_ENABLED=0 go install -gcflags='all=-N -l -dwarf=false' -ldflags='-s -w' "github.com/ethereum/go-ethereum/cmd/$name@$geth_version"; then
		mv "$tools/new/$name" "$tools/$name-$geth_version"
		ln -sf "$name-$geth_version" "$tools/$name"
	else
		miss "$name" "go install github.com/ethereum/go-ethereum/cmd/$name@$geth_version"
	fi
	rm -rf "$tools/new"
done

if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then exit 1; fi
