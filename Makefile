# `make` prints the targets. PROFILE=dev builds faster and runs slower.

PROFILE ?= release
PREFIX  ?= /usr/local
CAPTURE ?= demo.scap

# Debian packages for building and for checking the code.
BUILD_PACKAGES = clang libelf-dev zlib1g-dev pkg-config
LINT_PACKAGES  = clang-format shellcheck
# For the tests: mount, mkfs.ext4, setcap; strace and perf, to count beside them.
TEST_PACKAGES  = mount e2fsprogs libcap2-bin strace linux-perf
# For test-package.
PACKAGE_PACKAGES = debootstrap lintian
# For the benchmarks: the other recorders, and the programs that they record.
BENCH_PACKAGES = strace bpftrace linux-perf redis-server redis-tools gcc

CARGO_FLAGS = --locked --profile $(PROFILE)
HAMMER      = target/release/examples/hammer
SCAPD       = target/$(patsubst dev,debug,$(PROFILE))/scapd
HOST       := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
ARM64       = aarch64-unknown-linux-gnu
# The rest of a cargo test that builds the kernel tests, and prints the path of the program.
KERNEL_TESTS = --test kernel --no-run --message-format=json | \
	sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p'
CARGO_DEB   = target/tools/bin/cargo-deb
C_FILES     = $(shell find bpf include -name '*.[ch]')

# Kernel tests load BPF programs: cargo builds as the user, and runs every test through this.
ROOT   = $(CURDIR)/scripts/as-root.sh
RUNNER = CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER=$(ROOT)

.NOTPARALLEL:
.PHONY: help setup build run test lint fmt install setup-readers test-readers setup-export test-export test-broad test-kernels test-arm64 stress stress-kernels stress-build soak-memory test-hotplug soak-rotations soak fuzz fuzz-keep bench bench-quick bench-merge bench-flight bench-read bench-setup bench-build clean

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install the Debian packages for building and testing (skips installed ones)
	@scripts/apt-install.sh $(BUILD_PACKAGES) $(LINT_PACKAGES) $(TEST_PACKAGES)

build: ## build scapd
	@scripts/apt-install.sh $(BUILD_PACKAGES)
	cargo build $(CARGO_FLAGS) --bins

run: build ## record this machine for five seconds and print the first events
	@# With a command, so that an idle machine has events too.
	$(ROOT) $(SCAPD) record -a -w $(CAPTURE) -- sleep 5
	$(ROOT) $(SCAPD) read $(CAPTURE) -n 20

test: lint ## run lint and the unit, integration and kernel tests on this machine (as root)
	$(RUNNER) cargo test $(CARGO_FLAGS) --workspace --no-fail-fast
	scripts/test-install.sh $(SCAPD)

.PHONY: test-kernel
test-kernel: setup ## run only the kernel tests (as root; T=access: only those with `access` in their names)
	$(RUNNER) cargo test $(CARGO_FLAGS) --test kernel -- $(T)

# The README's two commands. ROOTS=namespace or ROOTS=debian selects a root, TARGETS=run a target.
ROOTS   ?= namespace debian
TARGETS ?= run test

.PHONY: test-fresh
test-fresh: ## run `make run` and `make test` in a fresh Debian and in a fresh mount namespace (as root; ROOTS=, TARGETS=)
	@scripts/apt-install.sh debootstrap git
	PROFILE='$(PROFILE)' scripts/test-fresh.sh $(addprefix -r ,$(ROOTS)) $(TARGETS)

lint: setup ## check format, lints and documentation; warnings are errors
	cargo fmt --all --check
	clang-format --dry-run -Werror $(C_FILES)
	cd scripts && shellcheck *.sh ../.ci/run
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc $(CARGO_FLAGS) --workspace --no-deps

fmt: setup ## format the Rust and the C code
	cargo fmt --all
	clang-format -i $(C_FILES)

install: ## install the built scapd, its manual, completions and service (DESTDIR=, PREFIX=/usr/local)
	@test -x $(SCAPD) || $(MAKE) build
	DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh install $(SCAPD)

.PHONY: uninstall deb test-package test-service
uninstall: ## remove the installed files (an edited configuration, the captures and the user scapd stay)
	DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh uninstall $(SCAPD)

deb: build $(CARGO_DEB) ## make a Debian package, in target/debian
	scripts/package-deb.sh $(SCAPD) $(CARGO_DEB)

test-package: deb ## install and remove the package in a fresh Debian 12 (as root), and check it with lintian
	@scripts/apt-install.sh $(PACKAGE_PACKAGES)
	scripts/test-package.sh target/debian/scapd_*.deb

test-service: build ## run docs/SERVICE.md in a fresh Debian 12 and 13 with systemd, in emulation (as root; SUITES=trixie: only 13)
	@scripts/apt-install.sh debootstrap
	scripts/test-service.sh $(SCAPD) $(SUITES)

$(CARGO_DEB):
	cargo install cargo-deb --version '^3.8' --locked --root target/tools

setup-readers: ## fetch sysdig, strato and tshark of other Debian releases into ~/.cache/scapd
	scripts/setup-readers.sh

test-readers: build setup-readers ## compare scapd's output for a capture with theirs, and filters and summaries with sysdig's
	scripts/test-readers.sh $(SCAPD)
	scripts/test-filters.sh $(SCAPD)
	scripts/test-record-filters.sh $(SCAPD)
	scripts/test-chisels.sh $(SCAPD)

setup-export: ## install DuckDB, Spark and Perfetto's schema from PyPI into ~/.cache/scapd
	scripts/setup-export.sh

test-export: build setup-export ## export a capture, read it back by DuckDB and Spark, and compare the sums with scapd's
	scripts/test-export.sh $(SCAPD)

.PHONY: setup-ship test-ship
setup-ship: ## install a server of S3's protocol, from crates.io, and DuckDB, from PyPI, into ~/.cache/scapd
	scripts/setup-ship.sh

test-ship: build setup-ship ## ship captures to a server that is killed meanwhile, and compare what arrives (as root)
	scripts/test-ship.sh $(SCAPD)

.PHONY: setup-containers test-containers
setup-containers: ## fetch Debian's podman into ~/.cache/scapd
	scripts/setup-containers.sh

test-containers: build setup-containers ## record containers of podman: their names, also if it hangs (as root)
	scripts/test-containers.sh $(SCAPD)

.PHONY: test-container-runtimes
test-container-runtimes: build ## boot a Debian 13 in emulation, and record containers of its podman, Docker and containerd (as root)
	@scripts/apt-install.sh debootstrap
	scripts/test-container-runtimes.sh $(SCAPD)

.PHONY: setup-browser test-report
setup-browser: ## fetch Debian's chromium and its driver into ~/.cache/scapd
	scripts/setup-browser.sh

test-report: build setup-browser ## open the page of scapd report in a browser: its numbers, selections, and hostile names (as root)
	@scripts/apt-install.sh jq
	scripts/test-report.sh $(SCAPD) $(IMAGES)

test-broad: build setup-readers ## the same for a workload of most system calls: stress-ng, a compiler, Python's tests (ten minutes)
	scripts/test-broad.sh $(SCAPD)

# How long the recorder runs in a control group with little memory; WINDOW is in seconds, RATE in events/s.
DURATION ?= 10m
WINDOW   ?= 60
RATE     ?= 300000

.PHONY: test-flight
test-flight: setup-readers ## keep the last minute of a loaded service that fails, stalls and dies; then a hundred dumps with little memory (DURATION=10m)
	SCAPD_TEST_SECONDS=$(WINDOW) SCAPD_TEST_RATE=$(RATE) SCAPD_TEST_READER='$(CURDIR)/scripts/reader.sh sid' \
	SCAPD_TEST_DURATION=$(DURATION) SCAPD_TEST_TRIGGERS=100 \
		$(RUNNER) cargo test --locked --release --test flight -- --nocapture service:: disk:: memory::

.PHONY: test-strace
test-strace: build ## compare scapd with strace, call by call: a compiler, strace's tests, Python's, stress-ng (twenty minutes)
	scripts/test-strace.sh $(SCAPD)

.PHONY: test-new-calls
test-new-calls: ## check that the tables have every call in the headers of Debian's newest kernel (fetches them)
	scripts/test-new-calls.sh $(CARGO_FLAGS)

test-kernels: build ## boot Debian's kernels from 5.10 to 7.x in emulation, record and run the kernel tests on each
	cargo build $(CARGO_FLAGS) --example hammer
	tests=$$(cargo test $(CARGO_FLAGS) $(KERNEL_TESTS)) && \
		scripts/test-kernels.sh -k "$$tests" $(SCAPD)

test-arm64: ## build scapd for arm64, boot Debian's arm64 kernels in emulation, record and run the kernel tests on each
	@scripts/apt-install.sh $(BUILD_PACKAGES)
	scripts/cargo-arm64.sh build $(CARGO_FLAGS) --bins --example hammer
	tests=$$(scripts/cargo-arm64.sh test $(CARGO_FLAGS) $(KERNEL_TESTS)) && \
		scripts/test-kernels.sh -a arm64 -k "$$tests" $(SCAPD:target/%=target/$(ARM64)/%) bookworm trixie

soak-rotations: ## rotate through 10,000 files while recording, and check each event (minutes; as root)
	$(RUNNER) cargo test $(CARGO_FLAGS) --test rotation -- --ignored --nocapture ten_thousand

# Long runs, not part of `make test`: docs/STRESS.md describes them, with their last results.
SECONDS ?= 180
TIME    ?= 1800

stress: stress-build ## check the ledger against threads that only make system calls, on this machine (SECONDS=180)
	$(ROOT) $(HAMMER) --seconds $$(($(SECONDS) / 3))
	$(ROOT) $(HAMMER) --seconds $$(($(SECONDS) / 3)) --ring-size 65536
	$(ROOT) $(HAMMER) --seconds $$(($(SECONDS) / 3)) --attach tracepoint --threads 4

stress-kernels: stress-build ## the same on an emulated 7.x kernel, with default and full preemption (TIME=1800 each)
	scripts/stress-kernels.sh $(HAMMER) $(TIME)

soak-memory: bench-build ## record 100 million events, and check the memory (11 GB of disk in SOAK_DIR=/var/tmp)
	$(ROOT) scripts/soak-memory.sh target/release/scapd target/release/scapd-generate

# Always with the release profile: an unoptimized recorder loses most events.
stress-build:
	@scripts/apt-install.sh $(BUILD_PACKAGES)
	cargo build --locked --release --example hammer

fuzz: ## fuzz every parser for TIME seconds (600; nightly Rust)
	@scripts/apt-install.sh $(BUILD_PACKAGES)
	@# Ten minutes, unless TIME is given: its default is for stress-kernels.
	scripts/fuzz.sh run $(if $(filter file,$(origin TIME)),600,$(TIME))

fuzz-keep: ## add the inputs found by the fuzzers to the corpora that `make test` replays
	scripts/fuzz.sh keep

.PHONY: test-portable
test-portable: ## compile the crate of captures for WebAssembly with Debian's rustc, and build its package
	scripts/check-portable.sh

test-hotplug: build ## boot a kernel with two CPUs in emulation, and record while one goes offline and online
	cargo build $(CARGO_FLAGS) --example hammer
	scripts/test-hotplug.sh $(SCAPD)

soak: TIME = 1200
soak: build ## run the service under load and trouble for 20 minutes (TIME=1200 SEED=; as root)
	cargo build $(CARGO_FLAGS) --example soak
	$(ROOT) $(dir $(SCAPD))examples/soak run --scapd $(SCAPD) --time $(TIME) $(if $(SEED),--seed $(SEED)) \
		--folder "$$(mktemp -d -p /var/tmp soak.XXXXXX)/soak"

bench: bench-build ## measure the cost of recording, next to strace, perf and bpftrace (ten minutes; BENCH=--write-results)
	$(ROOT) target/release/scapd-bench run $(BENCH)

bench-quick: bench-build ## the same with fewer generators and rounds (a minute)
	$(ROOT) target/release/scapd-bench run --quick $(BENCH)

bench-merge: bench-build ## measure the merge over 2 to 512 rings (BENCH=--write-results)
	target/release/scapd-bench merge $(BENCH)

bench-flight: bench-build ## measure the recorder with --keep beside recording to disk and to /dev/null (BENCH=--write-results)
	$(ROOT) target/release/scapd-bench run --generators getppid,access,open-close,read-write,fork-exec,mix \
		--contenders scapd,scapd-null,scapd-keep,scapd-trigger,scapd-longer,scapd-on-disk,scapd-packed --rounds 7 --time 1500 $(BENCH)

.PHONY: bench-redact
bench-redact: bench-build ## measure the recorder with the rules of packaging/redact.toml beside it without (BENCH=--write-results)
	$(ROOT) target/release/scapd-bench run --generators getppid,access,read-write,fork-exec,mix \
		--contenders scapd,scapd-redact --rounds 7 --time 1500 $(BENCH)

# Other readers: those of setup-readers, otherwise those that are installed.
READER = $(CURDIR)/scripts/reader.sh sid
PEERS  = $(if $(wildcard $(HOME)/.cache/scapd/readers-sid),--sysdig "$(READER) sysdig" --tshark "$(READER) tshark",\
	$(foreach peer,sysdig tshark,$(if $(shell command -v $(peer)),--$(peer) $(peer))))

bench-read: bench-build ## measure how fast captures are read, next to sysdig and tshark (BENCH=--write-results)
	$(ROOT) target/release/scapd-bench read $(PEERS) $(BENCH)

bench-setup: ## install the recorders that scapd is compared with, and mount tracefs, which they need
	@scripts/apt-install.sh $(BENCH_PACKAGES)
	@test -d /sys/kernel/tracing/events || $(ROOT) mount -t tracefs tracefs /sys/kernel/tracing

# Always with the release profile: other timings mean nothing.
bench-build:
	@scripts/apt-install.sh $(BUILD_PACKAGES)
	cargo build --locked --release --bins
	cargo build --locked --release --bins -p scapd-bench

clean: ## remove the build (the cache in ~/.cache/scapd stays)
	cargo clean
	rm -f $(CAPTURE)
