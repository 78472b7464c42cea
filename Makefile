PYTHON ?= python3
BIN := .venv/bin
DEMO := outputs/demo/$(shell date +%Y%m%d-%H%M%S)

.PHONY: install unsloth demo test test-unit test-engine test-recipe check format pins clean

install: .venv/.installed

.venv/.installed: requirements/cpu.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mull needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' requirements/cpu.in)"
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/cpu.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

unsloth: .unsloth/.installed ## the real Unsloth, for `make test-engine`: without it the tests that run it are skipped

# apart from .venv: Unsloth patches whatever imports it
UNSLOTH := unsloth|unsloth-zoo|torchao|triton|cut-cross-entropy|tyro|structlog|hf-transfer|nest-asyncio|typeguard|docstring-parser
UNSLOTH := $(UNSLOTH)|diffusers|importlib-metadata|vllm-bnb-plugin

.unsloth/.installed: requirements/gpu.txt .venv/.installed
	rm -rf .unsloth
	@said=$$($(BIN)/python -m pip install -qq --no-deps --target .unsloth $$(grep -E '^($(UNSLOTH))==' requirements/gpu.txt) 2>&1) \
		|| { echo "no Unsloth, so the tests that run it are skipped: $$(echo "$$said" | tail -n 1)" >&2; exit 1; }
	touch $@

demo: install ## SFT warm-up, then GRPO, of the embedded model on generated problems
	$(BIN)/python -m sft.train --config demo.yaml output_dir=$(DEMO)/sft
	$(BIN)/python -m rl.grpo --config demo.yaml output_dir=$(DEMO)/grpo model.adapter=$(DEMO)/sft/adapter
	$(BIN)/python -m report.ladder $(DEMO)/sft $(DEMO)/grpo

# a process a core, one thread each; a file stays in one process, so that its engine starts once
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadfile

test: test-unit test-engine test-recipe

test-unit: install
	$(PYTEST) -m "not engine and not recipe"

test-engine: install
	$(PYTEST) -m engine

test-recipe: install
	$(PYTEST) -m recipe

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

NOT_PINNED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
	cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := $(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --python-version 3.11

pins: install ## recompile requirements/*.txt
	cd requirements && ../$(COMPILE) --universal cpu.in --override cpu-overrides.txt -o cpu.txt $(addprefix --no-emit-package ,$(NOT_PINNED))
	cd requirements && ../$(COMPILE) gpu.in --override gpu-overrides.txt -o gpu.txt --python-platform x86_64-manylinux_2_28

clean:
	rm -rf .venv .unsloth outputs .mypy_cache .ruff_cache .hypothesis
