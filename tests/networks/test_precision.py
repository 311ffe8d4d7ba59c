from __future__ import annotations

import logging

import pytest
import torch

from scripts.networks import gains_from_amp, precision


@pytest.mark.parametrize(
    ("capabilities", "gains", "message"),
    [
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, True, "has avx512_bf16 and amx_bf16"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False, "none of avx512_bf16, amx_bf16"),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, False, "none of"),
    ],
)
def test_the_processor_decides_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capabilities: dict,
    gains: bool,
    message: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    precision._gains_from_amp.cache_clear()
    with caplog.at_level(logging.INFO):
        assert gains_from_amp("cpu") is gains_from_amp(torch.device("cpu")) is gains
    assert len(caplog.messages) == 1
    assert message in caplog.text
    precision._gains_from_amp.cache_clear()


def test_other_devices() -> None:
    assert gains_from_amp("cuda:1")
    assert not gains_from_amp("mps")
