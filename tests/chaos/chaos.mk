# Chaos: what kills, fails and misleads the programs, and the proof that nothing is lost. tests/README.md says more.

STRIKE := $(BUILD)/chaos/strike
CHAOS   = BINDIR=$(BUILD)/bin STRIKE=$(STRIKE)
ROUNDS ?= 20
SEED   ?= 1
STEP   ?= 1

$(STRIKE): $(BUILD)/obj/tests/lib/strike.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LINK) -o $@ $<

.PHONY: crashpoints
crashpoints: build $(STRIKE) ## kill each process at each call that changes something (ALL=1: at any call); STEP=N for every Nth
	@$(CHAOS) tests/chaos/crashpoints $(if $(ALL),--all) --step $(STEP) --seed $(SEED)

.PHONY: faults
faults: build $(STRIKE) ## let each call on the store fail in each way; STEP=N for every Nth of them
	@$(CHAOS) tests/chaos/faults --step $(STEP) --seed $(SEED)

.PHONY: syncs
syncs: build $(STRIKE) ## the order of writes, syncs and renames of a pull
	@$(CHAOS) tests/chaos/syncs

.PHONY: chaos
chaos: build $(STRIKE) ## kill at random: ROUNDS=N SEED=S
	@$(CHAOS) tests/chaos/chaos --rounds $(ROUNDS) --seed $(SEED)

.PHONY: mutants
mutants: ## leave out one sync, check or order at a time; T=name for those whose name has it
	@tests/chaos/mutants "$(T)"

# Short forms for `make check`: the same cases each time.
.PHONY: chaos-short
chaos-short:
	@$(MAKE) --no-print-directory syncs
	@$(MAKE) --no-print-directory crashpoints STEP=4
	@$(MAKE) --no-print-directory faults STEP=10
	@$(MAKE) --no-print-directory chaos ROUNDS=6
