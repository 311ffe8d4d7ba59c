from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scripts.inference import fuse_conv_bn
from scripts.networks import FusionFCN


@pytest.fixture(scope="module")
def narrow() -> FusionFCN:
    """A quick network with batch statistics that matter."""
    torch.manual_seed(0)
    network = FusionFCN(width=0.125)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("size", [(64, 64), (65, 127), (100, 200), (97, 64)])
@torch.inference_mode()
def test_output_has_the_size_of_the_input(size: tuple[int, int], narrow: FusionFCN) -> None:
    assert narrow(torch.rand(2, 1, *size)).shape == (2, 2, *size)


@pytest.mark.parametrize("size", [(63, 64), (64, 8)])
def test_refuses_small_inputs(size: tuple[int, int], narrow: FusionFCN) -> None:
    with pytest.raises(ValueError, match=rf"at least 64 .* \[{size[0]}, {size[1]}\]"):
        narrow(torch.rand(1, 1, *size))


def test_stays_within_its_budget() -> None:
    with torch.device("meta"):
        x = torch.rand(1, 1, 512, 512)
    network = FusionFCN().to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        network(x)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 30e6
    assert counter.get_total_flops() <= 220e9


@torch.inference_mode()
def test_standardises_grey_and_rgb_alike() -> None:
    grey = torch.full((1, 1, 2, 2), 0.449 + 0.226)
    rgb = torch.tensor([0.485 + 0.229, 0.456 + 0.224, 0.406 + 0.225])[None, :, None, None]
    torch.testing.assert_close(FusionFCN(1, width=0.125).standardise(grey), torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(FusionFCN(3, width=0.125).standardise(rgb), torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize("in_channels", [1, 3])
def test_every_parameter_learns_from_a_single_image(in_channels: int) -> None:
    torch.manual_seed(0)
    network = FusionFCN(in_channels, out_channels=3, width=0.125, dropout=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = torch.rand(1, in_channels, 64, 72), torch.randint(3, (1, 64, 72))
    for _ in range(2):  # residual branches start at zero: their inner layers follow with the second step
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


def test_learns_borders_thinner_than_the_encoders_grid() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 1, 64, 64)
    y = torch.zeros(1, 64, 64, dtype=torch.long)
    y[:, ::16] = y[:, 1::16] = 1  # two pixels wide, where the encoder's output has one pixel in eight
    x[y[:, None] == 1] -= 1
    network = FusionFCN(width=0.125)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    predicted = network(x).argmax(dim=1)
    assert (predicted & y).sum() / (predicted | y).sum() > 0.9


@torch.inference_mode()
def test_dropout_acts_in_training_only() -> None:
    x = torch.rand(1, 1, 64, 64)
    network = FusionFCN(width=0.125, dropout=0.5).eval()
    torch.testing.assert_close(network(x), network(x))
    network.dropout.train()  # as for epistemic uncertainty
    assert not torch.allclose(network(x), network(x))


@torch.inference_mode()
def test_folding_for_inference_changes_nothing_but_time(narrow: FusionFCN) -> None:
    x = torch.rand(1, 1, 97, 130)
    folded = fuse_conv_bn(narrow)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in narrow.modules())
    torch.testing.assert_close(folded(x), narrow(x), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_compiles_as_one_graph(narrow: FusionFCN) -> None:
    # the eager backend checks the graph without a compiler
    compiled = torch.compile(narrow, backend="eager", fullgraph=True)
    x = torch.rand(1, 1, 97, 130)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), narrow(x))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@torch.inference_mode()
def test_scripts(narrow: FusionFCN) -> None:
    scripted = torch.jit.script(narrow)
    for size in ((64, 72), (97, 130)):
        x = torch.rand(1, 1, *size)
        torch.testing.assert_close(scripted(x), narrow(x))
    with pytest.raises(torch.jit.Error, match=r"at least 64 .* \[63, 64\]"):
        scripted(torch.rand(1, 1, 63, 64))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch|onnxscript|copyreg")
@pytest.mark.filterwarnings("ignore::FutureWarning:torch|onnxscript|copyreg")
@torch.no_grad()
def test_exports_to_onnx_for_all_sizes(narrow: FusionFCN, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    # over 512 pixels a side, so that no level of the pyramid has a single window, which would then be taken for granted
    torch.onnx.export(
        narrow,
        (torch.rand(1, 1, 520, 540),),
        tmp_path / "network.onnx",
        dynamo=True,
        dynamic_shapes={"x": {2: "width", 3: "height"}},
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    for size in ((64, 64), (81, 200)):
        x = torch.rand(1, 1, *size)
        (actual,) = session.run(None, {"x": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(actual), narrow(x), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_bfloat16_and_channels_last(narrow: FusionFCN) -> None:
    x = torch.rand(1, 1, 64, 80)
    expected = narrow(x)
    torch.testing.assert_close(narrow(x.to(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(narrow(x).float(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 2}, "in_channels.*2"),
        ({"out_channels": 0}, "out_channels.*0"),
        ({"width": 0}, "width.*0"),
        ({"width": math.nan}, "width.*nan"),
        ({"dropout": 1}, "dropout.*1"),
        ({"width": 0.25, "encoder_weights": "imagenet"}, "width of 1.*0.25"),
    ],
)
def test_refuses_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusionFCN(**arguments)
