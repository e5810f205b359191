# SPDX-License-Identifier: Apache-2.0
# Fuzz targets: tests/fuzz/fuzz_NAME.c, each with a corpus in tests/fuzz/corpus/NAME.

FUZZ_NAMES  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_BUILD  ?= build/fuzz
REACH_BUILD ?= build/reach
RUNS        ?= 100000

# A target is linked to the program in its name and to no other; to all of them if there is none in it.
fuzz_libs_of = $(call stage_lib,$(or $(call program_of,$(1)),$(PROGRAMS))) $(COMMON_LIB)
FUZZ_LIBS    = $(call pkg_libs,$(PKGS_ALL) cmocka) -lev -lpthread

# FUZZ=1 compiles for libFuzzer; needs CC=clang.
ifdef FUZZ
CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
HARDEN := -fPIE
LINK   := -pie -Wl,--as-needed
endif

# REACH=1 records which branches are taken.
ifdef REACH
CFLAGS := -O0 -g --coverage
HARDEN := -fPIE
LINK   := -pie -Wl,--as-needed
endif

define fuzz_rules
$(BUILD)/fuzz/$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(call fuzz_libs_of,$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) -fsanitize=fuzzer $$(LINK) -o $$@ $$^ $$(FUZZ_LIBS)

$(BUILD)/replay/$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(BUILD)/obj/tests/fuzz/replay.o $(call fuzz_libs_of,$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(LINK) -o $$@ $$^ $$(FUZZ_LIBS)
endef
$(foreach t,$(FUZZ_NAMES),$(eval $(call fuzz_rules,$(t))))

.PRECIOUS: $(BUILD)/obj/tests/fuzz/%.o
.PHONY: replay-programs fuzz fuzz-replay fuzz-reach
replay-programs: $(FUZZ_NAMES:%=$(BUILD)/replay/%)

fuzz: ## RUNS=N executions of each fuzz target, or of T=name
	@tests/lib/packages build fuzz
	@$(MAKE) --no-print-directory FUZZ=1 CC=clang BUILD=$(FUZZ_BUILD) $(patsubst %,$(FUZZ_BUILD)/fuzz/%,$(or $(T),$(FUZZ_NAMES)))
	@tests/fuzz/run $(FUZZ_BUILD) $(RUNS) $(or $(T),$(FUZZ_NAMES))

fuzz-replay: ## replay the committed corpora under the sanitizers
	@$(MAKE) --no-print-directory SAN=1 BUILD=$(SAN_BUILD) replay-programs
	@tests/fuzz/replay $(SAN_BUILD) $(RESULTS)/fuzz $(FUZZ_NAMES)

fuzz-reach: ## branch coverage of each decoder by its corpus
	@$(MAKE) --no-print-directory REACH=1 BUILD=$(REACH_BUILD) replay-programs
	@tests/fuzz/reach $(REACH_BUILD)
