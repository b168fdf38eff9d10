# Two commands are enough: make demo, make test. Both set up what they need in .venv first.
PYTHON ?= python3
PREFIX ?= /usr/local
LIBDIR ?= lib
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# The editable install holds the compiled C library: it is stale when one of these changes.
BUILT_FROM := pyproject.toml setup.py constraints.txt codec_bridge/library/_build.py codec_bridge/library/_vrcnn.cdef.txt \
	c/kernel_flags.txt $(wildcard c/src/*.[ch] c/src/*/*.[ch] c/bench/*.[ch] c/include/vrcnn/*.h)

C_FILES := $(wildcard c/src/*.[ch] c/src/*/*.[ch] c/include/vrcnn/*.h c/tools/*.[ch] c/research/*.c c/tests/*.[ch] c/bench/*.[ch] \
	c/fuzz/*.[ch] c/cuda/*.[ch] c/cuda/*/*.[ch] c/cuda/*.cu c/cuda/*.cuh c/cuda/tests/*.cpp)
# Their format alone is checked: what they include is of their codecs and programs.
ADAPTERS := $(wildcard codec_bridge/codecs/*/adapter/*) $(wildcard c/plugins/*.[ch] c/plugins/*/*.c)
# The compiler flags of one C file on this machine.
KERNEL_FLAGS = $$(awk -v file="$${file\#c/}" -v machine=$$(uname -m) "\$$1 == file && \$$2 == machine { \$$1 = \$$2 = \"\"; print }" c/kernel_flags.txt)
EXTRAS := core,video,eval,cluster,sheets,metrics
# As many as this process may use.
PROCESSES := $(shell nproc 2>/dev/null || echo 1)

.DEFAULT_GOAL := help
.PHONY: help demo test test-kernels sanitize fuzz fuzz-python lib cuda cuda-check install uninstall lint format docs exactness bench codecs release-check deb generated clean
.DELETE_ON_ERROR:

help: ## show this text
	@sed -n 's/^\([a-z -]*\):.*## /  make \1\t/p' Makefile | expand -t 24

$(BIN)/python:
	@echo "setting up $(VENV): a minute or two"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python $(BUILT_FROM)
	$(PIP) --editable '.[eval]'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) --editable '.[dev,train]'
	@touch $@

demo: $(VENV)/.runtime ## code real pictures, filter them, check every bit, print BD-rate (no torch)
	$(BIN)/codec-bridge bdrate --sequences builtin --model joint_intra --check --json build/demo.json --csv build/demo.csv --plot build/demo.png

test: $(VENV)/.dev ## all tests, of the C library and of Python
	$(MAKE) -C c -j $(PROCESSES) test
	$(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses 4 --dist loadfile --durations 20 --durations-min 10

sanitize: ## the C library's tests under sanitizers: addresses, undefined behaviour, threads, with clang also memory
	$(MAKE) -C c sanitize

fuzz: ## fuzz the C library, SECONDS=60 of CPU time for each target, TARGETS=... for some (needs clang)
	$(MAKE) -C c fuzz

PYTHON_FUZZ_TARGETS := result plan job y4m yuv nal slices pictures h264 sideinfo
fuzz-python: $(VENV)/.dev ## fuzz what reads bytes in Python, with atheris: SECONDS=, TARGETS= likewise
	$(PIP) --editable '.[fuzz]'
	@for target in $(or $(TARGETS),$(PYTHON_FUZZ_TARGETS)); do sh c/fuzz/run.sh $$target tests/fuzz/corpus/$$target \
	build/fuzz/$$target $(or $(SECONDS),60) $(BIN)/python -m tests.fuzz $$target || exit 1; done

test-kernels: $(VENV)/.dev ## the Python tests once for each kernel that this machine supports
	for kernel in $$($(BIN)/python -c "from codec_bridge.filter import kernels; print(*[k for k, ok in kernels() if ok and k != 'auto'])"); do \
	echo "kernel $$kernel"; $(BIN)/python -m pytest -q --kernel $$kernel || exit 1; done

lib: ## libvrcnn.a, libvrcnn.so and vrcnn.pc in c/build (needs a C compiler only)
	$(MAKE) -C c lib tools

cuda: ## libvrcnn_cuda.so in c/build/cuda: the filter on NVIDIA GPUs (needs nvcc; a GPU only to use it)
	$(MAKE) -C c cuda

cuda-check: ## test and time libvrcnn_cuda on this machine's GPU: up to 8 minutes; PYTHON=, JSON=
	$(MAKE) -C c/cuda programs
	mkdir -p build
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m codec_bridge.bench.cuda_check --json $(or $(JSON),build/cuda-check.json)

install uninstall: ## install the C library, its headers, files for pkg-config and CMake, and vrcnn_filter: PREFIX=/usr/local, LIBDIR=lib; or remove them
	absolute() { case $$1 in ''|/*) printf '%s' "$$1" ;; *) printf '%s' "$$PWD/$$1" ;; esac; }; \
	$(MAKE) -C c $@ PREFIX="$$(absolute "$(PREFIX)")" DESTDIR="$$(absolute "$(DESTDIR)")" LIBDIR="$(LIBDIR)"

lint: $(VENV)/.dev ## ruff, mypy, clang-format and clang-tidy; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(C_FILES) $(ADAPTERS)
	mkdir -p build/lint # one byte in the sets' place: clang-tidy takes half a minute and a gigabyte for all of theirs
	printf 'static const unsigned char builtin_bytes[] = {0};\nstatic const Builtin builtin_sets[] = {{"vrcnn_intra", 0, 1}};\n' > build/lint/builtin_sets.inc
	printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P $(PROCESSES) -I {} sh -c 'file={}; \
	$(BIN)/clang-tidy --quiet $$file -- -std=c99 -Ic/include -Ic/src -Ibuild/lint -Ic/tests -Ic/tools -Ic/plugins -Ic/cuda -DVRCNN_CUDA_COMPILER=0 $(KERNEL_FLAGS)'

format: $(VENV)/.dev ## put Python and C sources into the format that lint wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES) $(ADAPTERS)

DOCS ?= build/docs
docs: $(VENV)/.dev ## the page of the Python interface, from its docstrings, into build/docs
	$(BIN)/python -m pdoc --no-show-source --output-directory $(DOCS) codec_bridge.filter codec_bridge.library.owner

codecs: $(VENV)/.runtime ## x265 and libde265 with the filter inside, into build/codecs/bin, from this Debian's or Ubuntu's source packages
	CODEC_BRIDGE=$(BIN)/codec-bridge X265_SOURCE="$(X265_SOURCE)" LIBDE265_SOURCE="$(LIBDE265_SOURCE)" sh codec_bridge/codecs/build.sh

exactness: $(VENV)/.dev ## every kernel, compiler and architecture here on the conformance suite: minutes. WEEKLY=1: an hour
	$(BIN)/python -m tests.tools.exactness $(if $(WEEKLY),--weekly) $(if $(JOBS),--jobs $(JOBS)) --json build/exactness$(if $(WEEKLY),-weekly).json

bench: $(VENV)/.runtime ## time the filter on this machine: 2 to 3 minutes, best with nothing else running
	$(BIN)/codec-bridge bench --json build/bench.json --plot build/bench.png

release-check: $(VENV)/.dev ## make the source archive and the wheel twice, compare and check them; INSTALLS=core,video,...: measure these
	$(PIP) --editable '.[release]'
	$(BIN)/python packaging/release_check.py $(if $(INSTALLS),--installs $(if $(filter 1,$(INSTALLS)),$(EXTRAS),$(INSTALLS)))

deb: ## Debian packages, into build/debian; OPTIONS= of dpkg-buildpackage (Debian 12: -Pnopython)
	sh packaging/debian.sh $(OPTIONS)

generated: $(VENV)/.runtime ## write the checked-in files again that are generated: conformance suite, ABI
	rm -rf vrcnn_int/conformance/vectors
	$(BIN)/vrcnn-int conformance make vrcnn_int/conformance/vectors
	$(BIN)/python -m tests.tools.abi

clean: ## remove everything that was built, .venv included
	$(MAKE) -C c clean
	rm -rf $(VENV) build dist *.egg-info codec_bridge/library/_vrcnn*.so codec_bridge/library/_vrcnn.c
