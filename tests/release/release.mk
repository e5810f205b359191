# SPDX-License-Identifier: Apache-2.0
# Fresh machines: build and test a clone in a minimal tree of a Debian release. See tests/README.md.

OTHER_RELEASE = $(shell . /etc/os-release && [ "$$VERSION_CODENAME" = trixie ] && echo bookworm || echo trixie)
RELEASE ?= $(OTHER_RELEASE)
ARCH    ?=
AS      ?= root
AT      ?= /opt/sluice
GOALS   ?= run test deb

.PHONY: test-release release-short
test-release: ## in a minimal tree of RELEASE, as root: GOALS="run test deb" AS=root|sudo|user AT=/a/path; ARCH=arm64|armhf
	@tests/lib/packages $(if $(ARCH),emulation test,release)
	@BUILD=$(BUILD) RESULTS=$(RESULTS) T="$(T)" tests/release/$(if $(ARCH),emulated $(RELEASE) $(ARCH),native $(RELEASE) $(AS) "$(AT)" $(GOALS))
release-short: ## build, unit tests and some system tests in the other release; skipped without root or namespaces
	@MAY_SKIP=1 $(MAKE) --no-print-directory test-release RELEASE=$(OTHER_RELEASE) AS=root AT=/opt/sluice GOALS=short
