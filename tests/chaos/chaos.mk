# SPDX-License-Identifier: Apache-2.0
# Chaos: kill the programs, make their calls fail, feed them bad data; nothing may be lost. See tests/README.md.

STRIKE := $(BUILD)/chaos/strike
CHAOS   = BINDIR=$(BUILD)/bin STRIKE=$(STRIKE)
FAILPOINT_BUILD := build/failpoints
ROUNDS ?= 20
SEED   ?= 1
STEP   ?= 1

$(STRIKE): $(BUILD)/obj/tests/lib/strike.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LINK) -o $@ $<

.PHONY: crashpoints
crashpoints: build $(STRIKE) ## kill each process at each call that changes something (ALL=1: at every call); STEP=N for every Nth
	@$(CHAOS) tests/chaos/crashpoints $(if $(ALL),--all) --step $(STEP) --seed $(SEED)

.PHONY: faults
faults: build $(STRIKE) $(BUILD)/chaos/nomem.so ## fail each call on the store, and allocations, in each way; STEP=N for every Nth
	@$(CHAOS) tests/chaos/faults --step $(STEP) --seed $(SEED)

# Libraries for LD_PRELOAD: warp shifts the time of day, nomem fails an allocation.
$(BUILD)/chaos/%.so: tests/lib/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(WARNINGS) -O1 -fPIC -shared -o $@ $<

# Programs with failpoints, and the gate that ordinary builds contain none.
.PHONY: failpoint-programs check-failpoints
failpoint-programs:
	@$(MAKE) --no-print-directory $(PARALLEL) FAILPOINTS=1 BUILD=$(FAILPOINT_BUILD) build
check-failpoints: build failpoint-programs ## release programs contain no failpoints
	@tests/gates/failpoints $(BUILD) $(FAILPOINT_BUILD)

.PHONY: failpoints
failpoints: failpoint-programs $(STRIKE) ## kill or fail at each failpoint; STEP=N for every Nth; LIST=1 lists them
	@BINDIR=$(FAILPOINT_BUILD)/bin STRIKE=$(STRIKE) tests/chaos/failpoints $(if $(LIST),--list) --step $(STEP) --seed $(SEED)

.PHONY: syncs
syncs: build $(STRIKE) ## check the order of writes, syncs and renames in a pull
	@$(CHAOS) tests/chaos/syncs

.PHONY: chaos
chaos: build $(STRIKE) $(BUILD)/chaos/warp.so ## kill at random under adverse conditions: ROUNDS=N SEED=S
	@$(CHAOS) tests/chaos/chaos --rounds $(ROUNDS) --seed $(SEED)

.PHONY: hostile hostile-short
hostile: build ## a hostile fetchd and a hostile group member send whatever they like: MINUTES=N SEED=S
	@$(CHAOS) tests/chaos/hostile --seconds $$(($(if $(MINUTES),$(MINUTES),1) * 60)) --seed $(SEED)
hostile-short: build
	@$(CHAOS) tests/chaos/hostile --seconds 20 --seed $(SEED)

.PHONY: mutants
mutants: ## break one sync, check or order at a time: a test must fail; T=name selects; STEP=N for every Nth
	@tests/chaos/mutants --step $(STEP) "$(T)"

# Short forms for `make check`: the same cases each time.
CHAOS_SHORT := syncs "crashpoints STEP=10" "failpoints STEP=25" "faults STEP=10" "chaos ROUNDS=4" power-short hostile-short "mutants STEP=10"
.PHONY: chaos-short
chaos-short:
	@MAKE="$(MAKE)" tests/lib/run-stages $(CHAOS_SHORT)
