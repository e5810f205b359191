# SPDX-License-Identifier: Apache-2.0
# Power cuts of a disk, after every write that reached it. See tests/README.md.

DISK    := $(BUILD)/power/disk
STATES  ?= 2000
FS      ?= ext4
POWER    = BINDIR=$(BUILD)/bin DISK=$(DISK) tests/power/power

# Needs libfuse, which a fresh clone may lack: then only this is not built.
$(DISK): tests/power/disk.c tests/power/tape.c tests/power/image.c $(wildcard tests/power/*.h) $(COMMON_LIB)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(fuse_cflags) $(WARNINGS) $(HARDEN) $(CFLAGS) $(LINK) -o $@ \
	    $(filter %.c %.a,$^) $(call pkg_libs,fuse3)

.PHONY: power
power: ## cut the power of a disk after each write, as root: STATES=N, FS=ext4,xfs,btrfs, SEED=S
	@tests/lib/packages build test power
	@$(MAKE) --no-print-directory build $(DISK)
	@$(POWER) --fs $(FS) --states $(STATES) --seed $(SEED) --verbose

CUTS ?= 36

.PHONY: power-machine
power-machine: ## cut the power of a Debian machine with our units in the middle of pulls, as root: CUTS=N, SEED=S
	@tests/lib/packages build test systemd power-machine
	@$(MAKE) --no-print-directory build
	@tests/power/machine --build $(BUILD) --tree "$$(tests/lib/debian-root $(BUILD)/systemd)" --cuts $(CUTS) --seed $(SEED)

# All kinds of cuts on ext4, some on the other file systems, in a minute or two.
.PHONY: power-short
power-short: build $(DISK) ## a short form of power
	@$(POWER) --fs ext4 --states 800 --finish 200
	@$(POWER) --fs xfs,btrfs --states 200 --workload fresh --finish 150
