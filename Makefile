# libvirt-nss: build, test, install. `make help` lists the targets and the variables.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Where cargo puts release objects: with CARGO_BUILD_TARGET, in that architecture's directory.
RELEASE := $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
# The modules compiled for x86-64-v3, for glibc-hwcaps.
RELEASE_V3 := $(TARGET_DIR)/x86-64-v3/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release

# The libvirt-nss that writes the manual pages; if the build is for another machine, one that runs on this one.
GENERATOR ?= $(RELEASE)/libvirt-nss

# Not MODULES: that variable of the environment says to the lab where the modules are.
MODULE_NAMES := libnss_libvirt libnss_libvirt_guest
# The packages of the programs.
PROGRAMS := leaseshelper libvirt-nss
# Only the daemon needs libvirt's library, and its headers to build with. The publisher goes with it.
ifneq ($(DAEMON),no)
PROGRAMS += daemon publish
endif

.DEFAULT_GOAL := all
.SUFFIXES:
# cargo itself uses all processors, and the requirements are checked first.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# Each target adds itself here, for help.
TARGETS :=

TARGETS += all
HELP_all := build into $(RELEASE); the default
all: requirements daemon-requirements programs

# Modules and programs are built separately, so that the modules' crates get no feature that only a program needs.
# The requirements are checked before anything is compiled.
.PHONY: requirements daemon-requirements
requirements:
	@command -v $(CARGO) >/dev/null || { echo "make: no '$(CARGO)' in PATH; install Rust 1.85 or newer (https://rustup.rs; Debian 13: apt-get install cargo)" >&2; exit 1; }
	@$(CARGO) --version | awk '{ split($$2, n, "."); if (n[1] * 1000 + n[2] < 1085) { print "make: " $$0 " is too old; install Rust 1.85 or newer (https://rustup.rs; Debian 13: apt-get install cargo)" > "/dev/stderr"; exit 1 } }'
	@command -v cc >/dev/null || { echo "make: no 'cc' in PATH to link with; install a C compiler (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
daemon-requirements:
ifneq ($(DAEMON),no)
	@pkg-config --exists libvirt 2>/dev/null || { echo "make: no libvirt to build the daemon with; install its headers (Debian: apt-get install libvirt-dev pkg-config; Fedora: dnf install libvirt-devel pkgconf), or do without the daemon: make DAEMON=no" >&2; exit 1; }
endif

TARGETS += modules
HELP_modules := build the modules alone, under their final names too
modules: requirements
	$(CARGO) build --release --locked -p nss-libvirt -p nss-libvirt-guest
	@# Links: when cargo replaces its file, the next make renews them.
	@for m in $(MODULE_NAMES); do ln -f "$(RELEASE)/$$m.so" "$(RELEASE)/$$m.so.2" || exit 1; done

.PHONY: modules-v3
modules-v3: modules
	RUSTFLAGS="$(RUSTFLAGS) -C target-cpu=x86-64-v3" $(CARGO) build --release --locked --target-dir '$(TARGET_DIR)/x86-64-v3' -p nss-libvirt -p nss-libvirt-guest
	@for m in $(MODULE_NAMES); do ln -f "$(RELEASE_V3)/$$m.so" "$(RELEASE_V3)/$$m.so.2" || exit 1; done

.PHONY: programs
programs: daemon-requirements modules
	$(CARGO) build --release --locked $(addprefix -p ,$(PROGRAMS))
	@# Manual pages and completions, by the command itself.
	@$(GENERATOR) generate "$(RELEASE)/generated"

TARGETS += test
HELP_test := set up, build, run every test, and say which parts passed (root; otherwise skips what needs it)
test:
	tests/run

TARGETS += test-long
HELP_test-long := the generated tests, TEST_ROUNDS (10000) cases each, from TEST_SEED (a new one) on
TEST_ROUNDS ?= 10000
TEST_SEED := $(or $(TEST_SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
test-long: all
	tests/setup build test compliance
	@echo 'TEST_SEED=$(TEST_SEED) TEST_ROUNDS=$(TEST_ROUNDS)'
	TEST_SEED=$(TEST_SEED) TEST_ROUNDS=$(TEST_ROUNDS) $(CARGO) test --workspace --locked --no-fail-fast
	@# A mutation costs a hundredth of what the others' cases do.
	FUZZ_SEED=$(TEST_SEED) FUZZ_MUTATIONS=$(TEST_ROUNDS)00 $(CARGO) test --manifest-path fuzz/Cargo.toml --locked

TARGETS += lint
HELP_lint := fmt, clippy, doc and shellcheck, every warning an error
lint:
	tests/setup build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@# A workspace of its own, as a fuzzed build wants flags that no other does.
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --all --check
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	@echo shellcheck
	@$(SHELL_SCRIPTS) | xargs shellcheck --external-sources
	@! { $(SHELL_SCRIPTS) | xargs grep -nE '(^|[^|])\|[!( ]*grep -[a-z]*[qm]'; } || { echo "lint: grep -q and -m end before they have read all, and under pipefail the pipe then fails now and then; use grep ... >/dev/null" >&2; exit 1; }

# Every shell script of the tree, by its first line, or by the suffix that the sourced ones have.
SHELL_SCRIPTS = { git ls-files --cached --others --exclude-standard 2>/dev/null || \
	find . \( -path ./.git -o -path '*/target' \) -prune -o -type f -print; } | \
	LC_ALL=C xargs awk 'FNR == 1 { if (/^\#!.*[\/ ](ba|da)?sh( |$$)/ || FILENAME ~ /\.sh$$/) print FILENAME; nextfile }'

# Apart from lint: cargo-deny takes minutes to compile, and its advisories come from the network.
TARGETS += deny
HELP_deny := check the dependencies: licences, sources, advisories (needs cargo-deny)
deny:
	@command -v cargo-deny >/dev/null || { echo "make: no cargo-deny; run: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --workspace --locked check
	$(CARGO) deny --manifest-path fuzz/Cargo.toml --locked check

TARGETS += demo
HELP_demo := boot a small guest and ssh to it by its two names (root)
# It sets up, and builds as the user who called sudo, by itself.
demo:
	tests/lab/demo

TARGETS += e2e
HELP_e2e := the end-to-end suites alone: libvirt, dnsmasq, guests (root)
e2e:
	tests/run lab

TARGETS += picture
HELP_picture := run the commands of README's picture in the lab and write docs/terminal.svg (root)
picture: all
	tests/setup picture
	tests/lab/picture

TARGETS += fresh
HELP_fresh := make demo and make test in fresh roots of Debian 12 and 13 (root; an hour)
fresh:
	tests/fresh $(FRESH)

TARGETS += cross-test
HELP_cross-test := the modules of other architectures under qemu: ARCH='i386 s390x' (root)
cross-test: all
	tests/cross $(ARCH)

TARGETS += compliance
HELP_compliance := compare with the modules that libvirt ships; ROOT=DIR: with those of this Debian root (root)
compliance: modules
	tests/setup compliance
	$(CARGO) build --quiet --locked -p compliance
	$(if $(ROOT),tests/compliance/in-root '$(ROOT)',$(TARGET_DIR)/debug/compliance)

TARGETS += bench
HELP_bench := measure the modules and the leases helper beside those of libvirt; ROOT=DIR: look-ups alone, in this Debian root (root)
bench:
	tests/setup build bench
	$(if $(ROOT),ROOT='$(ROOT)') benches/run $(BENCH)
	$(if $(ROOT),,$(CARGO) bench --locked -p leaseshelper)
	$(if $(ROOT),,$(CARGO) bench --locked -p daemon --bench snapshot --bench fleet --bench dns)
	$(if $(ROOT),,$(CARGO) bench --locked -p publish)

TARGETS += fuzz
HELP_fuzz := fuzz every parser, each for FUZZ_SECONDS (60)
fuzz:
	tests/setup build fuzz
	fuzz/run

# The variables that packaging/copy documents.
COPY_VARIABLES := DESTDIR PREFIX COMPONENTS LIBDIR HELPERDIR BINDIR SBINDIR SHAREDIR MANDIR UNITDIR SYSUSERSDIR EXAMPLEDIR BASHDIR ZSHDIR FISHDIR
export $(COPY_VARIABLES) DAEMON HELPER PUBLISH
TARGETS += install uninstall
HELP_install := build this system's own package (apt, dnf, zypper) and install it; with DESTDIR only copy files
HELP_uninstall := remove that package
install:
ifdef DESTDIR
	@BUILD='$(RELEASE)' BUILD_V3='$(RELEASE_V3)' packaging/copy
else
	@packaging/system-package install
endif
uninstall:
	@packaging/system-package remove

TARGETS += deb rpm dist
HELP_deb := build Debian packages into $(TARGET_DIR)/deb; i386 modules: make deb DEB_ARCH=i386
HELP_rpm := build RPM packages into $(TARGET_DIR)/rpm, from the tarball of make dist
HELP_dist := write a tarball with all crates into $(TARGET_DIR)/dist; packages build from it without a network
deb:
	packaging/build-deb '$(TARGET_DIR)'
rpm: dist
	packaging/build-rpm '$(TARGET_DIR)'
dist:
	packaging/build-dist '$(TARGET_DIR)'

TARGETS += packages-test
HELP_packages-test := build and try the packages of every release, and the RPMs (root: two hours); or packages-test-sid, packages-test-rpm, ...
packages-test: $(addprefix packages-test-,bookworm trixie sid noble resolute rpm)

packages-test-rpm: packages-test-setup rpm
	tests/packages/rpm

# With CI=true, because a machine that can't be booted is a failure here.
packages-test-%: packages-test-setup
	tests/packages/build $*
	tests/packages/run --release $* --debs '$(abspath $(TARGET_DIR))/deb-$*'
	tests/packages/check $*
	root=$$(tests/lab/machine-root $*) && \
		CI=true MACHINE_ROOT=$$root MACHINE_PACKAGES='$(abspath $(TARGET_DIR))/deb-$*' tests/lab/run 50

.PHONY: packages-test-setup
packages-test-setup:
	tests/setup packages packages-test e2e
	@# Some cases copy what is built here.
	$(MAKE) all

TARGETS += clean
HELP_clean := remove what was built
clean:
	$(CARGO) clean

TARGETS += help
HELP_help := this list
help:
	@echo 'Targets:'
	@$(foreach t,$(TARGETS),printf '  %-13s %s\n' '$(t)' '$(subst ','\'',$(HELP_$(t)))';)
	@echo 'Variables of install without DESTDIR (yes unless set):'
	@printf '  %-13s %s\n' \
	  HELPER "no: keep libvirt's own libvirt_leaseshelper" \
	  DAEMON 'no: without the daemon; of the build too, which then needs no libvirt' \
	  PUBLISH "yes: with libvirt-nss-publish, for the site's DNS (no unless set)"
	@echo 'Variables of install with DESTDIR: see packaging/copy'
	@echo 'Variables of the build: CARGO, CARGO_TARGET_DIR, CARGO_BUILD_TARGET, GENERATOR'

.PHONY: $(TARGETS)
