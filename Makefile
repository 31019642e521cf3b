# sqlune: `make` builds build/bin/sqlune; `make help` lists the rest. Settings: CC, ARCH (for -march), BUILD, PREFIX, SAN,
# CUDA (auto: with cards where nvcc is found; 0, 1), CUDAARCH; JOBS, VERBOSE=1 for tests.
ifeq ($(origin CC),default)
CC       := gcc
endif
ARCH     ?= native
BUILD    ?= build
PREFIX   ?= /usr/local
OPT      ?= -O3 -g
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wno-unknown-pragmas -Wno-unknown-warning-option -Wno-format-truncation -Werror
DBINC    := $(addprefix -I,$(shell pg_config --includedir 2>/dev/null)) $(shell mariadb_config --include 2>/dev/null)
CPPFLAGS += -D_GNU_SOURCE -Isrc -I. -I/usr/include/lua5.4 -I/usr/include/cjson $(DBINC)
CFLAGS   += -std=c17 $(OPT) -march=$(ARCH) -fno-math-errno -fno-trapping-math -fopenmp $(WARN) $(SAN)
LUALIB    = $(firstword $(wildcard /usr/lib/*/liblua5.4.a))
LPEGLIB   = $(firstword $(wildcard /usr/lib/*/liblua5.4-lpeg.a))
# SQLite as an archive: inside its library every call goes through a table, which costs a tenth of an evaluation's time.
SQLITELIB = $(firstword $(wildcard /usr/lib/*/libsqlite3.a) -lsqlite3)
# The clients of servers, curl, oneDNN and libedit are opened when they are needed: src/core/library.h.
LDLIBS    = -Wl,--whole-archive $(LUALIB) $(LPEGLIB) -Wl,--no-whole-archive -Wl,-E \
            -lcjson $(SQLITELIB) -lutf8proc -ldl -lpthread -lm
# gcc prefers 256-bit vectors even where 512 are as cheap; loops over exp gain a third.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
$(BUILD)/kernels/%.o: CFLAGS += -mprefer-vector-width=512
endif
SRC      := $(filter-out src/cuda/%,$(sort $(wildcard src/*/*.c kernels/cpu/*.c)))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)
SQLUNE   := $(BUILD)/bin/sqlune
NVCC     ?= nvcc
CUDA     ?= auto
CUDAARCH ?= 80 86 89 90a
NVFLAGS   = -std=c++17 -O3 --default-stream per-thread -Werror all-warnings -Xptxas -warn-spills,-Werror $(NVARCH) -Xcompiler -Wall,-Wextra
NVARCH    = $(foreach a,$(CUDAARCH),-gencode=arch=compute_$a,code=sm_$a) -gencode=arch=compute_90,code=compute_90
CUDAHOME := $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v $(lastword $(NVCC)) 2>/dev/null)))
# Of what the kernels need some came with CUDA 12; they are tested with 13.
NEWNVCC  := $(if $(CUDAHOME),$(shell $(NVCC) --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p' | awk '$$1 >= 13'))
ifeq ($(CUDA)$(CUDAHOME:%=found)$(NEWNVCC),autofound)
$(info CUDA: $(CUDAHOME) is older than 13, so this build is for the cpu only; CUDA=1 takes it all the same)
endif
CU       := $(sort $(wildcard kernels/cuda/*.cu))
BACKEND  := $(patsubst %,$(BUILD)/cuda/%.o,$(basename $(CU) $(sort $(wildcard src/cuda/*.c))))
WITHCARD := $(if $(filter $(CUDA),1 $(if $(NEWNVCC),auto)),$(BACKEND))
comma    := ,
PARTS    := lua recipes configs examples
export SQLUNE_SHARED ?= ../shared

.PHONY: all help deps test test-asan test-gc test-real bench lint format quickstart install uninstall clean
all: $(SQLUNE) ## build build/bin/sqlune
$(SQLUNE): $(OBJ) $(WITHCARD)
	@mkdir -p $(@D)
	@echo "ld $@"; $(CC) $(CFLAGS) -o $@ $(OBJ) $(WITHCARD) $(LDLIBS) \
	  $(if $(WITHCARD),-L$(CUDAHOME)/lib64 -Wl$(comma)-rpath$(comma)$(CUDAHOME)/lib64 -lcudart_static -l:libstdc++.a -lrt)
	@for d in $(PARTS); do ln -sfn $(CURDIR)/$$d $(BUILD)/$$d; done
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "cc $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
-include $(OBJ:.o=.d)
$(BUILD)/pty: tests/pty.c
	@mkdir -p $(@D)
	@echo "cc $<"; $(CC) $(CPPFLAGS) -std=c17 -O1 $(WARN) -o $@ $< -lutil
$(BUILD)/http-server: tests/http_server.c
	@mkdir -p $(@D)
	@echo "cc $<"; $(CC) $(CPPFLAGS) -std=c17 -O1 $(WARN) -o $@ $<
FUZZERS  := $(basename $(notdir $(filter-out %/replay.c,$(wildcard tests/fuzz/*.c))))
FUZZOBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/core/*.c src/io/*.c src/db/*.c src/text/sql_*.c))
RUNS     ?= 10000000
$(BUILD)/fuzz-%: tests/fuzz/%.c tests/fuzz/replay.c $(FUZZOBJ)
	@echo "ld $@"; $(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(or $(FUZZER),tests/fuzz/replay.c) $(FUZZOBJ) $(LDLIBS)

# tools/sass.lua looks into these; Hopper's own kernels are for sm_90a alone.
PACKED   := $(patsubst %,$(BUILD)/cuda/kernels/cuda/%.o,rms_norm rope softmax swiglu cross_entropy)
$(PACKED): NVFLAGS += -no-compress
ifneq ($(filter 90a,$(CUDAARCH)),)
HOPPER   := $(patsubst %.cu,$(BUILD)/cuda/%.o,$(wildcard kernels/cuda/*_wgmma*.cu))
$(HOPPER): NVARCH = -gencode=arch=compute_90a,code=sm_90a -no-compress -DSQN_WGMMA
endif

# The CUDA kernels for cards, by nvcc (ptxas says on the way, as no warning, when it serializes wgmma: an error here); the runtime is linked in and opens the driver when asked, cuBLASLt is opened when needed.
$(BUILD)/cuda/%.o: %.cu Makefile
	@mkdir -p $(@D)
	@echo "nvcc $<"; $(NVCC) -D_GNU_SOURCE -Isrc -I. $(NVFLAGS) -MMD -MP -c -o $@ $< 2> $(@:.o=.log); status=$$?; \
	  grep -v C7519 $(@:.o=.log) >&2; [ $$status = 0 ] && ! grep -q serialized $(@:.o=.log) || { rm -f $@; exit 1; }
$(BUILD)/cuda/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "nvcc $<"; $(NVCC) -D_GNU_SOURCE -DCUDA_API_PER_THREAD_DEFAULT_STREAM -Isrc -I. -O2 -Xcompiler -Wall,-Wextra,-Werror -MMD -MP -c -o $@ $<
$(BUILD)/cuda/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	@echo "nvcc $<"; $(NVCC) -std=c++17 -D_GNU_SOURCE -Isrc -I. -O1 -Xcompiler -Wall,-Wextra,-Werror,-fopenmp -MMD -MP -c -o $@ $<
KERNELTEST := kernels elementwise optimizer rows attention experts lora large large_rows large_elements large_attention large_products
ON_CARD  := $(BACKEND) $(patsubst %,$(BUILD)/cuda/tests/gpu/%.o,$(KERNELTEST) device)
$(BUILD)/cuda-on-card: $(ON_CARD) $(filter $(BUILD)/kernels/cpu/% $(BUILD)/src/core/%,$(OBJ))
	@echo "ld $@"; $(NVCC) -Xcompiler -fopenmp -o $@ $^ -Xlinker -rpath,$(CUDAHOME)/lib64 -ldl -lpthread -lm
-include $(ON_CARD:.o=.d)
.PHONY: cuda test-gpu bench-gpu
cuda: ## build with cards, and the test of the kernels for cards (needs nvcc)
	@$(MAKE) --no-print-directory CUDA=1 all $(BUILD)/cuda-on-card
	@$(SQLUNE) tools/sass.lua $(PACKED) $(HOPPER)
test-gpu: cuda ## on a card: every kernel against the CPU in f64, every operator, the reference runs, training, the quickstart
	BUILD=$(BUILD) CUDAHOME=$(CUDAHOME) tests/gpu/run.sh

# The same kernels on the host, one fibre a thread (tests/gpu/emulate.h): each by itself, and, with src/cuda over emulated cards
# (tests/gpu/card.h; the toolkit's headers are all that they need), as the card of the whole program.
EMULATED := $(CU:%.cu=$(BUILD)/emulated/%.o)
ALONE    := $(patsubst %,$(BUILD)/tests/gpu/%.o,$(KERNELTEST) emulate emulate_async host)
CUDAINC  := $(firstword $(patsubst %/cuda_runtime_api.h,%,$(wildcard $(addsuffix /cuda_runtime_api.h,$(addsuffix /include,$(CUDAHOME) /usr/local/cuda /usr /usr/local)))))
LTMAJOR  := $(shell sed -n 's/^\#define CUBLAS_VER_MAJOR *//p' $(addsuffix /cublas_api.h,$(CUDAINC)) /dev/null 2>/dev/null)
CARD     := $(patsubst %,$(BUILD)/tests/gpu/%.o,emulate emulate_async runtime_calls runtime_memory runtime_stream) $(patsubst %.c,$(BUILD)/emulated/%.o,$(sort $(wildcard src/cuda/*.c)))
PLAYED   := $(if $(CUDAINC),$(BUILD)/bin/sqlune-emulated)
PARTLY   := $(if $(CUDAINC),$(BUILD)/src-cuda-on-host)
CXX      := g++
CXXFLAGS  = -std=c++17 -O2 -g -fopenmp -Wall -Wextra -Wno-unknown-pragmas -Werror -DSQN_EMULATE $(SAN)
CUDAFLAG := -DCUDA_API_PER_THREAD_DEFAULT_STREAM -isystem $(CUDAINC)
$(BUILD)/emulated/%.o: %.cu Makefile
	@mkdir -p $(@D)
	@echo "c++ $<"; $(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -x c++ -c -o $@ $<
$(BUILD)/emulated/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "cc $<"; $(CC) $(CPPFLAGS) $(CFLAGS) $(CUDAFLAG) -MMD -MP -c -o $@ $<
$(filter $(BUILD)/tests/gpu/runtime%,$(CARD)) $(BUILD)/tests/gpu/cards.o: CPPFLAGS += $(CUDAFLAG)
$(BUILD)/tests/gpu/%.o: tests/gpu/%.cpp Makefile
	@mkdir -p $(@D)
	@echo "c++ $<"; $(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/cuda-on-host: $(EMULATED) $(ALONE) $(filter $(BUILD)/kernels/cpu/% $(BUILD)/src/core/%,$(OBJ))
	@echo "ld $@"; $(CXX) $(SAN) -fopenmp -o $@ $^ -ldl -lpthread -lm
$(BUILD)/emulated/libcublasLt.so.$(LTMAJOR): tests/gpu/cublaslt.cpp tests/gpu/card.h Makefile
	@mkdir -p $(@D)
	@echo "c++ $<"; $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(CUDAFLAG) -O3 -march=$(ARCH) -fPIC -shared -o $@ $<
$(BUILD)/emulated/control.so: tests/gpu/control.cpp tests/gpu/card.h Makefile
	@mkdir -p $(@D)
	@echo "c++ $<"; $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(CUDAFLAG) -fPIC -shared -o $@ $<
$(BUILD)/src-cuda-on-host: $(BUILD)/tests/gpu/cards.o $(EMULATED) $(CARD) $(filter $(BUILD)/kernels/cpu/% $(BUILD)/src/core/%,$(OBJ)) | $(BUILD)/emulated/libcublasLt.so.$(LTMAJOR)
	@echo "ld $@"; $(CXX) $(SAN) -fopenmp -rdynamic -o $@ $^ -ldl -lpthread -lm -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/emulated'
$(BUILD)/bin/sqlune-emulated: $(OBJ) $(EMULATED) $(CARD) | $(BUILD)/emulated/libcublasLt.so.$(LTMAJOR) $(BUILD)/emulated/control.so
	@mkdir -p $(@D)
	@echo "ld $@"; $(CXX) $(SAN) -fopenmp -o $@ $^ $(LDLIBS) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../emulated'
	@for d in $(PARTS); do ln -sfn $(CURDIR)/$$d $(BUILD)/$$d; done
# The program with a card that counts bytes and computes nothing, of any size: what a training step would hold.
$(BUILD)/bin/sqlune-counted: $(OBJ) $(BUILD)/tests/gpu/counted.o
	@mkdir -p $(@D)
	@echo "ld $@"; $(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
	@for d in $(PARTS); do ln -sfn $(CURDIR)/$$d $(BUILD)/$$d; done
-include $(EMULATED:.o=.d) $(ALONE:.o=.d) $(CARD:.o=.d) $(BUILD)/tests/gpu/cards.d $(BUILD)/tests/gpu/counted.d

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20

deps: ## install the Debian packages that are missing, for tests and lint too (apt-get; root or sudo)
	@tools/deps.sh build test lint

test: ## build and run every test; reference data: $SQLUNE_SHARED, default ../shared
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory all $(BUILD)/pty $(BUILD)/http-server $(BUILD)/cuda-on-host $(BUILD)/bin/sqlune-counted $(PLAYED) $(PARTLY) $(FUZZERS:%=$(BUILD)/fuzz-%)
	@$(if $(PLAYED),,echo "no headers of CUDA: src/cuda is not tested")
	SQLUNE_PTY=$(BUILD)/pty SQLUNE_KERNELS=$(BUILD)/cuda-on-host SQLUNE_EMULATED=$(PLAYED) SQLUNE_CARDS=$(PARTLY) $(SQLUNE) tests/run.lua $(ONLY)

fuzz: ## libFuzzer (clang) over the readers of texts: RUNS=10000000 of each; what it finds goes to build-fuzz
	@$(MAKE) --no-print-directory CUDA=0 BUILD=$(BUILD)-fuzz CC="$(or $(CLANG),clang)" OPT="-O2 -g" WARN=-w FUZZER=-fsanitize=fuzzer fuzz-run \
	  SAN="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined"
.PHONY: fuzz fuzz-run
fuzz-run: $(FUZZERS:%=$(BUILD)/fuzz-%)
	@for f in $(FUZZERS); do mkdir -p $(BUILD)/found-$$f && $(BUILD)/fuzz-$$f -runs=$(RUNS) -max_len=2048 -timeout=10 \
	  $(BUILD)/found-$$f tests/fuzz/corpus/$$f || exit 1; done

test-asan: ## the tests under AddressSanitizer and UBSan (also with CC=clang); ONLY="core/ db/" picks
	@$(MAKE) --no-print-directory CUDA=0 BUILD=$(BUILD)-asan-$(notdir $(lastword $(CC))) OPT="-O2 -g" asan-run \
	  SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
# intercept_tls_get_addr: clang's search for leaks falls over thread-local storage of libraries that were opened late.
.PHONY: asan-run
ASANCARD := $(if $(findstring clang,$(CC)),,$(PLAYED) $(PARTLY))
asan-run: $(SQLUNE) $(BUILD)/pty $(BUILD)/http-server $(ASANCARD) $(FUZZERS:%=$(BUILD)/fuzz-%)
	SQLUNE_PTY=$(BUILD)/pty SQLUNE_EMULATED=$(word 1,$(ASANCARD)) SQLUNE_CARDS=$(word 2,$(ASANCARD)) SQLUNE_SANITIZED=1 ASAN_OPTIONS=quarantine_size_mb=16:intercept_tls_get_addr=0:$(ASAN_OPTIONS) \
	  $(SQLUNE) tests/run.lua $(ONLY)

test-gc: all $(BUILD)/pty ## the tests with a collector that works all the time, also inside bindings; ONLY= as above
	SQLUNE_PTY=$(BUILD)/pty SQLUNE_GC=stress $(SQLUNE) tests/run.lua $(ONLY)

test-real: all ## a real SmolLM2-135M in f32 against transformers' numbers: MODEL=folder
	MODEL=$(MODEL) TEST_GROUP=real $(SQLUNE) tests/run.lua

bench: all ## tables of tests/bench; PYTHON=… (with torch, transformers, tokenizers) measures the peers too, XIYAN=… the original in that folder
	@for b in operators momq sft lora tokenize eval assemble; do echo "$$b"; $(SQLUNE) tests/bench/$$b.lua $(PYTHON) || exit 1; done
	@echo mschema; $(SQLUNE) tests/bench/mschema.lua $(SQLUNE_SHARED)/data/spider/database $(PYTHON) $(XIYAN)
	@echo mschema of PostgreSQL; $(SQLUNE) tests/bench/mschema_postgresql.lua $(PYTHON) $(XIYAN)

bench-gpu: cuda ## on a card: kernels, training steps, decoding beside PyTorch's; PYTHON=… (with torch, transformers, peft) FILTER=…
	$(SQLUNE) tests/bench/gpu.lua "$(PYTHON)" "$(FILTER)"

lint: ## layer rules, file lengths, clang-format, luacheck
	@tools/lint.sh
format: ## clang-format over all C
	@clang-format -i $$(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp')

quickstart: ## the whole job on the bundled example: data, training, inference, evaluation, report
	@tools/deps.sh build
	@$(MAKE) --no-print-directory all
	$(SQLUNE) quickstart

install: all ## copy to PREFIX (default /usr/local): bin/sqlune, share/sqlune
	install -Dm755 $(SQLUNE) $(DESTDIR)$(PREFIX)/bin/sqlune
	@for f in $$(find $(PARTS) -type f); do install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/sqlune/$$f || exit 1; done
uninstall: ## remove what install copied
	rm -rf $(DESTDIR)$(PREFIX)/bin/sqlune $(DESTDIR)$(PREFIX)/share/sqlune

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-asan-*
