# facenetd: `make help` lists the targets.
#
# Everything is built under build/. Flags compose: CFLAGS is yours, FN_CFLAGS is ours.
#   SAN=address,undefined | thread   build with sanitizers (own build directory)
#   CC=clang                         build with another compiler (own build directory)
#   FUZZER=libfuzzer                 fuzz targets by clang's libFuzzer (with CC=clang)
#   WERROR=0                         warnings do not fail the build
#   V=1                              show whole commands

CC      ?= gcc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SAN     ?=
WERROR  ?= 1
FUZZER  ?=
comma   := ,
# One directory for each way to build, so that no object is ever linked with another way's.
BUILD   := build$(if $(filter clang%,$(CC)),/$(CC))$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))$(if $(FUZZER),/$(FUZZER))
Q       := $(if $(V),,@)

WARNINGS  := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
             -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual \
             -Wno-gnu-statement-expression $(if $(filter 1,$(WERROR)),-Werror)
# Contraction would let the compiler fuse a*b+c and change bits: see engine/head.c.
FN_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -I$(BUILD)/gen -pthread -ffp-contract=off -fno-fast-math \
             -fstack-protector-strong -fPIE -MMD -MP $(WARNINGS) \
             $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all,\
             -D_FORTIFY_SOURCE=2) $(if $(FUZZER),-fsanitize=fuzzer-no-link)
FN_LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))

ENGINE_LIBS := -ljansson -lnettle -lOpenCL -ljpeg -lspng -lwebp -lwebpdemux -lm
MODEL_LIBS  := -lopenblas -lprotobuf-c -lz $(shell pkg-config --libs hdf5-serial)
DAEMON_LIBS := -lmicrohttpd -lgnutls

ENGINE_SRC := $(wildcard engine/*.c engine/*/*.c)
MODEL_SRC  := $(wildcard model/*.c model/*/*.c)
DAEMON_SRC := $(wildcard daemon/*.c daemon/*/*.c)
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

# gcc vectorises these loops from -O3 on only, without changing the order of a sum.
$(BUILD)/engine/picture/resize.o $(BUILD)/engine/detect/scale.o $(BUILD)/engine/preprocess.o \
    $(BUILD)/model/quantize/choose_scales.o $(BUILD)/model/quantize/joint_rounding.o: CFLAGS += -O3

-include $(shell find $(BUILD) -type f -name '*.d' -not -path '*/verilated/*' 2>/dev/null)

# Debian keeps libhdf5's headers in a folder of their own.
HDF5_CFLAGS := $(subst -I,-isystem ,$(shell pkg-config --cflags-only-I hdf5-serial))
$(BUILD)/model/sources/hdf5.o: FN_CFLAGS += $(HDF5_CFLAGS)

# ---- libraries and programs -------------------------------------------------------------------

$(BUILD)/libengine.a: $(call objs,$(ENGINE_SRC)) $(BUILD)/gen/kernel_sources.o
$(BUILD)/libmodel.a:  $(call objs,$(filter-out model/main.c,$(MODEL_SRC))) $(BUILD)/gen/onnx.pb-c.o
$(BUILD)/libdaemon.a: $(call objs,$(filter-out daemon/main.c,$(DAEMON_SRC))) $(BUILD)/gen/page_files.o
$(BUILD)/lib%.a:
	@mkdir -p $(@D) && rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/gen/page_files.c: scripts/embed-files.sh $(wildcard daemon/page/*)
	@mkdir -p $(@D)
	$(Q)scripts/embed-files.sh fn_page_files $(wildcard daemon/page/*) > $@
$(BUILD)/gen/page_files.o: $(BUILD)/gen/page_files.c
	$(Q)$(CC) $(CFLAGS) $(FN_CFLAGS) -c $< -o $@
$(BUILD)/gen/kernel_sources.c: scripts/embed-files.sh $(KERNELS)
	@mkdir -p $(@D)
	$(Q)scripts/embed-files.sh fn_kernel_sources $(KERNELS) > $@
$(BUILD)/gen/kernel_sources.o: $(BUILD)/gen/kernel_sources.c
	$(Q)$(CC) $(CFLAGS) $(FN_CFLAGS) -c $< -o $@

# What protoc-c makes is not ours to warn about.
$(BUILD)/gen/onnx.pb-c.c: /usr/include/onnx/onnx.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(@D) $(<F)
$(BUILD)/gen/onnx.pb-c.o: $(BUILD)/gen/onnx.pb-c.c
	$(Q)$(CC) $(CFLAGS) $(FN_CFLAGS) -w -c $< -o $@
$(BUILD)/gen/onnx.pb-c.h: $(BUILD)/gen/onnx.pb-c.c
$(call objs,model/onnx/onnx_file.c): $(BUILD)/gen/onnx.pb-c.h

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

# Stand-ins that misbehave, linked into a test or preloaded into a program.
$(addprefix $(BUILD)/tests/,test_device_faults test_devices test_flight test_detect_device): \
    $(BUILD)/tests/faults/cl_shim.o
$(BUILD)/tests/test_memory_faults: $(BUILD)/tests/faults/memory_wrap.o
$(BUILD)/tests/test_memory_faults: FN_LDFLAGS += \
    $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup)
SHIMS := $(patsubst tests/faults/%.c,$(BUILD)/shims/%.so,$(wildcard tests/faults/*_shim.c))
$(BUILD)/shims/%.so: tests/faults/%.c tests/faults/cl_shim.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -std=c11 -D_GNU_SOURCE -I. -pthread $(WARNINGS) -fPIC -shared $< -o $@ -ldl

# The kernels as C++ for Vitis HLS, in C simulation; their pragmas are for the vendor's tools.
CXX := $(if $(filter clang%,$(CC)),clang++,g++)
$(BUILD)/tests/hls/csim.o: tests/hls/csim.cpp
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CXX     $<")
	$(Q)$(CXX) $(CFLAGS) -std=c++17 -I. -Itests/hls/stub -Ikernels -DFN_TARGET_XILINX_HLS -fPIE -MMD -MP \
	    -Wall -Wextra -Werror -Wno-unknown-pragmas $(if $(SAN),-fsanitize=$(SAN) \
	    -fno-omit-frame-pointer -fno-sanitize-recover=all) -c $< -o $@
$(BUILD)/tests/test_hls: $(BUILD)/tests/hls/csim.o
$(BUILD)/tests/test_hls: ENGINE_LIBS += -lstdc++
# The same for arrays of other sizes, VEC-LANE; test_pipeline opens them at run time.
CSIM_SIZES := 8-8 16-16 16-48 4-64 32-64 64-128
$(BUILD)/tests/hls/csim-%.so: tests/hls/csim.cpp
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CXX     $@")
	$(Q)$(CXX) $(CFLAGS) -std=c++17 -I. -Itests/hls/stub -Ikernels -DFN_TARGET_XILINX_HLS \
	    -DFN_FPGA_VEC=$(firstword $(subst -, ,$*)) -DFN_FPGA_LANE=$(lastword $(subst -, ,$*)) -DFN_FPGA_PACKED=0 -O3 -fPIC -shared \
	    -MMD -MP -MF $(@:.so=.d) -MT $@ -Wall -Wextra -Werror -Wno-unknown-pragmas $< -o $@
$(BUILD)/tests/test_pipeline: | $(CSIM_SIZES:%=$(BUILD)/tests/hls/csim-%.so)

.PHONY: unit unit-threads
unit-threads: $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(shell grep -l "pthread\|daemon/devices.h" $(UNIT_SRC)))
	$(Q)for t in $^; do echo "== $$t"; $$t || exit 1; done

unit: $(UNIT_BIN) ## run the cmocka unit tests
	$(Q)for t in $(UNIT_BIN); do echo "== $$t"; $$t || exit 1; done

# ---- set-up and run -----------------------------------------------------------------------------

LISTEN ?= 127.0.0.1:8080

.PHONY: run
run: ## set up, build, make the model, serve on LISTEN=127.0.0.1:8080
	$(Q)scripts/setup.sh run
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)exec scripts/run.sh $(LISTEN)

# ---- everything a commit must pass --------------------------------------------------------------

VENV   := build/venv
# In one process more than there are cores, since many tests wait; a file's tests stay together.
TEST_JOBS ?= $(shell expr $$(nproc) + 1)
PYTEST := scripts/pytest.sh $(TEST_JOBS) $(VENV)/bin/python -m pytest -q -o cache_dir=$(BUILD)/pytest \
    --ignore=tests/train
# Tests marked `full` take minutes, those marked `soak` hours; PROOF also says how often to repeat.
PROOF  ?= check
MARKED := $(if $(filter check,$(PROOF)),not full and not soak,$(if $(filter full,$(PROOF)),not soak))

$(VENV)/.made: tests/requirements.txt
	$(Q)python3 -m venv --clear $(VENV)
	$(Q)$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	$(Q)touch $@

# CompreFace's client cannot share a folder with Triton's.
VENV_COMPREFACE := build/venv-compreface
$(VENV_COMPREFACE)/.made: tests/http/foreign/compreface-requirements.txt
	$(Q)python3 -m venv --clear $(VENV_COMPREFACE)
	$(Q)$(VENV_COMPREFACE)/bin/pip install --quiet --disable-pip-version-check -r $<
	$(Q)touch $@

.PHONY: check check-full soak unit-build pytest
check: ## set up, build with gcc and clang, test, test under sanitizers, fuzz, lint
	$(Q)scripts/setup.sh check
	$(Q)scripts/check.sh

check-full: ## make check, then the proofs that take longer, at every place instead of some
	$(Q)scripts/setup.sh full
	$(Q)$(MAKE) --no-print-directory check
	$(Q)$(MAKE) --no-print-directory pytest PROOF=full
	FACENETD_PROOF=full $(BUILD)/tests/test_device_faults
	FACENETD_PROOF=full $(BUILD)/tests/test_pipeline

soak: all $(VENV)/.made ## the proofs that take hours: 1,000 restarts, an hour of load
	$(Q)scripts/setup.sh full
	$(Q)$(MAKE) --no-print-directory pytest PROOF=soak MARKED=soak
	$(Q)$(MAKE) --no-print-directory reliability SOAK_MINUTES=60

unit-build: $(UNIT_BIN)

pytest: all $(SHIMS) $(VENV)/.made $(VENV_COMPREFACE)/.made ## run the Python tests: T=tests/http chooses some
	$(Q)FACENETD_BUILD=$(BUILD) FACENETD_PROOF=$(PROOF) $(PYTEST) -m '$(MARKED)' $(or $(T),tests)

# The trainer, beside Debian's PyTorch: PyPI's brings 3 GB of CUDA along. It needs Debian's Python.
VENV_TRAIN := build/venv-train
$(VENV_TRAIN)/.made: model/train/requirements-debian.txt
	$(Q)/usr/bin/python3 -m venv --clear --system-site-packages $(VENV_TRAIN)
	$(Q)$(VENV_TRAIN)/bin/pip install --quiet --disable-pip-version-check -r $<
	$(Q)touch $@

.PHONY: train-check
train-check: $(BUILD)/facenet-model $(VENV_TRAIN)/.made ## test the trainer, model/train, with a short training
	$(Q)FACENETD_BUILD=$(BUILD) $(VENV_TRAIN)/bin/python -m pytest -q tests/train

# facenet-pytorch's networks and weights, unpacked and not installed.
build/peer/.made: model/sources/detector-wheel.txt $(VENV_TRAIN)/.made
	$(Q)$(VENV_TRAIN)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    --upgrade --target $(@D) -r $<
	$(Q)touch $@

PEER_PICTURES ?= ../shared/data/lfw-fold1
.PHONY: detect-peer
detect-peer: all build/peer/.made ## compare the face detector with an independent one, on PEER_PICTURES
	$(Q)$(BUILD)/facenet-model untrained --width 1 --embedding-size 8 \
	    --detector build/peer/facenet_pytorch/data -o build/peer/model.safetensors
	$(Q)$(VENV_TRAIN)/bin/python tests/bench/detect_peer.py --wheel build/peer \
	    --model build/peer/model.safetensors --pictures $(PEER_PICTURES) --facenetd $(BUILD)/facenetd

# ---- lint and format ----------------------------------------------------------------------------

C_SRC    := $(ENGINE_SRC) $(MODEL_SRC) $(DAEMON_SRC) $(wildcard clients/*/*.c clients/c/examples/*.c tests/*/*.c)
C_HDR    := $(foreach room,engine model daemon,$(wildcard $(room)/*.h $(room)/*/*.h)) \
            $(wildcard kernels/*.h clients/*/*.h tests/*/*.h)
C_FORMAT := $(C_SRC) $(C_HDR) $(wildcard kernels/*.cl kernels/*.cpp tests/hls/*.cpp tests/hls/stub/*.h)
SHELL_SRC := $(wildcard scripts/*.sh) .ci/run $(wildcard kernels/*/*.sh)
TIDIED   := $(C_SRC:%=build/lint/%.tidy)

.PHONY: lint format lint-format lint-tidy lint-cppcheck lint-shell lint-layers lint-kernels lint-python lint-symbols \
    lint-page
lint: lint-format lint-layers lint-kernels lint-symbols lint-shell lint-python lint-page lint-cppcheck \
    lint-tidy ## all static checks

lint-format:
	$(Q)clang-format --dry-run -Werror $(C_FORMAT)
lint-layers:
	$(Q)scripts/lint-layers.py
# Upstream clang knows neither channels nor pipes: it reads the form that has none.
lint-kernels:
	$(Q)scripts/lint-kernels.py
	$(Q)clang -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -D__OPENCL_VERSION__=120 \
	    -DFN_TARGET_PLAIN -Ikernels -fsyntax-only -Wall -Wextra -Werror -Wno-unknown-attributes \
	    kernels/fpga.cl
lint-symbols: $(BUILD)/libengine.a $(BUILD)/libmodel.a $(BUILD)/libdaemon.a
	$(Q)scripts/lint-symbols.sh $^
lint-shell:
	$(Q)shellcheck $(SHELL_SRC)
lint-python: $(VENV)/.made
	$(Q)$(VENV)/bin/ruff check --quiet .
	$(Q)$(VENV)/bin/ruff format --quiet --check .
	$(Q)$(VENV)/bin/mypy --cache-dir build/lint/mypy --no-error-summary \
	    --config-file clients/python/pyproject.toml clients/python/src
# The rules are in .oxlintrc.json.
lint-page: $(VENV)/.made
	$(Q)$(VENV)/bin/oxlint --quiet --deny-warnings daemon/page
# memleak does not know the cleanup attribute; LeakSanitizer does.
lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	$(Q)cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --std=c11 \
	    --inline-suppr --suppress=memleak --cppcheck-build-dir=build/lint/cppcheck -I. -Iclients/c $(C_SRC)
lint-tidy: $(TIDIED)
build/lint/%.tidy: % $(C_HDR) .clang-tidy
	@mkdir -p $(@D)
	$(Q)scripts/tidy.sh $< $@ -std=c11 -D_GNU_SOURCE -I. -Iclients/c -I$(BUILD)/gen $(HDF5_CFLAGS)

format: $(VENV)/.made ## format C, OpenCL C and Python in place
	$(Q)clang-format -i $(C_FORMAT)
	$(Q)$(VENV)/bin/ruff format --quiet .

# ---- install ------------------------------------------------------------------------------------

# For a package: DESTDIR=tree PREFIX=/usr. A configuration that is there already is kept.
SHARE := $(DESTDIR)$(PREFIX)/share
EXAMPLES := $(wildcard config/*) systemd/fpga.conf
$(BUILD)/man/facenetd.conf.5: docs/configuration.md scripts/man-pages.sh
	@mkdir -p $(@D)
	$(Q)scripts/man-pages.sh conf $< > $@
$(BUILD)/man/facenet-model.1: $(BUILD)/facenet-model scripts/man-pages.sh
	@mkdir -p $(@D)
	$(Q)scripts/man-pages.sh model $< > $@

.PHONY: install deb man
man: $(BUILD)/man/facenetd.conf.5 $(BUILD)/man/facenet-model.1 ## write the manual pages that are generated
install: all man ## install programs, units, thin model and documentation under DESTDIR and PREFIX
	install -D -m 755 $(BUILD)/facenetd $(DESTDIR)$(PREFIX)/bin/facenetd
	install -D -m 755 $(BUILD)/facenet-model $(DESTDIR)$(PREFIX)/bin/facenet-model
	install -D -m 644 models/thin-512.safetensors $(SHARE)/facenetd/thin-512.safetensors
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/facenetd
	sed 's#@PREFIX@#$(PREFIX)#g' systemd/facenetd.service.in > $(DESTDIR)$(UNITDIR)/facenetd.service
	chmod 644 $(DESTDIR)$(UNITDIR)/facenetd.service
	install -m 644 systemd/facenetd.socket $(DESTDIR)$(UNITDIR)/facenetd.socket
	[ -e $(DESTDIR)$(SYSCONFDIR)/facenetd/facenetd.conf ] || \
	    install -m 644 config/facenetd.conf $(DESTDIR)$(SYSCONFDIR)/facenetd/facenetd.conf
	install -D -m 644 docs/man/facenetd.8 $(SHARE)/man/man8/facenetd.8
	install -D -m 644 $(BUILD)/man/facenet-model.1 $(SHARE)/man/man1/facenet-model.1
	install -D -m 644 $(BUILD)/man/facenetd.conf.5 $(SHARE)/man/man5/facenetd.conf.5
	install -d $(SHARE)/doc/facenetd/examples
	install -m 644 README.md CHANGELOG.md LICENSE $(wildcard docs/*.md) $(SHARE)/doc/facenetd
	install -m 644 $(EXAMPLES) $(SHARE)/doc/facenetd/examples

deb: ## build the Debian packages into build/deb/
	$(Q)scripts/setup.sh full
	$(Q)scripts/make-deb.sh

# One program a parser: by default with tests/fuzz/driver.c, by FUZZER=libfuzzer with clang's.
FUZZ_BIN  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN := $(if $(FUZZER),,$(BUILD)/tests/fuzz/driver.o)
FUZZ_MUTATIONS ?= 200
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_MAIN) $(UNIT_LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) $^ -o $@ $(DAEMON_LIBS) \
	    $(MODEL_LIBS) $(ENGINE_LIBS)

.PHONY: fuzz fuzz-check
fuzz: $(FUZZ_BIN) ## build the fuzz targets into build/fuzz/
fuzz-check: $(FUZZ_BIN) ## run every fuzz corpus, each seed changed FUZZ_MUTATIONS=200 times
	$(Q)for t in $(FUZZ_BIN); do echo "== $$t"; \
	    $$t tests/fuzz/corpus/$${t##*/fuzz_} $(FUZZ_MUTATIONS) || exit 1; done

# ---- the array in Verilog ------------------------------------------------------------------------

# conv-VEC-LANE-PACKED: a whole convolution; dot-VEC: two packed products.
RTL     := $(wildcard kernels/rtl/*.v)
RTL_SIM := $(addprefix $(BUILD)/rtl/,conv-8-8-1 conv-16-16-1 conv-8-8-0 dot-1 dot-8 dump_layers)
dashed   = $(word $(2),$(subst -, ,$(1)))
VERILATE = verilator --cc --exe --build -O3 -j 0 --Mdir $(BUILD)/verilated/$(@F)
.PHONY: rtl
rtl: $(RTL_SIM) ## build the simulations of the Verilog array
$(BUILD)/rtl/conv-%: tests/rtl/conv_bench.cpp $(RTL)
	@mkdir -p $(@D) $(BUILD)/verilated/$(@F)
	$(Q)$(VERILATE) -GVEC=$(call dashed,$*,1) -GLANE=$(call dashed,$*,2) \
	    -GPACKED=$(call dashed,$*,3) --top-module fn_conv -o $(abspath $@) \
	    -CFLAGS "-O2 -DVEC=$(call dashed,$*,1) -DLANE=$(call dashed,$*,2)" \
	    $(RTL) $(abspath $<) >$@.log 2>&1 || { cat $@.log; exit 1; }
$(BUILD)/rtl/dot-%: tests/rtl/dot_bench.cpp kernels/rtl/fn_dot_two.v
	@mkdir -p $(@D) $(BUILD)/verilated/$(@F)
	$(Q)$(VERILATE) -GVEC=$* --top-module fn_dot_two -o $(abspath $@) -CFLAGS "-O2 -DVEC=$*" \
	    kernels/rtl/fn_dot_two.v $(abspath $<) >$@.log 2>&1 || { cat $@.log; exit 1; }
$(BUILD)/rtl/dump_layers: $(call objs,tests/rtl/dump_layers.c) $(BUILD)/libengine.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(ENGINE_LIBS)

$(BUILD)/planner_check: $(call objs,tests/bench/planner_check.c) $(BUILD)/libmodel.a $(BUILD)/libengine.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(MODEL_LIBS) $(ENGINE_LIBS)
.PHONY: planner-check
planner-check: $(BUILD)/planner_check ## hold the planner against published boards, write docs/planner.md
	$(Q)scripts/planner-check.sh $<

# ---- Intel's FPGA emulator ----------------------------------------------------------------------

# Exit status 3 of the script: there is none for this machine, and the tests say so.
.PHONY: fpga-emulator check-fpga-full
fpga-emulator: ## fetch Intel's OpenCL runtime and FPGA emulator from PyPI into build/fpga-emulator
	$(Q)scripts/fetch-fpga-emulator.sh || [ $$? = 3 ]
check-fpga-full: fpga-emulator $(BUILD)/tests/test_fpga_emulator $(BUILD)/facenet-model ## run the real network on the FPGA emulator (minutes)
	$(Q)FPGA_FULL=1 FACENET_MODEL=$$(scripts/make-model.sh) $(BUILD)/tests/test_fpga_emulator

# ---- benchmark ----------------------------------------------------------------------------------

$(BUILD)/bench_engine: $(call objs,tests/bench/bench_engine.c) $(BUILD)/libengine.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(ENGINE_LIBS)

$(BUILD)/bench_detector: $(call objs,tests/bench/bench_detector.c) $(BUILD)/libengine.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(ENGINE_LIBS)

$(BUILD)/bench_peak: $(call objs,tests/bench/bench_peak.c)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@

# What holds the peers to AVX2; preloaded into them.
$(BUILD)/hold_cpu.so: tests/bench/hold_cpu.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -std=c11 -D_GNU_SOURCE $(WARNINGS) -fPIC -shared $< -o $@

VENV_BENCH := build/venv-bench
$(VENV_BENCH)/.made: tests/bench/requirements.txt
	$(Q)rm -rf build/bench/held
	$(Q)python3 -m venv --clear $(VENV_BENCH)
	$(Q)$(VENV_BENCH)/bin/pip install --quiet --disable-pip-version-check -r $<
	$(Q)touch $@

.PHONY: bench
bench: $(BUILD)/bench_engine $(BUILD)/bench_peak $(BUILD)/hold_cpu.so $(BUILD)/loadgen $(BUILD)/bench_detector $(BUILD)/facenetd $(BUILD)/facenet-model $(VENV_BENCH)/.made ## measure beside ONNX Runtime and OpenVINO, write docs/performance.md
	$(Q)scripts/bench.sh $(VENV_BENCH)/bin/python

$(BUILD)/loadgen: $(call objs,tests/load/loadgen.c)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ -lm

SOAK_MINUTES ?= 3
.PHONY: reliability
reliability: all $(BUILD)/loadgen $(SHIMS) ## measure overload, hostile clients and a soak, write docs/reliability.md
	$(Q)python3 tests/load/reliability.py --build $(BUILD) --output docs/reliability.md \
	    --soak-minutes $(SOAK_MINUTES)

# The pictures and the full network are not in the repository.
DATA ?= ../shared/data
.PHONY: quantization
quantization: $(BUILD)/facenet-model ## measure every way to quantize (ONLY: labels with this text), write docs/quantization.md
	$(Q)scripts/quantization.py full=$(DATA)/facenet-512-npy thin=$(DATA)/thin/thin-512.safetensors \
	    --calibration $(DATA)/calibration --lfw $(DATA)/lfw-fold1 --only "$(ONLY)"

THIN_DETECTOR ?= models/thin-512.safetensors
.PHONY: thin
thin: $(BUILD)/facenet-model ## make models/thin-512.safetensors anew, out of DATA's weights and pictures
	$(Q)scripts/make-thin.sh $(DATA)/thin/thin-512.safetensors $(DATA)/calibration $(DATA)/lfw-fold1 \
	    $(THIN_DETECTOR)

.PHONY: accuracy
accuracy: $(BUILD)/facenet-model ## measure accuracy on raw pictures, write docs/accuracy.md
	$(Q)mkdir -p build/accuracy
	$(Q)scripts/accuracy.sh $(DATA) > build/accuracy/accuracy.md
	$(Q)cp build/accuracy/accuracy.md docs/accuracy.md

.PHONY: clean
clean: ## remove everything built
	rm -rf build

include clients/clients.mk
