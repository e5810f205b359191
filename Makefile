# SPDX-License-Identifier: Apache-2.0
# Sluice. `make help` lists the targets.

VERSION := $(shell sed -n 's/^\#define SLUICE_VERSION "\(.*\)"$$/\1/p' common/base/version.h)
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC      := gcc
endif

PROGRAMS := fetchd ingestd commitd sluice
FLOORS   := common/base common/oci common/store common/wire

# Builds within other targets use all cores, unless make was given -j.
PARALLEL  = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# One line per file that is built: $(call say,CC,file). V=1 shows the commands instead, -s nothing.
V  ?=
Q  := $(if $(filter-out 0,$(V)),,@)
say = @$(if $(Q),$(if $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS)))),:,printf '%-3s %s\n' $(1) $(2)),:)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS   ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LINK     := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

# SAN=1 builds with the address and undefined-behaviour sanitizers; use a separate BUILD.
ifdef SAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
HARDEN  := -fPIE
LINK    := -pie -Wl,--as-needed
endif

# TSAN=1 builds with the thread sanitizer; use a separate BUILD.
ifdef TSAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
HARDEN  := -fPIE
LINK    := -pie -Wl,--as-needed
endif

# FAILPOINTS=1 builds programs with fault injection at named points (common/base/failpoint.h); use a separate BUILD.
ifdef FAILPOINTS
FAILPOINT_OBJ   := $(BUILD)/obj/tests/lib/failpoint.o
FAILPOINT_WRAPS := write writev pwrite64 fsync fdatasync renameat renameat2 linkat unlinkat unlink rmdir mkdirat mkdir \
                   openat64 symlinkat ioctl fchmod fchmodat ftruncate64 fallocate64 nn_send nn_bind send bind
CPPFLAGS += -DSLUICE_FAILPOINTS
CFLAGS   := -O1 -g
HARDEN   := -fPIE
LINK     := -pie -Wl,--as-needed $(FAILPOINT_WRAPS:%=-Wl,--wrap=%)
endif

# Libraries by pkg-config name: those whose headers a folder includes (USES), and those that a program links (PKGS).
PKG_CONFIG       ?= pkg-config
USES_common/base := libcrypto inih
USES_common/oci  := jansson
USES_common/wire := nanomsg
USES_fetchd      := libcurl libseccomp
PKGS_fetchd      := libcurl libcrypto libseccomp nanomsg jansson inih
PKGS_ingestd     := libcrypto nanomsg
PKGS_commitd     := libcrypto nanomsg jansson
PKGS_sluice      := libcrypto jansson
LIBS_fetchd      := -lev
LIBS_ingestd     := -lev
LIBS_commitd     := -lev
LIBS_sluice      :=
PKGS_ALL         := libcurl libseccomp libcrypto nanomsg jansson inih

# 64-bit file sizes, inodes and times on 32-bit machines too.
CPPFLAGS += -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
CPPFLAGS += -std=c17 -D_GNU_SOURCE -I.
COMPILE   = $(CC) $(CPPFLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) -MD -MP

# Each folder is compiled with the flags of its own libraries and no others; tests get all of them.
pkg_cflags = $(if $(strip $(1)),$(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null))
pkg_libs   = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)
# libfuse's headers are not free of warnings.
fuse_cflags = $(patsubst -I%,-isystem %,$(call pkg_cflags,fuse3))
$(foreach f,$(FLOORS) $(PROGRAMS),$(eval FLAGS_$(f) := $(call pkg_cflags,$(USES_$(f)))))
FLAGS_tests := $(call pkg_cflags,$(PKGS_ALL) cmocka)
flags_of = $(foreach f,$(FLOORS) $(PROGRAMS) tests,$(if $(filter $(f)/%,$(1)),$(FLAGS_$(f))))

objects_of  = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(shell find $(1) -name '*.c')))
COMMON_LIB := $(BUILD)/obj/libcommon.a
stage_lib   = $(patsubst %,$(BUILD)/obj/lib%.a,$(1))

UNIT_SRC := $(sort $(shell find tests/unit -name 'test_*.c'))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)

.DEFAULT_GOAL := build
.PHONY: build
build: $(PROGRAMS:%=$(BUILD)/bin/%) ## the four programs, in build/bin

# Name missing libraries before the compiler stumbles over them.
.PHONY: libraries
libraries:
	@$(PKG_CONFIG) --exists $(PKGS_ALL) 2>/dev/null || { \
	    echo "build dependencies are missing; on Debian: apt-get install $$(tests/lib/packages --list build)" >&2; \
	    exit 1; }

$(BUILD)/obj/%.o: %.c | libraries
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(call flags_of,$<) -c -o $@ $<

# An archive and the list of its members: when a source file is removed, its object leaves the archive.
define archive_rules
$(BUILD)/obj/lib$(1).list: always
	@mkdir -p $$(@D)
	@echo $(2:$(BUILD)/%=%) | cmp -s - $$@ || echo $(2:$(BUILD)/%=%) >$$@

$(BUILD)/obj/lib$(1).a: $(BUILD)/obj/lib$(1).list $(2)
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) qcs $$@ $(2)
endef
$(eval $(call archive_rules,common,$(call objects_of,$(FLOORS))))

# A program is its main.c and an archive of the rest of its folder, which the unit tests link too. It is renamed into place
# when complete: tests that run meanwhile find the old program or the new one, never half of one.
define program_rules
$(call archive_rules,$(1),$(filter-out %/$(1)/main.o,$(call objects_of,$(1))))

$(BUILD)/bin/$(1): $(BUILD)/obj/$(1)/main.o $(FAILPOINT_OBJ) $(call stage_lib,$(1)) $(COMMON_LIB)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(LINK) -o $(BUILD)/obj/$(1)/linked $$^ $$(call pkg_libs,$$(PKGS_$(1))) $$(LIBS_$(1)) -lpthread
	@mv $(BUILD)/obj/$(1)/linked $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# A unit test links the archive of the program in its name and no other: several programs have a serve.c.
program_of = $(filter $(PROGRAMS),$(subst _, ,$(subst /, ,$(1))))
define unit_rules
$(BUILD)/tests/$(1): tests/unit/$(1).c $(call stage_lib,$(call program_of,$(1))) $(COMMON_LIB)
	$$(call say,CC,$$<)
	@mkdir -p $$(@D) $(dir $(BUILD)/obj/$(1).d)
	$$(Q)$$(COMPILE) $$(FLAGS_tests) $$(LINK) -MF $(BUILD)/obj/$(1).d -o $$@ $$< $(call stage_lib,$(call program_of,$(1))) \
	    $$(COMMON_LIB) $$(call pkg_libs,$$(PKGS_ALL) cmocka) -lev -lpthread
endef
$(foreach t,$(UNIT_SRC:tests/unit/%.c=%),$(eval $(call unit_rules,$(t))))

# The programs as other releases, for the system tests: `next` understands protocol 2 and 3, `later` only 3. Only
# common/wire knows the version, so that nothing else is compiled again.
NEIGHBOURS    := next later
VERSION_next  := -DWIRE_VERSION=3
VERSION_later := -DWIRE_VERSION=3 -DWIRE_TALK_MIN=3
WIRE_SRC      := $(sort $(wildcard common/wire/*.c))

define neighbour_program_rules
$(BUILD)/$(1)/bin/$(2): $(BUILD)/obj/$(2)/main.o $(call stage_lib,$(2)) $(BUILD)/$(1)/libwire.a $(COMMON_LIB)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(LINK) -o $$@ $$^ $$(call pkg_libs,$$(PKGS_$(2))) $$(LIBS_$(2)) -lpthread
endef
define neighbour_rules
$(BUILD)/$(1)/common/wire/%.o: common/wire/%.c | libraries
	$$(call say,CC,"$$< ($(1))")
	@mkdir -p $$(@D)
	$$(Q)$$(COMPILE) $$(VERSION_$(1)) $$(FLAGS_common/wire) -c -o $$@ $$<

$(BUILD)/$(1)/libwire.a: $(WIRE_SRC:%.c=$(BUILD)/$(1)/%.o)
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) qcs $$@ $$^

$(foreach p,$(PROGRAMS),$(eval $(call neighbour_program_rules,$(1),$(p))))
endef
$(foreach n,$(NEIGHBOURS),$(eval $(call neighbour_rules,$(n))))

.PHONY: neighbours
neighbours: $(foreach n,$(NEIGHBOURS),$(PROGRAMS:%=$(BUILD)/$(n)/bin/%))

# For check-tsan.
$(BUILD)/tests/race: $(BUILD)/obj/tests/lib/race.o $(COMMON_LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LINK) -o $@ $^ -lev -lpthread

.PHONY: always
always:

# ── try it ──

STORE ?= $(BUILD)/run/store
IMAGE ?=

.PHONY: run
run: ## pull a sample image and show the store; IMAGE=host/name:tag for another, STORE=directory
	@tests/lib/packages build run
	@$(if $(Q),echo "building the programs (V=1 shows how)")
	@$(MAKE) --no-print-directory $(if $(Q),-s) $(PARALLEL) build
	@tests/lib/run $(BUILD)/bin "$(STORE)" $(IMAGE)

# ── tests ──

RESULTS     := $(BUILD)/results
SAN_BUILD   := build/san
CLANG_BUILD := build/clang
T ?=

.PHONY: unit-programs
unit-programs: $(UNIT_BIN)

.PHONY: unit
unit: unit-programs ## the unit tests alone
	@tests/lib/run-unit $(RESULTS)/unit $(UNIT_BIN)

# The tests mostly wait, so run more of them at once than there are cores. Sanitizers are slow: use smaller blobs.
JOBS ?= $(shell expr $$(nproc) + 2)
# A file system whose locks do nothing; without libfuse3-dev its tests are skipped.
FLOCKLESS := $(if $(call pkg_libs,fuse3),$(BUILD)/lib/flockless)
$(BUILD)/lib/flockless: tests/lib/flockless.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(fuse_cflags) $(WARNINGS) -O1 -o $@ $< $(call pkg_libs,fuse3)

.PHONY: system
system: build neighbours $(FLOCKLESS) ## the system tests alone; T=word selects by name, JOBS=N files at once
	@BINDIR=$(BUILD)/bin FLOCKLESS=$(FLOCKLESS) $(if $(SAN),BIG_MIB=512) tests/lib/run-system $(RESULTS)/system "$(T)" -n $(JOBS) --dist loadfile

HOLD ?= 20
.PHONY: test-net
test-net: ## packet loss, outages and resets between two network namespaces, as root; each for HOLD seconds
	@tests/lib/packages build test
	@$(MAKE) --no-print-directory $(PARALLEL) build
	@NET_HOLD_S=$(HOLD) BINDIR=$(BUILD)/bin tests/lib/run-system $(RESULTS)/net netpath

.PHONY: test
test: ## install what the tests need, and run all unit and system tests
	@tests/lib/packages build test
	@rm -rf $(RESULTS)
	@$(MAKE) --no-print-directory $(PARALLEL) build neighbours unit-programs
	@$(MAKE) --no-print-directory --keep-going unit system; status=$$?; \
	    tests/lib/tally $(RESULTS)/unit $(RESULTS)/system && exit $$status

# ── gates ──

GATES := format licence walls calls sizes layers circles manpages help exposure failpoints clang 32bit tidy

.PHONY: gates
gates: $(GATES:%=check-%)

# Ends with the time that each stage took, so that a slow one is noticed. CHECK_MINUTES: the limit for all on two cores.
CHECK_MINUTES := 45
.PHONY: check
check: ## all tests, also under sanitizers, and all gates
	@tests/lib/packages build test check power systemd release deb
	@MAKE="$(MAKE)" MINUTES=$(CHECK_MINUTES) tests/lib/run-stages "build $(PARALLEL)" gates test check-san check-tsan fuzz-replay fuzz-reach \
	    $(CHAOS_SHORT) systemd-short release-short check-deb

.PHONY: check-format check-licence check-walls check-calls check-sizes check-layers check-circles check-manpages check-help check-clang check-tidy check-32bit check-san check-tsan
check-format: ## C files are formatted with clang-format
	@tests/gates/format
check-licence: ## each file begins with its licence
	@tests/gates/licence
check-walls: ## each claim of docs/WALLS.md names a test that exists
	@tests/gates/walls
check-calls: ## no banned calls; only the owners sync and rename
	@tests/gates/calls
check-sizes: ## functions of at most 60 lines; lists files over 500 lines and headers over 150
	@tests/gates/sizes
check-layers: build ## includes and linked libraries obey the floors
	@tests/gates/layers $(BUILD)
check-circles: build ## no circular dependencies among files, and none upward within a daemon
	@tests/gates/circles $(BUILD)
check-manpages: build ## mandoc's lint of the manual pages, and every option is in them
	@tests/gates/manpages $(BUILD)/bin
check-help: build ## each --help fits a screen of 24 lines and 80 columns
	@tests/gates/help $(BUILD)/bin
check-clang: ## clang, too, builds everything without a warning
	@$(MAKE) --no-print-directory $(PARALLEL) CC=clang BUILD=$(CLANG_BUILD) build unit-programs
	@echo "clang: no warnings"
check-tidy check-32bit: export CPPFLAGS := $(CPPFLAGS) $(FLAGS_tests)
check-32bit: export WARNINGS := $(WARNINGS)
check-tidy: ## clang-tidy has no findings
	@tests/gates/tidy
check-32bit: ## a compiler for armhf, where a size_t is narrower than a file, has no warnings
	@tests/gates/32bit
# Left out: tests of time, memory, space and shells, and those that move many bytes; sanitizers find nothing more there.
SAN_LEAVES_OUT := layout_file or kills or completions or memory or pipelines or netpath or speed or nginx or full_disk or \
    doctor
check-san: ## the tests under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory SAN=1 BUILD=$(SAN_BUILD) test T="not ($(SAN_LEAVES_OUT))"

# The tests of worker threads: the unit tests that start some, and the system tests that keep most of them busy at once.
TSAN_BUILD := build/tsan
TSAN_UNITS := $(addprefix $(TSAN_BUILD)/tests/test_,base_workers base_loop ingestd_flow ingestd_queue)
TSAN_T     := everything_at_once or races or killed_between or wrong_bytes or pulls_of_one_layer or pull_all
check-tsan: ## the tests of threaded code under the thread sanitizer
	@$(MAKE) --no-print-directory $(if $(Q),-s) $(PARALLEL) TSAN=1 BUILD=$(TSAN_BUILD) build $(TSAN_UNITS) $(TSAN_BUILD)/tests/race
	@tests/gates/tsan $(TSAN_BUILD) "$(TSAN_T)" $(TSAN_UNITS)

.PHONY: format
format: ## format the C files with clang-format
	clang-format -i $$(find common $(PROGRAMS) tests -name '*.[ch]')

.PHONY: bench-one bench-ranges bench-names
bench-one: ## a blob of 2 GiB, compared with curl | tee | openssl
bench-ranges: ## a blob of 1 GiB in eight ranges at once, compared with one stream; 20 MB/s per connection
bench-names: ## one more name in an index.json of 20,000 names
bench-one bench-ranges bench-names:
	@tests/lib/packages build bench
	@$(MAKE) --no-print-directory $(PARALLEL) build
	@tests/bench/$(@:bench-%=%) $(BUILD)/bin

include tests/fuzz/fuzz.mk tests/chaos/chaos.mk tests/power/power.mk tests/release/release.mk

# ── installing ──

include systemd/systemd.mk systemd/debian/package.mk

include sluice/completions/completions.mk

INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
INSTALL_MAN := $(DESTDIR)$(PREFIX)/share/man
INSTALL_DOC := $(DESTDIR)$(PREFIX)/share/doc/sluice
PAGES       := $(sort $(wildcard man/*.[157]))
DOCS        := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md

.PHONY: install
install: build install-units install-completions ## install everything in DESTDIR: below PREFIX (/usr/local), and the configuration below SYSCONFDIR (/etc)
	install -d "$(INSTALL_BIN)" "$(INSTALL_MAN)/man1" "$(INSTALL_MAN)/man5" "$(INSTALL_MAN)/man7" "$(INSTALL_DOC)/docs"
	install -m 755 $(PROGRAMS:%=$(BUILD)/bin/%) "$(INSTALL_BIN)"
	for page in $(PAGES); do install -m 644 $$page "$(INSTALL_MAN)/man$${page##*.}" || exit; done
	install -m 644 $(DOCS) "$(INSTALL_DOC)"
	install -m 644 docs/*.md "$(INSTALL_DOC)/docs"

.PHONY: uninstall
uninstall: uninstall-units uninstall-completions ## remove what install put there, except the configuration
	rm -rf "$(INSTALL_DOC)"
	for name in $(PROGRAMS); do rm -f "$(INSTALL_BIN)/$$name" || exit; done
	for page in $(notdir $(PAGES)); do rm -f "$(INSTALL_MAN)/man$${page##*.}/$$page" || exit; done

.PHONY: clean
clean: ## remove BUILD
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(BUILD)/obj $(NEIGHBOURS:%=$(BUILD)/%) -name '*.d' 2>/dev/null)
