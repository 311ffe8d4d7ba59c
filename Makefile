# What each target runs stands in README.md, to be typed by hand where make is not at hand.
PYTHON ?= python3.11
BIN = .venv/bin

.PHONY: train test

train: .venv/installed
	$(BIN)/python -m bundle phantom --output data/phantom
	$(BIN)/python -m monai.bundle run training --config_file "['configs/train.json','configs/quickstart.json']"
	$(BIN)/python -m monai.bundle run evaluating \
		--config_file "['configs/train.json','configs/evaluate.json','configs/quickstart.json']"

test: .venv/installed
	$(BIN)/pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pytest

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@
