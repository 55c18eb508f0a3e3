# Two commands for a newcomer: `make demo` and `make test`. Each does all of its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# The long modules begin, and there is one more worker than cores, since stories wait a third of their time; `check` has run the unit tests by then.
LONG_FIRST := $(addprefix tests/,stories integration simulation contracts test_house.py)

.PHONY: help demo hospital test check format bench docs lock clean

help: ## 列出可用的命令 / list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

demo: $(READY) system ## 在十二台真实主机上演示一次完整变更 / one change from drop to closed, on a dozen real hosts
	@$(BIN)/upgrader demo

hospital: $(READY) system ## 一夜之内按依赖顺序升级五十个系统，其中两个失败 / all fifty systems in one night, two of which fail
	@$(BIN)/python -m upgrader.lab.night $(SYSTEMS)

test: $(READY) system ## 全部检查与测试 / every check and every test
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(LONG_FIRST)

check: $(READY) ## 一分钟内的检查：格式、静态检查、类型、ansible-lint、单元测试 / the checks that take under a minute
	@tools/check

format: $(READY) ## 整理代码格式 / format the code
	@$(BIN)/ruff format src tests benchmarks
	@$(BIN)/ruff check --fix -q src tests benchmarks

bench: $(READY) system ## 与 Ansible、pyinfra、ssh 并排测量性能，约一刻钟 / measure, beside plain Ansible, pyinfra and ssh; a quarter of an hour
	@$(BIN)/python -m benchmarks $(BENCH)

docs: $(READY) ## 重新生成由代码得出的文档 / print the documents that come from code
	@$(BIN)/python -m upgrader.domain.changes.lifecycle > docs/lifecycle.md

lock: ## 重新锁定依赖（需要 uv）/ lock the dependencies again (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra paper pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 benchmarks/requirements.in -o benchmarks/requirements.lock

clean: ## 删除虚拟环境与缓存 / remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

.PHONY: system
system:
	@tools/system-packages

$(READY): requirements-dev.lock pyproject.toml
	@tools/virtual-environment $(PYTHON) $(VENV)
	@touch $@
