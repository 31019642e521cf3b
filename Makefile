# sqlune: `make` builds build/sqlune; `make quickstart` runs the whole job; `make test` tests; `make help` lists the rest.
ifeq ($(origin CC),default)
CC       := gcc
endif
ARCH     ?= native
BUILD    ?= build
PREFIX   ?= /usr/local
OPT      ?= -O3 -g
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wno-unknown-pragmas -Wno-format-truncation -Werror
CPPFLAGS += -D_GNU_SOURCE -Isrc -I. -I/usr/include/lua5.4 -I/usr/include/cjson
CFLAGS   += -std=c17 $(OPT) -march=$(ARCH) -fno-math-errno -fno-trapping-math -fopenmp $(WARN) $(SAN)
LUALIB   := $(firstword $(wildcard /usr/lib/*/liblua5.4.a))
LPEGLIB  := $(firstword $(wildcard /usr/lib/*/liblua5.4-lpeg.a))
LDLIBS   := -Wl,--whole-archive $(LUALIB) $(LPEGLIB) -Wl,--no-whole-archive -Wl,-E \
            -lcjson -lsqlite3 -lutf8proc -ldnnl -ledit -ldl -lpthread -lm
SRC      := $(sort $(wildcard src/*/*.c kernels/cpu/*.c))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)

.PHONY: all test lint clean help
all: $(BUILD)/bin/sqlune
$(BUILD)/bin/sqlune: $(OBJ)
	@mkdir -p $(@D)
	@echo "ld $@"; $(CC) $(CFLAGS) -o $@ $(OBJ) $(LDLIBS)
	@for d in lua recipes configs examples; do ln -sfn $(CURDIR)/$$d $(BUILD)/$$d; done
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "cc $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
-include $(OBJ:.o=.d)

test: all
	$(BUILD)/bin/sqlune tests/run.lua

clean:
	rm -rf $(BUILD)
