# SPDX-License-Identifier: Apache-2.0
# Installs the units and what they need; and their tests. UNITDIR is where systemd looks for units.

UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
UNITS      := $(notdir $(wildcard systemd/*.service systemd/*.target systemd/*.timer))

UNIT_DEST     = $(DESTDIR)$(UNITDIR)
SYSUSERS_DEST = $(DESTDIR)$(PREFIX)/lib/sysusers.d
TMPFILES_DEST = $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
CONFIG_DEST   = $(DESTDIR)$(SYSCONFDIR)/sluice

# An existing configuration is kept.
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

# For `make check`: kill each unit in the middle of a pull, try what each sandbox forbids, and attack from fetchd's place.
SYSTEMD_SHORT := killed or sandbox or attack or gc_timer

.PHONY: check-exposure test-systemd systemd-short
check-exposure: ## systemd's exposure levels: at most 0.4 for ingestd and commitd, 1.2 for fetchd
	@tests/gates/exposure
test-systemd: ## the units on a booted Debian, as root; T=word selects tests by name
	@tests/lib/packages build test systemd
	@$(MAKE) --no-print-directory build
	@tests/lib/run-systemd $(BUILD) $(RESULTS)/systemd "$(T)"
systemd-short: ## only its kills, sandboxes and attack; skipped where no container can be booted
	@MAY_SKIP=1 $(MAKE) --no-print-directory test-systemd T="$(SYSTEMD_SHORT)"
