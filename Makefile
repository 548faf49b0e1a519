# facenetd: `make help` lists the targets.
#
# Everything is built under build/. Flags compose: CFLAGS is yours, FN_CFLAGS is ours.
#   SAN=address,undefined | thread   build with sanitizers (own build directory)
#   WERROR=0                         warnings do not fail the build
#   V=1                              show whole commands

CC      ?= gcc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
SAN     ?=
WERROR  ?= 1
BUILD   := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
comma   := ,
Q       := $(if $(V),,@)

WARNINGS  := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
             -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual \
             -Wno-gnu-statement-expression $(if $(filter 1,$(WERROR)),-Werror)
# Contraction would let the compiler fuse a*b+c and change bits: see engine/head.c.
FN_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -I$(BUILD)/gen -pthread -ffp-contract=off -fno-fast-math \
             -fstack-protector-strong -fPIE -MMD -MP $(WARNINGS) \
             $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all,\
             -D_FORTIFY_SOURCE=2)
FN_LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))

ENGINE_LIBS := -ljansson -lnettle -lOpenCL -ljpeg -lspng -lwebp -lwebpdemux -lm
MODEL_LIBS  := -lopenblas -lprotobuf-c
DAEMON_LIBS := -lmicrohttpd

ENGINE_SRC := $(wildcard engine/*.c)
MODEL_SRC  := $(wildcard model/*.c)
DAEMON_SRC := $(wildcard daemon/*.c)
KERNELS    := $(wildcard kernels/*.cl kernels/*.h)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)

objs = $(patsubst %.c,$(BUILD)/%.o,$(1))

.PHONY: all help
all: $(BUILD)/facenetd $(BUILD)/facenet-model ## build both programs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 22

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS) $(FN_CFLAGS) -c $< -o $@

# gcc vectorises these loops from -O3 on only; integers, so no bit changes.
$(BUILD)/engine/resize.o $(BUILD)/engine/detect_scale.o: CFLAGS += -O3

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- libraries and programs -------------------------------------------------------------------

$(BUILD)/libengine.a: $(call objs,$(ENGINE_SRC)) $(BUILD)/gen/kernel_sources.o
$(BUILD)/libmodel.a:  $(call objs,$(filter-out model/main.c,$(MODEL_SRC)))
$(BUILD)/libdaemon.a: $(call objs,$(filter-out daemon/main.c,$(DAEMON_SRC)))
$(BUILD)/lib%.a:
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/gen/kernel_sources.c: scripts/embed-kernels.sh $(KERNELS)
	@mkdir -p $(@D)
	$(Q)scripts/embed-kernels.sh $(KERNELS) > $@
$(BUILD)/gen/kernel_sources.o: $(BUILD)/gen/kernel_sources.c
	$(Q)$(CC) $(CFLAGS) $(FN_CFLAGS) -c $< -o $@

$(BUILD)/facenetd: $(call objs,daemon/main.c) $(BUILD)/libdaemon.a $(BUILD)/libengine.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(DAEMON_LIBS) $(ENGINE_LIBS)
$(BUILD)/facenet-model: $(call objs,model/main.c) $(BUILD)/libmodel.a $(BUILD)/libengine.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(MODEL_LIBS) $(ENGINE_LIBS)

# ---- tests --------------------------------------------------------------------------------------

UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
UNIT_LIBS := $(BUILD)/libdaemon.a $(BUILD)/libmodel.a $(BUILD)/libengine.a
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(UNIT_LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ -lcmocka $(DAEMON_LIBS) $(MODEL_LIBS) $(ENGINE_LIBS)

.PHONY: unit
unit: $(UNIT_BIN) ## run the cmocka unit tests
	$(Q)for t in $(UNIT_BIN); do echo "== $$t"; $$t || exit 1; done

clean: ## remove everything built
	rm -rf build
