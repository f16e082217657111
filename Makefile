# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
DEMO := .venv/demo
TEST := .venv/test
TFLITE := .venv/tflite
PEERS := .venv/peers
CHIPS := .venv/chips
GPU := .venv/gpu
CANN := .venv/cann
CACHE := .cache
TOOLS := EDGEKIT_CACHE=$(CURDIR)/$(CACHE)/edgekit
STARTER_PROMISE := --min-agreement 0.95 --max-drop 2 --budget 5 --for size --methods int8_weights,int8_blocks
PIP := -m pip --disable-pip-version-check -qq
SOURCES := $(shell git ls-files edgekit runtimes converters benchmarks samples '*.toml')
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-chips lint types unit support fuzz starter bench bench-agreement bench-quantization bench-distillation clean

demo: $(DEMO)/.ok
	$(DEMO)/bin/python samples/demo.py

test: lint types unit

lint: $(TEST)/.ok
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/pydoclint edgekit runtimes converters benchmarks

# Types and import arrows are checked on the wheel, from a neutral folder: it is what users get.
types: $(TEST)/.ok
	rm -rf build $(CACHE)/typed && mkdir -p $(CACHE)/typed
	$(TEST)/bin/python $(PIP) install --no-deps --no-compile --target $(CACHE)/typed .
	rm -rf build
	cd $(CACHE)/typed && $(CURDIR)/$(TEST)/bin/mypy --config-file $(CURDIR)/pyproject.toml -p edgekit
	cd $(CACHE)/typed && $(CURDIR)/$(TEST)/bin/lint-imports --config $(CURDIR)/pyproject.toml --no-cache

unit: $(TEST)/.ok $(TFLITE)/.ok $(CACHE)/aarch64/.ok
	$(TEST)/bin/pytest -n 2 --dist loadfile --junitxml $(CACHE)/results.xml $(PYTEST_ARGS)

# Engines and vendors' simulators in an environment of their own; compilers in toolchains that edgekit builds.
test-chips: $(CHIPS)/.ok $(GPU)/.ok $(CANN)/.ok $(TEST)/.ok $(CACHE)/aarch64/.ok $(CACHE)/riscv64/.ok
	$(CHIPS)/bin/pytest -n 2 --dist loadfile --junitxml $(CACHE)/results-chips.xml tests/chips $(PYTEST_ARGS)
	$(GPU)/bin/pytest --junitxml $(CACHE)/results-gpu.xml tests/gpu $(PYTEST_ARGS)
	$(CANN)/bin/pytest --junitxml $(CACHE)/results-cann.xml tests/cann $(PYTEST_ARGS)
	for tool in vela qnn rknn sophgo coreml mnn ncnn openvino; do $(TOOLS) $(TEST)/bin/edgekit toolchain install $$tool || exit 1; done
	EDGEKIT_COMPILERS=1 $(TOOLS) $(TEST)/bin/pytest -n 2 --dist loadfile \
	  --junitxml $(CACHE)/results-compilers.xml tests/compilers $(PYTEST_ARGS)

# Writes README's support table from the results of the last `make unit` and `make test-chips`.
support:
	$(TEST)/bin/python docs/support.py $(CACHE)/results.xml $(CACHE)/results-chips.xml $(CACHE)/results-compilers.xml \
	  $(CACHE)/results-gpu.xml $(CACHE)/results-cann.xml

# Coverage-guided fuzzing of the bundle reader and the image path, for a bounded time.
fuzz: $(TEST)/.ok
	$(TEST)/bin/python $(PIP) install atheris==3.0.0
	$(TEST)/bin/python tests/fuzz/fuzz_bundle.py -max_total_time=$(or $(SECONDS),60)
	$(TEST)/bin/python tests/fuzz/fuzz_image.py -max_total_time=$(or $(SECONDS),60)

# Makes samples/starter.edge again, from the weights that two packages carry: its text tower distilled on texts, then
# both quantized on photos that a third package has.
starter: $(TEST)/.ok
	mkdir -p $(CACHE)
	for set in stamps wordnet-texts emoji-names; do $(TEST)/bin/edgekit data fetch $$set || exit 1; done
	$(TEST)/bin/edgekit convert starter --weights float32 -o $(CACHE)/starter-float.edge
	$(TEST)/bin/python samples/starter_texts.py $(CACHE)/starter-texts.txt
	rm -rf $(CACHE)/starter-distilled.distill $(CACHE)/starter.quantize
	$(TEST)/bin/edgekit distill samples/starter-text.yaml -o $(CACHE)/starter-distilled.edge
	$(TEST)/bin/edgekit quantize $(CACHE)/starter-distilled.edge -o $(CACHE)/starter.edge --data stamps $(STARTER_PROMISE)
	mv $(CACHE)/starter.edge samples/starter.edge

# Our own loop and MLPerf's LoadGen in turns on the same work: the two must agree.
bench-agreement: $(TEST)/.ok
	$(TEST)/bin/python -m edgekit.benchmarks.scenarios.agreement starter $(BENCH_ARGS)

bench: $(TEST)/.ok
	$(TEST)/bin/python -m edgekit.benchmarks.peers.photo_to_embedding $(BENCH_ARGS)

# Our quantization beside that of onnxruntime and NNCF; NNCF lives in an environment that nothing else uses.
bench-quantization: $(PEERS)/.ok
	$(PEERS)/bin/python -m edgekit.benchmarks.quantization.table $(BENCH_ARGS)

# Students against labels alone, each loss, one process against two: about an hour of CPU time, and five minutes for the teacher. The
# same command goes on where it was ended.
bench-distillation: $(TEST)/.ok
	mkdir -p $(CACHE)
	for set in emoji-noto emoji-twemoji emoji-fluent openmoji; do $(TEST)/bin/edgekit data fetch $$set || exit 1; done
	test -e $(CACHE)/emoji.edge || \
	  $(TEST)/bin/python -m edgekit.benchmarks.quantization.emoji -o $(CACHE)/emoji.edge --seconds 300
	$(TEST)/bin/python -m edgekit.benchmarks.distillation.study --teacher $(CACHE)/emoji.edge \
	  -o $(CACHE)/distillation.json $(BENCH_ARGS)

$(PEERS)/.ok: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(PIP) install "torch==2.13.0" -e ".[onnx,litert,convert,quantize,bench]" "nncf==3.4.0"
	touch $@

# tflite-runtime needs numpy 1 and Python 3.11 at most: the tests of that engine run in an environment of their own.
$(TFLITE)/.ok: pyproject.toml .ci/tflite
	sh .ci/tflite

# An ARM64 root that an emulator runs, for a board by SSH that is one; where it cannot be made its test skips.
$(CACHE)/aarch64/.ok: .ci/aarch64 | $(TEST)/.ok
	sh .ci/aarch64

# NVIDIA's packages claim the names of others, and are here without a GPU: what they do then is tested. The bindings of
# TensorRT are read, not imported, so that its libraries (gigabytes, from NVIDIA's own index) are left out.
$(GPU)/.ok: pyproject.toml
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python $(PIP) install --upgrade pip
	$(GPU)/bin/python $(PIP) install -e . "onnxruntime-gpu==1.31.1" "nvidia-cuda-runtime==13.*" "onnx>=1.17" "pytest>=8"
	$(GPU)/bin/python $(PIP) install --no-deps "tensorrt-cu12-bindings==10.13.3.9"
	touch $@

# Huawei's build of ONNX Runtime claims the name of another, needs numpy 1, and is here without CANN.
$(CANN)/.ok: pyproject.toml
	$(PYTHON) -m venv $(CANN)
	$(CANN)/bin/python $(PIP) install --upgrade pip
	$(CANN)/bin/python $(PIP) install -e . "onnxruntime-cann==1.24.4" "numpy<2" "onnx>=1.17,<1.19" "pytest>=8"
	touch $@

# A RISC-V root likewise: Debian's own packages, a minute and a half of emulation.
$(CACHE)/riscv64/.ok: .ci/riscv64 | $(TEST)/.ok
	sh .ci/riscv64

$(CHIPS)/.ok: pyproject.toml
	$(PYTHON) -m venv $(CHIPS)
	$(CHIPS)/bin/python $(PIP) install --upgrade pip
	$(CHIPS)/bin/python $(PIP) install -e ".[onnx,litert,openvino,mnn,ncnn,qnn]" "onnx>=1.17" "hypothesis>=6.100" "pytest>=8" \
	  "pytest-xdist>=3.5" "setuptools>=77" wheel
	touch $@

clean:
	rm -rf .venv $(CACHE) build *.egg-info

$(DEMO)/.ok: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(PIP) install --upgrade pip
	$(DEMO)/bin/python $(PIP) install -e ".[onnx]"
	touch $@

# torch is named beside everything that depends on it: alone, the others would pull a CUDA build.
$(TEST)/.ok: pyproject.toml .ci/tools
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python $(PIP) install --upgrade pip
	$(TEST)/bin/python $(PIP) install "torch==2.13.0" \
	  -e ".[onnx,litert,convert,convert-litert,quantize,distill,data,starter,bench,loadgen,nvml,serial,dev,video]"
	sh .ci/tools
	touch $@
