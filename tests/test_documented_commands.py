"""Every command that README and docs show is one that there is, with settings that there are."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from bundle.__main__ import COMMANDS, load
from bundle.runs import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")),
)
COMMAND = re.compile(r"^(?:(?:[A-Z_0-9]+=\S+ )*(?:\.venv[a-z-]*/bin/)?(?:python|torchrun) .*|make .*)$")
INLINE = re.compile(r"`(python -m (?:bundle|benchmarks|monai\.bundle)[^`]*)`")


def commands(page: str) -> Iterator[str]:
    """Commands in indented blocks and in running text; those of an earlier commit are not of today."""
    text = (ROOT / page).read_text()
    earlier = False
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        stripped = line.strip()
        if not line.startswith("    "):
            earlier = False
        elif stripped.startswith("#"):
            earlier = bool(re.match(r"# at commit [0-9a-f]{7}", stripped))
        elif not earlier and COMMAND.match(stripped):
            yield re.split(r"\s+(?:#|&&)\s", stripped)[0]
    yield from (" ".join(found.split()) for found in INLINE.findall(text))


def flags(words: list[str]) -> list[str]:
    return [word[2:].partition("=")[0] for word in words if word.startswith("--")]


def check_bundle(words: list[str]) -> None:
    group, name = ("data", words[1]) if words[0] == "data" else ("", words[0])
    if name == "--help":
        return
    assert name in COMMANDS[group], name
    command = load(group, name)
    parameters = inspect.signature(command).parameters
    if any(p.kind == p.VAR_KEYWORD for p in parameters.values()):  # the rest are settings of configs
        known = {key for file in ROOT.glob("configs/*.json") for key in json.loads(file.read_text())}
    else:
        known = set()
    for flag in flags(words):
        assert flag.split("#")[0] in known | parameters.keys(), f"--{flag}"


def check_config(words: list[str]) -> None:
    """`run ID --config_file FILES --key value`"""
    if words[0] != "run":
        return
    assert words[2] == "--config_file", words
    files = ast.literal_eval(words[3]) if words[3].startswith("[") else [words[3]]
    content: dict = {}
    for file in files:
        content |= json.loads((ROOT / file).read_text())
    assert words[1] in content
    for flag in flags(words[4:]):
        assert flag.split("#")[0] in content, f"--{flag}"


def test_the_pages_have_commands() -> None:
    assert len([command for page in PAGES for command in commands(page)]) > 100


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_settings_exist(page: str) -> None:
    targets = re.search(r"\.PHONY: (.*)", (ROOT / "Makefile").read_text())[1].split()
    for command in commands(page):
        words = shlex.split(command)
        while re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
            words.pop(0)
        try:
            if words[0] == "make":
                assert words[1] in targets or words[1].endswith("/installed")
                continue
            module = words.index("-m") + 1 if "-m" in words else None
            if module is None:
                continue
            rest = [word for word in words[module + 1 :] if word != "..."]
            if words[module] == "bundle":
                check_bundle(rest or ["--help"])
            elif words[module] == "monai.bundle":
                check_config(rest)
            else:
                assert find_spec(words[module]) is not None
        except AssertionError as error:
            raise AssertionError(f"{page}: {command}: {error}") from None
