# SPDX-License-Identifier: Apache-2.0
# `make run` and `make test` work on a bare Debian 12 with a Swift toolchain: scripts/setup installs the rest.

SWIFT ?= swift
PREFIX ?= /usr/local
# What `make run` runs on, and on what else: make run KERNELS="5.10 6.12"
KERNELS ?= 6.12
ARGS ?=

# One build serves the programs and the tests: `swift test` on its own would switch testability on for itself and
# rebuild every module each time it takes turns with `swift build`.
SWIFT_FLAGS := -c release -Xswiftc -enable-testing

BUILD := .build
BIN := $(BUILD)/release
# What goes into virtual machines: the layout is the same when installed (lib/bpftest).
GUEST := $(BUILD)/guest

# The toolchain's own clang has the bpf target: no other compiler is needed.
TOOLCHAIN = $(dir $(realpath $(shell command -v $(SWIFT))))
BPF_CLANG ?= $(TOOLCHAIN)clang
STRIP ?= $(TOOLCHAIN)llvm-objcopy --strip-all
# Objects go into archives of failures: the folder of the build is not in them.
# Debian keeps asm/ under the architecture's name, where clang for bpf does not look.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I tests-bpf/include \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu -ffile-compilation-dir=.

BPF_SOURCES := $(wildcard tests-bpf/*/*.bpf.c)
BPF_OBJECTS := $(BPF_SOURCES:tests-bpf/%.bpf.c=$(GUEST)/objects/%.bpf.o)
# Objects that tests run as a user would.
TEST_OBJECTS := $(patsubst Tests/Support/Objects/%,$(BUILD)/test-objects/%,\
	$(patsubst %.bpf.c,%.bpf.o,$(wildcard Tests/Support/Objects/*.bpf.c)))
GUEST_PROGRAMS := $(GUEST)/bpftest-init $(GUEST)/bpftest-agent

.PHONY: all setup build build-tests run test browser-test check lint format bench soak objects guest-programs mutants \
	surface install clean
.DELETE_ON_ERROR:

all: build

setup:
	@scripts/setup

# What is said on the way goes to stderr: `make run` leaves stdout to TAP.
build: setup objects
	@$(SWIFT) build $(SWIFT_FLAGS) >&2
	@$(MAKE) --no-print-directory --silent guest-programs >&2

build-tests: setup objects $(TEST_OBJECTS)
	@$(SWIFT) build $(SWIFT_FLAGS) --build-tests >&2
	@$(MAKE) --no-print-directory --silent guest-programs >&2

run: build
	@$(BIN)/bpftest run $(foreach k,$(KERNELS),-k $(k)) $(ARGS)

# What failed is said once more at the end: a reader of the last lines of a long log finds it there. It takes 10 minutes
# or so; tests that hang are ended while there is still somebody to read which.
test: build-tests
	@bash -o pipefail -c 'timeout --foreground --kill-after 10 60m $(SWIFT) test $(SWIFT_FLAGS) --skip-build $(ARGS) 2>&1 | tee $(BUILD)/test.log' || { \
		echo "What failed (all of it: $(BUILD)/test.log):"; \
		grep -a -e "recorded an issue" -e "^↳" $(BUILD)/test.log | cut -c 1-600 | tail -n 12; \
		exit 1; }

# The HTML report in a headless Chromium: wants chromium, and python3.
browser-test: build
	@scripts/browser-test --bpftest $(BIN)/bpftest $(ARGS)

# What needs no virtual machine: quick enough for every commit.
check: lint build-tests
	@$(SWIFT) test $(SWIFT_FLAGS) --skip-build --skip VMTests $(ARGS)

lint:
	@$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

format:
	@$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests

bench: build
	@$(BIN)/bpftest-bench $(ARGS) $(BUILD)/bench.json

# A quarter of an hour and more: make soak ARGS="--restores 100 --minutes 1 --chaos-minutes 1"
soak: build
	@$(BIN)/bpftest-bench soak $(ARGS)

# A kernel with bugs that are switched on one at a time, to see which of them the suites catch; hours. docs/mutants.md.
#     make mutants SOURCE=~/linux BUGS="kptr ct-*" SUITES="kptr.maps" ARGS="--jobs 2"
mutants: build
	@scripts/mutants/run --bpftest $(BIN)/bpftest $(if $(SOURCE),--source $(SOURCE)) \
		$(if $(SUITES),--suites "$(SUITES)") $(ARGS) $(BUGS)

# docs/surface.md, from kernels that are fetched where they are not in the cache; docs/surface-format.md.
SURFACE_KERNELS ?= 5.10 6.1 6.12.43 6.12 6.16 6.17 6.18 7.2.6 7.2 7.3-rc 7.3
surface: build
	@$(BIN)/bpftest surface $(foreach k,$(SURFACE_KERNELS),-k $(k)) --format markdown >$(BUILD)/surface.md
	@mv $(BUILD)/surface.md docs/surface.md

# What the agents know of kfuncs is the catalogue itself.
CATALOGUE := $(GUEST)/objects/helpers/kfuncs-catalogue.csv

objects: setup $(BPF_OBJECTS) $(CATALOGUE)

$(CATALOGUE): docs/semantics/kfuncs-catalogue.csv
	@mkdir -p $(@D)
	@cp $< $@

$(GUEST)/objects/%.bpf.o: tests-bpf/%.bpf.c Makefile
	@mkdir -p $(@D)
	@echo "clang -target bpf $<" >&2
	@$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(BUILD)/$(subst /,-,$*).bpf.d -c $< -o $@

$(BUILD)/test-objects/%.bpf.o: Tests/Support/Objects/%.bpf.c Makefile
	@mkdir -p $(@D)
	@$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(BUILD)/test-$*.bpf.d -c $< -o $@

-include $(wildcard $(BUILD)/*.bpf.d)

# Guest images hold them, so they are stripped: 7 MB instead of 11.
guest-programs: $(GUEST_PROGRAMS) $(GUEST)/images

# The fragments for `bpftest kernels build`.
$(GUEST)/images:
	@ln -sfn ../../images $@

$(GUEST)/bpftest-%: $(BIN)/bpftest-%
	@mkdir -p $(@D)
	@$(STRIP) $< $@

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/bpftest
	$(STRIP) $(BIN)/bpftest $(DESTDIR)$(PREFIX)/bin/bpftest
	chmod 755 $(DESTDIR)$(PREFIX)/bin/bpftest
	install $(GUEST_PROGRAMS) $(DESTDIR)$(PREFIX)/lib/bpftest/
	cp -R $(GUEST)/objects images $(DESTDIR)$(PREFIX)/lib/bpftest/

clean:
	rm -rf $(BUILD)
