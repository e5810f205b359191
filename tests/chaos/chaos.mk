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
