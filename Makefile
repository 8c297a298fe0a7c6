# wsring: the build, all of it. One Makefile, no recursion into folders; `make help` lists the targets.
#
# Everything lands in build/MODE/. Sources are found by wildcard, so a new file needs no line here; what a name means:
#   engine/ROOM/*.c engine/*.c   the library (a basename that is or ends in avx512, avx2 or sse41 gets that instruction set)
#   tools/*.c                    the command, wsring            tools/examples/X.c   a program each
#   tests/test_X.c               a cmocka program each          tests/test_X.sh      a script each, given the build folder
#   tests/sim_X.c                a cmocka program on the fake kernel of tests/sim/*.c instead of liburing, ring/sys.c and ring/resolve.c
#   tests/lib/*.c                helpers, linked where used     bench/bench_X.c, bench/X.c   micro benches, programs
# Nothing here runs the compiler while make reads this file: `make demo` and `make test` may have to install it first.

MODE ?= release
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
ifeq ($(origin AR),default)
AR := ar
endif
FUZZ_CC ?= clang
ARCH ?= $(shell uname -m)

B := $(BUILD)/$(MODE)
VERSION := $(shell sed -n 's/^\#define WSR_VERSION "\(.*\)"/\1/p' include/wsring/types.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

# --- Flags -------------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wundef
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
WERROR_FLAG := $(if $(filter-out 0,$(WERROR)),-Werror)

# One set of objects serves the archive, the shared library and the (position independent) programs.
# Interposing our own functions is not a feature, so calls inside the library need not go through the PLT.
GEN := -g -fPIC -fvisibility=hidden -fno-semantic-interposition
HARDEN := -fstack-protector-strong -fstack-clash-protection $(if $(filter x86_64,$(ARCH)),-fcf-protection)

MODE_release := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(HARDEN)
MODE_debug := -Og -g3 -fno-omit-frame-pointer -DWSR_DEBUG=1 $(HARDEN)
MODE_asan := -O1 -fno-omit-frame-pointer -DWSR_DEBUG=1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
MODE_tsan := -O1 -fno-omit-frame-pointer -DWSR_DEBUG=1 -fsanitize=thread
MODE_valgrind := -O1 -fno-omit-frame-pointer -DWSR_DEBUG=1 -DWSR_VALGRIND=1
MODE_fuzz := -O1 -fno-omit-frame-pointer -DWSR_DEBUG=1 -DWSR_FUZZ=1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
MODE_coverage := -O0 --coverage
ifeq ($(origin MODE_$(MODE)),undefined)
$(error MODE=$(MODE): choose release, debug, asan, tsan, valgrind or coverage)
endif
SANITIZE := $(filter -fsanitize=% --coverage,$(MODE_$(MODE)))

FLAGS_C = -std=gnu11 $(WARN_C) $(WERROR_FLAG) $(GEN) $(MODE_$(MODE)) $(CPPFLAGS) $(CFLAGS)
FLAGS_CXX = -std=c++17 $(WARN) $(WERROR_FLAG) $(GEN) $(MODE_$(MODE)) $(CPPFLAGS) $(CXXFLAGS)
FLAGS_LD = $(SANITIZE) -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
# The linker takes of these only what is used.
LIBS := -luring -lssl -lcrypto -lz -lisal -lpthread -lm

# Which folders a file may include from: the programs see what a user sees, the tests see everything.
inc_engine := -Iinclude -Iengine
inc_tools := -Iinclude -I.
inc_tests := -Iinclude -Iengine -I. -Itests
inc_bench := -Iinclude -Iengine -I. -Ibench
includes = $(inc_$(firstword $(subst /, ,$1)))

# Instruction sets by file name. The code asks the CPU before it calls into any of these files.
isa_avx512 := -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx512vbmi -mgfni -mbmi -mbmi2
isa_avx2 := -mavx2 -mbmi -mbmi2
isa_sse41 := -msse4.1
isa_of = $(foreach isa,avx512 avx2 sse41,$(if $(filter %$(isa),$(basename $(notdir $1))),$(isa_$(isa))))
isa = $(if $(filter x86_64,$(ARCH)),$(if $(filter engine/%,$1),$(call isa_of,$1)))

# --- Sources -----------------------------------------------------------------------------------------------------------

# ROOMS='base simd proto' builds only those, for a machine that has no liburing or OpenSSL (tools/neon.sh).
SRC_LIB := $(sort $(if $(ROOMS),$(foreach room,$(ROOMS),$(wildcard engine/$(room)/*.c)),$(wildcard engine/*.c engine/*/*.c)))
SRC_TOOLS := $(sort $(wildcard tools/*.c))
SRC_EXAMPLES := $(sort $(wildcard tools/examples/*.c))
SRC_TESTLIB := $(sort $(wildcard tests/lib/*.c))
SRC_TESTS := $(sort $(wildcard tests/test_*.c))
SRC_SIM := $(sort $(filter-out tests/sim/main.c,$(wildcard tests/sim/*.c)))
SRC_SIMTESTS := $(sort $(wildcard tests/sim_*.c))
# Those that open an engine or a ring, on the kernel or on the fake one.
SRC_INTEGRATION := $(shell grep -lE 'wsr_(engine|ring)_open' $(SRC_TESTS)) $(SRC_SIMTESTS)
SRC_SIMMAIN := $(wildcard tests/sim/main.c)
SRC_BENCHLIB := $(sort $(wildcard bench/lib/*.c))
SRC_MICRO := $(sort $(wildcard bench/bench_*.c))
SRC_BENCH := $(sort $(filter-out $(SRC_MICRO),$(wildcard bench/*.c)))
SRC_FUZZ := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SRC_FUZZLIB := $(sort $(filter-out $(SRC_FUZZ),$(wildcard tests/fuzz/*.c)))
TEST_SCRIPTS := $(sort $(wildcard tests/test_*.sh))

objects = $(patsubst %.c,$(B)/obj/%.o,$1)
programs = $(patsubst $1/%.c,$(B)/$2/%,$3)

OBJ_LIB := $(call objects,$(SRC_LIB))
OBJ_TOOLS := $(call objects,$(SRC_TOOLS))
# The modules of the command without its main, so that a test can link one of them.
OBJ_TOOLMODULES := $(filter-out $(B)/obj/tools/wsring.o,$(OBJ_TOOLS))
OBJ_TESTLIB := $(call objects,$(SRC_TESTLIB))
OBJ_SIM := $(filter-out $(B)/obj/engine/ring/sys.o $(B)/obj/engine/ring/resolve.o $(B)/obj/engine/ring/socket.o,$(OBJ_LIB)) $(call objects,$(SRC_SIM))
OBJ_BENCHLIB := $(call objects,$(SRC_BENCHLIB))
OBJ_FUZZLIB := $(call objects,$(SRC_FUZZLIB))
OBJ_SHIM := $(patsubst %.cc,$(B)/obj/%.o,$(wildcard bench/bench_shim.cc))
OBJ_ALL := $(call objects,$(SRC_LIB) $(SRC_TOOLS) $(SRC_EXAMPLES) $(SRC_TESTLIB) $(SRC_TESTS) $(SRC_SIM) $(SRC_SIMTESTS) \
	$(SRC_SIMMAIN) $(SRC_BENCHLIB) $(SRC_MICRO) $(SRC_BENCH) $(SRC_FUZZ) $(SRC_FUZZLIB)) $(OBJ_SHIM)

LIB_A := $(B)/libwsring.a
LIB_SO := $(B)/libwsring.so
LIB_TOOLS := $(B)/obj/tools.a
LIB_TESTS := $(B)/obj/tests.a
CLI := $(if $(wildcard tools/wsring.c),$(B)/wsring)
EXAMPLES := $(call programs,tools/examples,examples,$(SRC_EXAMPLES))
TESTS := $(call programs,tests,tests,$(SRC_TESTS))
SIMTESTS := $(call programs,tests,tests,$(SRC_SIMTESTS))
INTEGRATION := $(call programs,tests,tests,$(SRC_INTEGRATION))
SIM := $(if $(SRC_SIMMAIN),$(B)/sim)
MICRO := $(call programs,bench,bench,$(SRC_MICRO))
BENCH := $(call programs,bench,bench,$(SRC_BENCH))
FUZZERS := $(call programs,tests/fuzz,fuzz,$(SRC_FUZZ))

# --- What to say while doing it ----------------------------------------------------------------------------------------

Q := $(if $(filter-out 0,$(V)),,@)
say = $(if $(Q),@printf '  %-7s %s\n' '$1' '$(patsubst $(BUILD)/%,%,$2)')
# A make that was started without -j uses every core for its own inner builds.
INNER = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
.PHONY: sweep attack netns soak FORCE all lib demo test test-programs test-run check-layers sim storm fuzz fuzz-quick fuzz-programs coverage lint test-neon fresh bench-programs \
	bench-echo bench-simd bench-frame bench-deflate bench-idle bench bench-net bench-profile install uninstall clean help

##@ Build
all: lib $(CLI) $(EXAMPLES) ## the library, the command and the examples, in build/MODE/
lib: $(LIB_A) $(LIB_SO) $(B)/wsring.pc ## libwsring.a, libwsring.so and wsring.pc only

##@ See it work
demo: ## install what the build needs, build, and run the demonstration
	@tools/setup.sh build
	+@$(INNER) all
	@$(B)/wsring demo

##@ Test
test: ## install what the tests need, build everything, check the layers, run every test
	@tools/setup.sh test
	+@$(INNER) test-run

test-programs: all check-layers $(TESTS) $(SIMTESTS) $(SIM) $(B)/bench/soak $(B)/bench/soak_bad

# tests/run ends with one line, "N passed, N failed", and fails if anything did.
test-run: test-programs
	@CC='$(CC)' CXX='$(CXX)' tests/run $(B) $(TESTS) $(SIMTESTS) $(TEST_SCRIPTS)

check-layers: $(LIB_A) ## who includes whom, each header alone, and (release) that simd and proto call nothing outside
	@CC='$(CC)' CXX='$(CXX)' tools/check_layers . $(if $(filter release,$(MODE)),$(B)/obj)

# --- Objects -----------------------------------------------------------------------------------------------------------

# A stamp changes only when its content does: other flags, or a file that came or went, rebuild what depends on them.
define stamp
$1: FORCE | $(dir $1)
	$$(file >$$@.new,$2)@cmp -s $$@.new $$@ && rm -f $$@.new || mv -f $$@.new $$@
endef
$(B)/:
	@mkdir -p $@
$(eval $(call stamp,$(B)/.flags-c,$$(CC) $$(FLAGS_C)))
$(eval $(call stamp,$(B)/.flags-cxx,$$(CXX) $$(FLAGS_CXX)))
$(eval $(call stamp,$(B)/.flags-ld,$$(CC) $$(CXX) $$(FLAGS_LD) $$(LIBS)))
$(eval $(call stamp,$(B)/.sources,$$(SRC_LIB) : $$(SRC_TOOLS) : $$(SRC_TESTLIB) : $$(SRC_SIM) : $$(SRC_BENCHLIB) : $$(SRC_FUZZLIB)))

$(B)/obj/%.o: %.c $(B)/.flags-c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(FLAGS_C) $(call isa,$<) $(call includes,$<) -MMD -MP -c $< -o $@

$(B)/obj/%.o: %.cc $(B)/.flags-cxx
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(FLAGS_CXX) $(call includes,$<) -MMD -MP -c $< -o $@

-include $(OBJ_ALL:.o=.d)

# --- The library -------------------------------------------------------------------------------------------------------

$(LIB_A): $(OBJ_LIB) $(B)/.sources
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(OBJ_LIB)

# Sanitizers leave their own symbols undefined in a shared library; everything else must be found now, not at run time.
$(LIB_SO).$(VERSION): $(OBJ_LIB) tools/libwsring.map $(B)/.sources $(B)/.flags-ld
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(FLAGS_LD) $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) -Wl,-soname,libwsring.so.$(SOVERSION) \
		-Wl,--version-script=tools/libwsring.map $(OBJ_LIB) $(LIBS) -o $@

$(LIB_SO): $(LIB_SO).$(VERSION)
	$(Q)ln -sf libwsring.so.$(VERSION) $(LIB_SO).$(SOVERSION)
	$(Q)ln -sf libwsring.so.$(SOVERSION) $@

$(B)/wsring.pc: tools/wsring.pc.in include/wsring/types.h FORCE | $(B)/
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

comma := ,

# Archives, so that a program takes only the modules it uses.
$(LIB_TOOLS): $(OBJ_TOOLMODULES) $(B)/.sources
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(OBJ_TOOLMODULES)

$(LIB_TESTS): $(OBJ_TESTLIB) $(B)/.sources
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(OBJ_TESTLIB)

# --- Programs ----------------------------------------------------------------------------------------------------------

ld_c = $(Q)$(CC) -pie $(FLAGS_LD) $1 -o $@

$(B)/wsring: $(OBJ_TOOLS) $(LIB_A) $(B)/.sources $(B)/.flags-ld
	$(call say,LD,$@)
	$(call ld_c,$(OBJ_TOOLS) $(LIB_A) $(LIBS))

$(EXAMPLES): $(B)/examples/%: $(B)/obj/tools/examples/%.o $(LIB_A) $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(call ld_c,$< $(LIB_A) $(LIBS))

$(TESTS): $(B)/tests/%: $(B)/obj/tests/%.o $(LIB_TESTS) $(LIB_TOOLS) $(LIB_A) $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(call ld_c,$< $(LIB_TESTS) $(LIB_TOOLS) $(LIB_A) -lcmocka $(LIBS))

# The fake kernel stands where liburing and the system calls stood; the ring code above it is the one that ships.
LIBS_SIM := $(filter-out -luring,$(LIBS))
$(SIMTESTS): $(B)/tests/%: $(B)/obj/tests/%.o $(LIB_TESTS) $(LIB_TOOLS) $(OBJ_SIM) $(B)/.sources $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(call ld_c,$< $(LIB_TESTS) $(LIB_TOOLS) $(OBJ_SIM) -lcmocka $(LIBS_SIM))

$(B)/sim: $(call objects,$(SRC_SIMMAIN)) $(OBJ_SIM) $(B)/.sources $(B)/.flags-ld
	$(call say,LD,$@)
	$(call ld_c,$(call objects,$(SRC_SIMMAIN)) $(OBJ_SIM) $(LIBS_SIM))

sim: $(SIMTESTS) $(SIM) ## the programs on the fake kernel, and build/MODE/sim: worlds full of faults, by the million (sim --seed N --count K)

sweep: $(SIMTESTS) ## fifty stories in which each allocation, completion and call fails in its turn, and a table of how many there were; five minutes
	@tests/sweep $(B)

valgrind: ## the tests that open an engine, under memcheck: every byte read has a value, none is lost (ten minutes)
	@tools/setup.sh valgrind
	+@$(INNER) MODE=valgrind integration-run

tsan: ## the same tests with ThreadSanitizer: what threads share (resolvers, wakes, listeners) is ordered (three minutes)
	@tools/setup.sh tsan
	+@$(INNER) MODE=tsan integration-run

integration-run: $(INTEGRATION) $(if $(filter valgrind,$(MODE)),$(B)/turns.so)
	@TEST_SECONDS_MAX=$${TEST_SECONDS_MAX:-1800} tests/run $(B) $(INTEGRATION)

# Put before each program by LD_PRELOAD.
$(B)/turns.so: tests/preload/turns.c $(B)/.flags-c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(FLAGS_C) -shared $< -luring -o $@

attack: all ## fifteen kinds of attack on wsring serve, and what a valid client saw meanwhile (loopback, about four minutes)
	@tests/attack $(B) $(ARGS)

netns: all ## a network that fails, in namespaces: loss, black holes, resets, throttles ...; who finds out when (about two minutes)
	@tools/setup.sh netns
	@tests/netns/lab $(B) $(ARGS)

MINUTES ?= 60
soak: all $(B)/bench/soak ## CONNECTIONS (10000) for MINUTES (60) at RATE (20000): fails for a leak, a loss, an unclean end; build/MODE/soak/report.svg
	@tools/setup.sh soak
	@MINUTES='$(MINUTES)' tests/soak $(B)

storm: ## 2,000 clients, their server restarted ten times: who comes back, and when (and 100,000 in virtual time); about two minutes
	@tools/setup.sh test
	+@$(INNER) $(B)/tests/test_policy_storm $(B)/tests/test_storm
	@$(B)/tests/test_policy_storm
	@$(B)/tests/test_storm full

# --- Fuzzing -----------------------------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 600
fuzz: ## every fuzzer for FUZZ_SECONDS (600) each; clang
	@tools/setup.sh fuzz
	+@$(INNER) MODE=fuzz CC='$(FUZZ_CC)' fuzz-programs
	@tools/fuzz.sh $(BUILD)/fuzz/fuzz $(FUZZ_SECONDS)

fuzz-quick: ## every fuzzer for a few seconds
	+@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5

fuzz-programs: $(FUZZERS)

$(FUZZERS): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(OBJ_FUZZLIB) $(LIB_TESTS) $(LIB_A) $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(subst fuzzer-no-link,fuzzer,$(FLAGS_LD)) $< $(OBJ_FUZZLIB) $(LIB_TESTS) $(LIB_A) $(LIBS) -o $@

coverage: ## every test, then which lines and branches of each room they reached
	@tools/setup.sh coverage
	@find $(BUILD)/coverage -name '*.gcda' -delete 2>/dev/null || true
	+@$(INNER) MODE=coverage test-run
	@tools/coverage.sh $(BUILD)/coverage

lint: ## clang-tidy, cppcheck and gcc -fanalyzer
	@tools/setup.sh lint
	@tools/lint.sh

test-neon: ## the NEON kernels, cross-compiled and run under qemu
	@tools/setup.sh neon
	@tools/neon.sh $(BUILD)/neon

fresh: ## prove that make demo and make test are all a bare Debian 12 needs (root; log in build/fresh.log)
	@tools/setup.sh fresh
	@tools/fresh.sh $(BUILD)

##@ Measure
# bench/bench_X.c are Google Benchmark programs through the C shim; other bench/X.c are programs of their own.
LIBS_bench_frame := -lwslay
$(MICRO): $(B)/bench/%: $(B)/obj/bench/%.o $(OBJ_BENCHLIB) $(OBJ_SHIM) $(LIB_A) $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CXX) -pie $(FLAGS_LD) $< $(OBJ_BENCHLIB) $(OBJ_SHIM) $(LIB_A) -lbenchmark $(LIBS_$(@F)) $(LIBS) -o $@

$(BENCH): $(B)/bench/%: $(B)/obj/bench/%.o $(OBJ_BENCHLIB) $(LIB_TOOLS) $(LIB_A) $(B)/.flags-ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(call ld_c,$< $(OBJ_BENCHLIB) $(LIB_TOOLS) $(LIB_A) $(LIBS))

# Servers of others, by their own rules of style; a peer whose headers are not here is left out, and bench-net says so.
PEER_FLAGS := -O2 -DNDEBUG -Wall -Wextra
PEERS := $(patsubst bench/peers/%,$(B)/bench/peers/%,$(basename $(wildcard bench/peers/*.c bench/peers/*.cc)))
LIBS_libwebsockets := -lwebsockets
LIBS_websocketpp := -lz -lpthread
LIBS_beast := -lpthread
peer_build = $(Q)if $1 -M $< >/dev/null 2>&1; then $1 $(PEER_FLAGS) $< $(LIBS_$(@F)) -o $@; else echo '  -       $(@F): its headers are not here'; fi
$(B)/bench/peers/%: bench/peers/%.c $(B)/.flags-c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(call peer_build,$(CC) -std=gnu11)

$(B)/bench/peers/%: bench/peers/%.cc $(B)/.flags-cxx
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(call peer_build,$(CXX) -std=c++17)

# Put before a program by LD_PRELOAD. Its functions are declared elsewhere, on purpose.
$(B)/bench/count_allocations.so: bench/preload/count_allocations.c $(B)/.flags-c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu11 -O2 -fPIC -fno-builtin -Wall -Wextra -shared $< -o $@

bench-programs: all $(BENCH) $(MICRO) $(PEERS) $(B)/bench/count_allocations.so

# A bench is bench/NAME.sh, given the build folder, or else the program bench/bench_NAME.c; ARGS are its options.
bench_run = @if [ -x bench/$1.sh ]; then exec bench/$1.sh $(B) $(ARGS); elif [ -x $(B)/bench/bench_$1 ]; then exec $(B)/bench/bench_$1 $(ARGS); \
	else echo 'make bench-$1: there is no bench/$1.sh and no bench/bench_$1.c' >&2; exit 1; fi
bench_make = @tools/setup.sh bench
bench-echo: ## our echo against raw TCP echoes; TLS=1: over TLS, against bun and libwebsockets
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,echo$(if $(filter-out 0,$(TLS)),-tls))
bench-simd: ## the kernels against memcpy, plain XOR and other checkers
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,simd)
bench-frame: ## the consume loop, frames per second
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,frame)
bench-deflate: ## the deflate libraries on three corpora
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,deflate)
bench-net: ## every network scenario against every packaged peer: 25 minutes; ROUNDS=6 for a first look
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,net)
bench-idle: ## what silent connections cost: 19,500 on one process, 40,000 over three, TLS, deflate (two minutes)
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,idle)
bench-profile: ## where our CPU time goes beside the raw echoes': kernel TCP, io_uring, each room; needs perf
	$(bench_make)
	+@$(INNER) bench-programs
	$(call bench_run,profile)
bench: ## all of the above but bench-echo, bench-idle and bench-profile, one after another
	+@for bench in simd frame deflate net; do $(MAKE) --no-print-directory ARGS= bench-$$bench || exit; done

##@ Install
install: lib $(CLI) ## into DESTDIR and PREFIX (/usr/local): headers, libraries, wsring.pc, the command
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/wsring
	install -m 644 include/wsring/*.h $(DESTDIR)$(INCLUDEDIR)/wsring/
	install -m 644 $(LIB_A) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(LIB_SO).$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf libwsring.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libwsring.so.$(SOVERSION)
	ln -sf libwsring.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libwsring.so
	install -m 644 $(B)/wsring.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	$(if $(CLI),install -m 755 $(CLI) $(DESTDIR)$(BINDIR)/)

uninstall: ## take away what install put there (same DESTDIR and PREFIX)
	rm -rf $(DESTDIR)$(INCLUDEDIR)/wsring
	rm -f $(DESTDIR)$(LIBDIR)/libwsring.a $(DESTDIR)$(LIBDIR)/libwsring.so*
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/wsring.pc $(DESTDIR)$(BINDIR)/wsring

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@echo 'make [TARGET] [MODE=release|debug|asan|tsan|valgrind] [V=1] [WERROR=1] [CC=clang] [BUILD=dir]'
	@awk 'BEGIN { FS = ":[^#]*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
