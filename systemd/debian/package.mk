# SPDX-License-Identifier: Apache-2.0
# The Debian package, built by debhelper in a copy of the sources with debian/ at its top; and its tests.

DEB      := $(BUILD)/deb
DEB_TREE := $(DEB)/sluice-$(VERSION)
DEB_FILE  = $(DEB)/sluice_$(VERSION)_$(shell dpkg --print-architecture).deb
# nocheck, because the tests have targets of their own; the profile satisfies <!nocheck> of the build dependencies.
DEB_OPTS     ?= nocheck parallel=$(shell nproc)
DEB_PROFILES ?= $(filter nocheck,$(DEB_OPTS))

.PHONY: deb
deb: ## the Debian package, in build/deb
	@tests/lib/packages build deb
	@said=$$(dpkg-parsechangelog -l systemd/debian/changelog -S Version); [ "$$said" = $(VERSION) ] || { \
	    echo "systemd/debian/changelog ends at $$said; add an entry for $(VERSION)" >&2; exit 1; }
	@rm -rf $(DEB)
	@mkdir -p $(DEB_TREE)
	@tar -c --exclude=./.git --exclude=./build --exclude='./$(BUILD)' . | tar -x -C $(DEB_TREE)
	@cp -a systemd/debian $(DEB_TREE)
	@cd $(DEB_TREE) && env -u MAKEFLAGS -u MAKELEVEL -u BUILD \
	    DEB_BUILD_OPTIONS="$(DEB_OPTS)" DEB_BUILD_PROFILES="$(DEB_PROFILES)" \
	    dpkg-buildpackage --build=binary --no-sign >../log 2>&1 || { cat ../log; exit 1; }
	@rm -rf $(DEB_TREE)
	@ls $(DEB)/*.deb

# The part of the tests of `make test-systemd` that is repeated with the package instead of `make install`.
DEB_TESTS := package or killed or reboot or rights or member or stranger

.PHONY: check-deb test-deb
check-deb: deb ## lintian has no findings in the package
	@tests/gates/deb $(DEB)/*.changes
test-deb: check-deb ## install, use, remove and purge the package on a booted Debian, as root; T=word
	@tests/lib/packages test systemd
	@DEB="$(DEB_FILE)" tests/lib/run-systemd $(BUILD) $(RESULTS)/deb "$(or $(T),$(DEB_TESTS))"
