from __future__ import annotations

import pytest
import torch
from monai.networks.nets import resnet50
from torch import nn

from scripts.networks import DilatedResNet50


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """MONAI's ResNet-50 with torchvision's keys and shapes, and batch statistics that matter."""
    torch.manual_seed(0)
    network = resnet50(
        spatial_dims=2,
        n_input_channels=3,
        num_classes=1000,
        conv1_t_stride=2,
        bias_downsample=False,
        shortcut_type="B",
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@torch.inference_mode()
def test_features_are_those_of_the_published_resnet(published: nn.Module) -> None:
    weights = {key: value for key, value in published.state_dict().items() if not key.startswith("fc.")}
    encoder = DilatedResNet50(in_channels=3).eval()
    encoder.load_state_dict(weights)

    x = torch.rand(1, 3, 128, 96)
    stem, block1, block4 = encoder(x)

    expected = published.act(published.bn1(published.conv1(x)))
    torch.testing.assert_close(stem, expected)
    expected = published.layer1(published.maxpool(expected))
    torch.testing.assert_close(block1, expected)
    expected = published.layer4(published.layer3(published.layer2(expected)))
    assert block4.shape[2:] == (16, 12)
    assert expected.shape[2:] == (4, 3)
    # dilation fills the gaps that the strides leave, and changes nothing else
    torch.testing.assert_close(block4[:, :, ::4, ::4], expected, rtol=1e-4, atol=1e-4)


def test_residual_blocks_1_and_2_downsample_and_3_and_4_do_not() -> None:
    encoder = DilatedResNet50(in_channels=1, channels=(8, 8, 8, 8, 8)).eval()
    sizes = []
    for block in (encoder.maxpool, encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        block.register_forward_hook(lambda _module, _args, output: sizes.append(tuple(output.shape[2:])))
    encoder(torch.rand(1, 1, 64, 80))
    assert sizes == [(16, 20), (16, 20), (8, 10), (8, 10), (8, 10)]


def test_starts_close_to_a_short_network() -> None:
    encoder = DilatedResNet50(in_channels=1, channels=(8, 8, 8, 8, 8))
    assert all(not module.bn3.weight.any() for module in encoder.modules() if hasattr(module, "bn3"))


@pytest.mark.parametrize("channels", [(64, 64, 128), (32, 64, 128, 256, 512)])
def test_refuses_channels(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels must be five numbers"):
        DilatedResNet50(in_channels=1, channels=channels)
