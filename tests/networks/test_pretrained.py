from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from scripts.networks import DilatedResNet50, FusionFCN, load_pretrained
from scripts.networks.pretrained import IMAGENET_URL

CHANNELS = (8, 8, 8, 8, 8)
Weights = dict[str, torch.Tensor]


def make_weights(in_channels: int = 1) -> Weights:
    torch.manual_seed(1)
    weights = DilatedResNet50(in_channels, CHANNELS).state_dict()
    return {key: torch.rand_like(value) if value.is_floating_point() else value for key, value in weights.items()}


def save(content: Any, tmp_path: Path) -> Path:
    torch.save(content, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def assert_loaded(encoder: DilatedResNet50, weights: Weights) -> None:
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(value, weights[key], msg=key)


def moco(weights: Weights) -> dict[str, Any]:
    """As MoCo saves: two encoders, a queue, and an optimiser."""
    query = {f"module.encoder_q.{key}": value for key, value in weights.items()}
    key_encoder = {f"module.encoder_k.{key}": torch.zeros_like(value) for key, value in weights.items()}
    head = {"module.encoder_q.fc.0.weight": torch.rand(2, 2), "module.queue": torch.rand(2, 2)}
    return {"epoch": 200, "arch": "resnet50", "state_dict": query | key_encoder | head, "norms": [0.58, 0.1]}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights | {"fc.weight": torch.rand(10, 32), "fc.bias": torch.rand(10)},
        lambda weights: {"state_dict": weights},
        moco,
    ],
    ids=["torchvision", "state_dict", "moco"],
)
def test_loads_published_forms(wrap: Any, tmp_path: Path) -> None:
    weights = make_weights()
    encoder = DilatedResNet50(1, CHANNELS)
    load_pretrained(encoder, save(wrap(weights), tmp_path))
    assert_loaded(encoder, weights)


@pytest.mark.parametrize(("published", "wanted"), [(3, 1), (1, 3)])
@torch.inference_mode()
def test_grey_images_give_the_same_with_grey_and_rgb_weights(published: int, wanted: int, tmp_path: Path) -> None:
    weights = make_weights(published)
    encoder = DilatedResNet50(wanted, CHANNELS)
    load_pretrained(encoder, save(weights, tmp_path))
    grey = torch.rand(1, 1, 16, 16)
    expected = torch.nn.functional.conv2d(grey.expand(1, published, 16, 16), weights["conv1.weight"])
    actual = torch.nn.functional.conv2d(grey.expand(1, wanted, 16, 16), encoder.conv1.weight)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("layer3.5.bn3.weight"), r"1 missing: layer3\.5\.bn3\.weight"),
        (lambda weights: weights.update(extra=torch.rand(1)), "1 unexpected: extra"),
        (lambda weights: weights.update({"bn1.bias": torch.rand(9)}), r"bn1.bias \(9,\) instead of \(8,\)"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_names_keys_that_do_not_fit(change: Any, message: str, tmp_path: Path) -> None:
    weights = make_weights()
    change(weights)
    with pytest.raises(ValueError, match=message):
        load_pretrained(DilatedResNet50(1, CHANNELS), save(weights, tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello world", b"\x89PNG\r\n\x1a\n"])
def test_names_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"picture\.png is no PyTorch checkpoint"):
        FusionFCN(encoder_weights=str(path))


@pytest.mark.parametrize("content", [torch.rand(3), {"epoch": 1}], ids=["tensor", "no weights"])
def test_names_a_checkpoint_without_weights(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights\.pth is no checkpoint"):
        load_pretrained(DilatedResNet50(1, CHANNELS), save(content, tmp_path))


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        FusionFCN(encoder_weights=tmp_path / "nothing.pth")


def test_needs_no_random_weights_without_a_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(ConnectionError, match=r"no route to host.*give its path") as error:
        FusionFCN(encoder_weights="imagenet")
    assert IMAGENET_URL in str(error.value)


def test_checks_the_hash_of_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    called = {}

    def download(url: str, **options: Any) -> Weights:
        called.update(options, url=url)
        return make_weights()

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", download)
    encoder = DilatedResNet50(1, CHANNELS)
    load_pretrained(encoder, "imagenet")
    assert_loaded(encoder, make_weights())
    assert called["url"] == IMAGENET_URL
    assert called["check_hash"]
    assert called["weights_only"]
