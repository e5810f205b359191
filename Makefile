# Sluice. `make help` tells what there is to make.

VERSION := 0.1.0
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc

PROGRAMS := fetchd ingestd commitd sluice
FLOORS   := base oci wire

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS   ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LINK     := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

# SAN=1 builds with the address and undefined-behaviour sanitizers; use a BUILD of its own.
ifdef SAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
HARDEN  := -fPIE
LINK    := -pie -Wl,--as-needed
endif

PKGS_fetchd  := libcurl nanomsg jansson inih
PKGS_ingestd := libcrypto nanomsg
PKGS_commitd := libcrypto nanomsg jansson
PKGS_sluice  := libcrypto nanomsg jansson
LIBS_fetchd  := -lev
LIBS_ingestd := -lev
LIBS_commitd := -lev
LIBS_sluice  :=
PKGS_ALL     := libcurl libcrypto nanomsg jansson inih

CPPFLAGS += -std=c17 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -I.
COMPILE   = $(CC) $(CPPFLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(shell pkg-config --cflags $(PKGS_ALL)) -MMD -MP

COMMON_SRC := $(foreach f,$(FLOORS),$(sort $(wildcard common/$(f)/*.c)))
COMMON_OBJ := $(COMMON_SRC:%.c=$(BUILD)/obj/%.o)
COMMON_LIB := $(BUILD)/obj/libcommon.a
stage_obj   = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(1)/*.c)))
stage_lib   = $(patsubst %,$(BUILD)/obj/lib%.a,$(1))

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)

.DEFAULT_GOAL := build
.PHONY: build
build: $(PROGRAMS:%=$(BUILD)/bin/%) ## the four programs, in build/bin

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(COMMON_LIB): $(COMMON_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# A program is its main.c and an archive of the rest of its folder, which the unit tests link too.
define program_rules
$(call stage_lib,$(1)): $(filter-out %/main.o,$(call stage_obj,$(1)))
	@rm -f $$@
	$$(AR) rcs $$@ $$^

$(BUILD)/bin/$(1): $(BUILD)/obj/$(1)/main.o $(call stage_lib,$(1)) $(COMMON_LIB)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LINK) -o $$@ $$^ $$(shell pkg-config --libs $$(PKGS_$(1))) $$(LIBS_$(1)) -lpthread
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

$(BUILD)/tests/%: tests/unit/%.c $(call stage_lib,$(PROGRAMS)) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(COMPILE) $(LINK) -MF $(BUILD)/obj/$*.d -o $@ $< $(call stage_lib,$(PROGRAMS)) $(COMMON_LIB) \
	    $(shell pkg-config --libs $(PKGS_ALL) cmocka) -lev -lpthread

.PHONY: unit-programs
unit-programs: $(UNIT_BIN)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
