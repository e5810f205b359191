# SPDX-License-Identifier: Apache-2.0
# Installs the completions: one file per shell, each of which calls the script `complete`. ZSHDIR is where zsh looks.

ZSHDIR ?= $(PREFIX)/share/zsh/site-functions

COMPLETE_DEST = $(DESTDIR)$(PREFIX)/libexec/sluice
BASH_DEST     = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DEST      = $(DESTDIR)$(ZSHDIR)
FISH_DEST     = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
OTHERS       := $(filter-out sluice,$(PROGRAMS))
INSTALL_FILLED = sed 's|@LIBEXECDIR@|$(PREFIX)/libexec|' $(1) | install -m 644 /dev/stdin "$(2)"

# bash and fish look for a file named after the program.
.PHONY: install-completions uninstall-completions
install-completions:
	install -d "$(COMPLETE_DEST)" "$(BASH_DEST)" "$(ZSH_DEST)" "$(FISH_DEST)"
	install -m 755 sluice/completions/complete "$(COMPLETE_DEST)"
	$(call INSTALL_FILLED,sluice/completions/sluice.bash,$(BASH_DEST)/sluice)
	$(call INSTALL_FILLED,sluice/completions/_sluice,$(ZSH_DEST)/_sluice)
	$(call INSTALL_FILLED,sluice/completions/sluice.fish,$(FISH_DEST)/sluice.fish)
	for name in $(OTHERS); do \
	    ln -sf sluice "$(BASH_DEST)/$$name" && ln -sf sluice.fish "$(FISH_DEST)/$$name.fish" || exit; done

uninstall-completions:
	for name in $(PROGRAMS); do rm -f "$(BASH_DEST)/$$name" "$(FISH_DEST)/$$name.fish" || exit; done
	rm -f "$(ZSH_DEST)/_sluice"
	rm -rf "$(COMPLETE_DEST)"
