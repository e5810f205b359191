# SPDX-License-Identifier: Apache-2.0
# The units and what they need, installed; and what proves them. UNITDIR is where systemd looks for units.

UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
UNITS      := $(notdir $(wildcard systemd/*.service systemd/*.target))

UNIT_DEST     = $(DESTDIR)$(UNITDIR)
SYSUSERS_DEST = $(DESTDIR)$(PREFIX)/lib/sysusers.d
TMPFILES_DEST = $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
CONFIG_DEST   = $(DESTDIR)$(SYSCONFDIR)/sluice

# A configuration that is there is somebody's, and stays.
.PHONY: install-units uninstall-units
install-units:
	install -d "$(UNIT_DEST)" "$(SYSUSERS_DEST)" "$(TMPFILES_DEST)" "$(CONFIG_DEST)"
	for unit in $(UNITS); do sed 's|@BINDIR@|$(PREFIX)/bin|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' systemd/$$unit | \
	    install -m 644 /dev/stdin "$(UNIT_DEST)/$$unit" || exit; done
	install -m 644 systemd/sluice.sysusers "$(SYSUSERS_DEST)/sluice.conf"
	install -m 644 systemd/sluice.tmpfiles "$(TMPFILES_DEST)/sluice.conf"
	test -e "$(CONFIG_DEST)/sluice.conf" || install -m 644 systemd/sluice.conf "$(CONFIG_DEST)"

uninstall-units:
	for unit in $(UNITS); do rm -f "$(UNIT_DEST)/$$unit" || exit; done
	rm -f "$(SYSUSERS_DEST)/sluice.conf" "$(TMPFILES_DEST)/sluice.conf"

# A kill of each unit in the middle of a pull, what each may not do, and an attacker in fetchd's place: enough to see in
# make check that they work.
SYSTEMD_SHORT := killed or sandbox or attack

.PHONY: check-exposure test-systemd systemd-short
check-exposure: ## how exposed systemd finds the units: ingestd and commitd at most 0.4, fetchd 1.2
	@tests/gates/exposure
test-systemd: ## the units on a booted Debian, as root; T=word for the tests whose name has it
	@tests/lib/packages build test systemd
	@$(MAKE) --no-print-directory build
	@tests/lib/run-systemd $(BUILD) $(RESULTS)/systemd "$(T)"
systemd-short: ## the kills, the sandboxes and the attack of that alone; skipped where no machine can be booted
	@MAY_SKIP=1 $(MAKE) --no-print-directory test-systemd T="$(SYSTEMD_SHORT)"
