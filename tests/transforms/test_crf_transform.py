from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import MetaTensor, decollate_batch
from monai.engines.utils import IterationEvents
from monai.handlers import PostProcessing

from scripts.crf import METHODS, dense_crf
from scripts.transforms import DenseCRFd

ROOT = Path(__file__).parents[2]


@pytest.fixture
def item() -> dict[str, MetaTensor]:
    """Section, (1, W, H), with a dark disc and noisy probabilities of it, (2, W, H)."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(24), np.arange(20), indexing="ij")
    inside = (x - 11) ** 2 + (y - 10) ** 2 < 36
    image = np.clip(0.7 - 0.4 * inside + rng.normal(0, 0.05, inside.shape), 0, 1)
    foreground = 1 / (1 + np.exp(-(2.0 * inside - 1.0 + rng.normal(0, 1, inside.shape))))

    def with_meta(array: np.ndarray) -> MetaTensor:
        affine = torch.diag(torch.tensor([4.6, 4.6, 50.0, 1.0], dtype=torch.float64))
        meta = {"filename_or_obj": "section_07.png"}
        return MetaTensor(torch.from_numpy(array.astype(np.float32)), affine=affine, meta=meta)

    return {"image": with_meta(image[np.newaxis]), "pred": with_meta(np.stack([1 - foreground, foreground]))}


def expected(item: dict[str, MetaTensor], **parameters: float) -> np.ndarray:
    return dense_crf(item["pred"].numpy(), item["image"].numpy(), **parameters)


def test_defaults_are_those_of_dense_crf() -> None:
    transform = inspect.signature(DenseCRFd).parameters
    function = inspect.signature(dense_crf).parameters
    named = [name for name, parameter in function.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    assert {name: transform[name].default for name in named} == {name: function[name].default for name in named}
    assert [*DenseCRFd("pred").parameters, "overwrite"] == named


def test_refines_in_place_and_keeps_metadata(item: dict[str, MetaTensor]) -> None:
    before = item["pred"].clone()
    result = DenseCRFd("pred", bilateral_compat=4.0, iterations=3)(item)
    np.testing.assert_array_equal(result["pred"], expected(item, bilateral_compat=4.0, iterations=3))
    assert not torch.equal(result["pred"], before)
    assert torch.equal(item["pred"], before)
    assert isinstance(result["pred"], MetaTensor)
    assert result["pred"].meta["filename_or_obj"] == "section_07.png"
    assert torch.equal(result["pred"].affine, before.affine)


def test_writes_beside_the_probabilities(item: dict[str, MetaTensor]) -> None:
    result = DenseCRFd("pred", output_keys="pred_crf")(item)
    assert result["pred"] is item["pred"]
    np.testing.assert_array_equal(result["pred_crf"], expected(item))
    assert result["pred_crf"].meta["filename_or_obj"] == "section_07.png"


def test_several_keys_and_another_image(item: dict[str, MetaTensor]) -> None:
    data = {"section": item["image"], "a": item["pred"], "b": item["pred"].flip(0)}
    result = DenseCRFd(["a", "b"], image_key="section", output_keys=["x", "y"])(data)
    np.testing.assert_array_equal(result["x"], expected(item))
    np.testing.assert_allclose(result["y"].flip(0), expected(item), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_keeps_type(item: dict[str, MetaTensor], dtype: torch.dtype) -> None:
    plain = {"image": item["image"].as_tensor(), "pred": item["pred"].as_tensor().to(dtype).requires_grad_()}
    result = DenseCRFd("pred")(plain)["pred"]
    assert type(result) is torch.Tensor
    assert result.dtype == dtype
    np.testing.assert_allclose(result.float(), expected(item), atol=0.02)


def test_takes_arrays(item: dict[str, MetaTensor]) -> None:
    result = DenseCRFd("pred")({key: value.numpy() for key, value in item.items()})["pred"]
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, expected(item))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_keeps_device(item: dict[str, MetaTensor]) -> None:
    result = DenseCRFd("pred")({key: value.cuda() for key, value in item.items()})["pred"]
    assert result.device.type == "cuda"
    np.testing.assert_allclose(result.cpu(), expected(item), atol=1e-4)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_can_be_copied(item: dict[str, MetaTensor], duplicate: object) -> None:
    transform = duplicate(DenseCRFd("pred", output_keys="pred_crf", iterations=2))
    np.testing.assert_array_equal(transform(item)["pred_crf"], expected(item, iterations=2))


def test_runs_as_ignite_handler(item: dict[str, MetaTensor]) -> None:
    def step(engine: Engine, batch: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        engine.state.batch = decollate_batch({"image": batch["image"]})
        engine.state.output = decollate_batch(batch)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    PostProcessing(transform=DenseCRFd("pred", output_keys="pred_crf")).attach(engine)
    batch = {key: torch.stack([value.as_tensor(), value.as_tensor().flip(1)]) for key, value in item.items()}
    output = engine.run([batch]).output
    assert len(output) == 2
    np.testing.assert_array_equal(output[0]["pred"], item["pred"])
    np.testing.assert_array_equal(output[0]["pred_crf"], expected(item))
    np.testing.assert_array_equal(output[1]["pred_crf"], expected({key: value.flip(1) for key, value in item.items()}))


def test_missing_keys(item: dict[str, MetaTensor]) -> None:
    assert set(DenseCRFd(["pred", "other"], allow_missing_keys=True)(item)) == {"image", "pred"}
    with pytest.raises(KeyError, match="other"):
        DenseCRFd(["pred", "other"])(item)


def test_error_names_key_and_file(item: dict[str, MetaTensor]) -> None:
    item["image"] = item["image"] * 255
    with pytest.raises(ValueError, match=r"'pred', section_07\.png: image must be finite and in \[0, 1\]"):
        DenseCRFd("pred")(item)
    item["image"] = item["image"].as_tensor()
    with pytest.raises(ValueError, match=r"'pred', an unknown file: image must be"):
        DenseCRFd("pred")(item)


@pytest.mark.parametrize("method", METHODS)
def test_method_is_that_of_dense_crf(item: dict[str, MetaTensor], method: str) -> None:
    result = DenseCRFd("pred", method=method, bilateral_compat=4.0)(item)["pred"]
    np.testing.assert_array_equal(result, expected(item, method=method, bilateral_compat=4.0))
    other = next(name for name in METHODS if name != method)
    assert not np.array_equal(result, expected(item, method=other, bilateral_compat=4.0))


@pytest.mark.parametrize("name", ["inference", "train"])
@pytest.mark.parametrize("method", METHODS)
def test_configs_hand_the_method_on(name: str, method: str) -> None:
    config = ConfigParser()
    config.read_config(ROOT / "configs" / f"{name}.json")
    config["crf_method"] = method
    if name == "inference":
        transforms = config.get_parsed_content("postprocessing").transforms
    else:
        transforms = [config.get_parsed_content("validate#crf")]
    assert [t.parameters["method"] for t in transforms if isinstance(t, DenseCRFd)] == [method]


def test_refuses_parameters_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="bilateral_srgb must be a finite number above 0, but got 0"):
        DenseCRFd("pred", bilateral_srgb=0)
    with pytest.raises(ValueError, match="method must be one of grid, permutohedral, but got 'lattice'"):
        DenseCRFd("pred", method="lattice")
    with pytest.raises(ValueError, match=r"output_keys \('x',\) must be as many as keys \('a', 'b'\)"):
        DenseCRFd(["a", "b"], output_keys="x")
