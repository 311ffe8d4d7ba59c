# What each target runs stands in README.md, to be typed by hand where make is not at hand.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
RUN = runs/quickstart

.PHONY: train test

train: $(VENV)/installed
	$(BIN)/python -m bundle phantom --output data/phantom
	@# a training that was interrupted goes on, one that is complete is only evaluated again
	test -e $(RUN)/complete || $(BIN)/python -m monai.bundle run training \
		--config_file "['configs/train.json','configs/quickstart.json']" \
		--resume $$(test -e $(RUN)/checkpoint.pt && echo True || echo False)
	touch $(RUN)/complete
	$(BIN)/python -m monai.bundle run evaluating \
		--config_file "['configs/train.json','configs/quickstart.json','configs/evaluate.json']"

test: $(VENV)/installed
	$(BIN)/pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pytest

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@
