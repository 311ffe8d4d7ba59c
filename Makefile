# What each target runs stands in README.md, to be typed by hand where make is not at hand.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
RUN = runs/quickstart
LABEL_VENV ?= .venv-label
PORT ?= 8000
NAPARI_VENV ?= .venv-napari

.PHONY: train test label test_label napari test_napari

train: $(VENV)/installed
	$(BIN)/python -m bundle phantom --output data/phantom
	@# a training that was interrupted goes on, one that is complete is only evaluated again
	test -e $(RUN)/complete || $(BIN)/python -m monai.bundle run training \
		--config_file "['configs/train.json','configs/quickstart.json']" \
		--resume $$(test -e $(RUN)/checkpoint.pt && echo True || echo False)
	touch $(RUN)/complete
	$(BIN)/python -m monai.bundle run evaluating \
		--config_file "['configs/inference.json','configs/evaluate.json','configs/quickstart.json']"

test: $(VENV)/installed
	$(BIN)/pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pytest -n 2 --dist loadfile

label: $(LABEL_VENV)/installed
	@test -n "$(STUDIES)" || { echo "name the folder of your sections: make label STUDIES=folder"; exit 2; }
	@# PIXEL_SIZE is that of the sections in nanometres, 5 or "[4, 6]"; it is needed once for each folder
	$(LABEL_VENV)/bin/python -m bundle serve "$(STUDIES)" --port $(PORT) $(if $(PIXEL_SIZE),--pixel_size "$(PIXEL_SIZE)")

test_label: $(VENV)/installed $(LABEL_VENV)/installed
	$(BIN)/pip install --quiet -r requirements-dev.txt
	LABEL_PYTHON=$(LABEL_VENV)/bin/python $(BIN)/python -m pytest tests/label

napari: $(NAPARI_VENV)/installed
	@test -n "$(STUDIES)" || { echo "name your sections, a folder or a volume: make napari STUDIES=folder"; exit 2; }
	$(NAPARI_VENV)/bin/python -m bundle napari "$(STUDIES)" $(if $(PIXEL_SIZE),--pixel_size "$(PIXEL_SIZE)")

test_napari: $(NAPARI_VENV)/installed
	$(NAPARI_VENV)/bin/pip install --quiet $$(grep ^pytest== requirements-dev.txt)
	@# napari brings plugins of pytest along, which raise its own warnings before there is a test
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(NAPARI_VENV)/bin/python -m pytest tests/viewer/test_window.py

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(LABEL_VENV)/installed: bundle/label/requirements.txt
	$(PYTHON) -m venv $(LABEL_VENV)
	@# sam2, which MONAI Label wants, is built with the PyTorch that is there
	$(LABEL_VENV)/bin/pip install --quiet $$(grep ^torch== bundle/label/requirements.txt) "setuptools<81" wheel
	SAM2_BUILD_CUDA=0 $(LABEL_VENV)/bin/pip install --quiet --no-build-isolation --no-deps \
		$$(grep ^sam2 bundle/label/requirements.txt)
	$(LABEL_VENV)/bin/pip install --quiet -r bundle/label/requirements.txt
	touch $@

$(NAPARI_VENV)/installed: bundle/viewer/requirements.txt requirements.txt
	$(PYTHON) -m venv $(NAPARI_VENV)
	$(NAPARI_VENV)/bin/pip install --quiet -r bundle/viewer/requirements.txt
	touch $@
