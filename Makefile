# The commands of this repository; what they do lies in the files they call.

HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BIN := target/$(HOST)/release

# Tests keep their clusters to themselves, but nobody wants to build Kubernetes twice.
export SKIFF_CACHE ?= $(or $(SKIFF_HOME),$(HOME)/.skiff)/cache

.PHONY: start test chaos verify bench build clean

## start: install what is missing, build, and bring up a Ready cluster
start: build
	deploy/host/dockerd start
	$(BIN)/skiff start

## build: the two binaries, with no library to carry along
build:
	deploy/host/prepare
	OPENSSL_STATIC=1 RUSTFLAGS="-C target-feature=+crt-static" \
		cargo build --release --target $(HOST) -p skiff -p skiff-agent

## test: everything, end-to-end tests on real clusters included; no documentation holds tests, and looking takes time
test: build
	deploy/host/prepare test
	deploy/host/dockerd run sh -ec '$(BIN)/skiff node-image build && cargo test --workspace --tests --no-fail-fast'

## chaos: many rounds of faults (SKIFF_CHAOS_ROUNDS, SKIFF_CHAOS_SEED) on a cluster of its own
chaos: export SKIFF_CHAOS_ROUNDS ?= 100
chaos: export SKIFF_CHAOS_FAULTS ?= 1
chaos: export SKIFF_CHAOS_SEED ?= $(shell date +%s)
chaos: build
	deploy/host/prepare test
	cargo test -p skiff-test --test chaos -- --ignored --nocapture

## verify: format, lints, documentation, dependency arrows, licences
verify:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo run -q -p xtask -- arrows
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

## bench: the figures, as ratios within one run
bench: build
	deploy/host/prepare bench
	deploy/host/dockerd run cargo run -q --release -p xtask -- bench
	cargo run -q --release -p xtask -- bench-qemu

clean:
	cargo clean
