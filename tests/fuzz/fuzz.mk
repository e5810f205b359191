# SPDX-License-Identifier: Apache-2.0
# Fuzz targets: tests/fuzz/fuzz_NAME.c, each with a corpus in tests/fuzz/corpus/NAME.

FUZZ_NAMES  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_BUILD  ?= build/fuzz
REACH_BUILD ?= build/reach
RUNS        ?= 100000

FUZZ_LIBS = $(call stage_lib,$(PROGRAMS)) $(COMMON_LIB) $(call pkg_libs,$(PKGS_ALL)) -lev -lpthread

# FUZZ=1 compiles for libFuzzer; needs CC=clang.
ifdef FUZZ
CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
HARDEN := -fPIE
LINK   := -pie -Wl,--as-needed
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(call stage_lib,$(PROGRAMS)) $(COMMON_LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LINK) -o $@ $< $(FUZZ_LIBS)
endif

# REACH=1 records which branches are taken.
ifdef REACH
CFLAGS := -O0 -g --coverage
HARDEN := -fPIE
LINK   := -pie -Wl,--as-needed
endif

$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o $(call stage_lib,$(PROGRAMS)) $(COMMON_LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LINK) -o $@ $< $(BUILD)/obj/tests/fuzz/replay.o $(FUZZ_LIBS)

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
