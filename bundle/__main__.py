"""``python -m bundle <command>``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

__all__ = ["COMMANDS", "load", "main", "quoted"]

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "ablation": ("bundle.studies.ablation", "Compare networks, inputs and the CRF on a set: the paper's Table 1."),
        "active_learning": ("bundle.studies.active_learning", "Compare ways to choose the sections to label."),
        "adapt": ("bundle.studies.adapt", "Fit weights to the tissue of a stack without labels."),
        "analyze": (
            "bundle.analysis.analyze",
            "Align, segment, number and measure a stack of sections, with a report.",
        ),
        "average": ("bundle.release.average", "Average the weights before and after a fine-tuning."),
        "bioimageio": ("bundle.release.bioimageio", "Write the network as a package of bioimage.io."),
        "compare": ("bundle.analysis.compare", "Compare groups of animals by the objects of their stacks."),
        "continuity": ("bundle.studies.continuity", "Measure what neighbouring sections add to the masks of a stack."),
        "convert": ("bundle.volumes.convert", "Write a stack as an OME-Zarr volume, or a volume as TIFF files."),
        "ensemble": ("bundle.release.ensemble", "Join a Fusion FCN and a U-Net into one that scores by their mean."),
        "evaluate": ("bundle.studies.evaluate", "Score weights on the test parts of data sets."),
        "evaluate_objects": ("bundle.analysis.evaluate_objects", "Score numbered mitochondria against true ones."),
        "evaluate_registration": ("bundle.studies.registration", "Measure what the registration recovers."),
        "finetune": ("bundle.studies.finetune", "Score weights fine-tuned on a few sections."),
        "huggingface": ("bundle.release.huggingface", "Write a folder for the Hugging Face Hub."),
        "leave_one_out": ("bundle.studies.leave_one_out", "Train on all data sets but one, and score on that one."),
        "napari": ("bundle.viewer.napari", "Open sections in napari: segment, correct, teach, measure."),
        "package": ("bundle.release.package", "Write the zip of the bundle for the MONAI model zoo."),
        "phantom": ("bundle.data.phantom", "Make a data set of serial sections with known mitochondria."),
        "pixel_size": ("bundle.data.pixel_size", "Estimate the pixel size of sections."),
        "plot_training": ("bundle.studies.plot_training", "Plot loss and validation of trainings."),
        "publish": ("bundle.release.publish", "Take the weights of a training into the bundle."),
        "serve": ("bundle.label.serve", "Serve a folder of sections for annotation with MONAI Label."),
        "synthetic": ("bundle.data.synthetic", "Make a data set of synthetic sections of many kinds of tissue."),
        "tune_crf": ("bundle.studies.tune_crf", "Choose CRF parameters and thresholds on a validation part."),
        "view": ("bundle.volumes.view", "Show volumes and their mitochondria in a browser, by Neuroglancer."),
        "verify": ("bundle.release.verify", "Run the checks of the MONAI model zoo."),
    },
    "data": {
        "combine": ("bundle.data.combine", "Join lists of sections into one, balanced by weights."),
        "epfl": ("bundle.data.epfl", "List slices of the EPFL hippocampus volume."),
        "sbem": ("bundle.data.sbem", "Fetch the SBEM brain set."),
        "small": ("bundle.data.small", "List the five small sets of other tissues."),
        "vnc": ("bundle.data.vnc", "Fetch the Drosophila ventral nerve cord set."),
    },
}
"""Module and summary of each command, by group; a module has a function of the command's name."""


def load(group: str, name: str) -> Callable:
    """Import a command; nothing else is imported, since PyTorch and MONAI take seconds.

    Args:
        group: "data", or "" for commands without a group.
        name: of the command.

    Returns:
        The function.
    """
    return getattr(import_module(COMMANDS[group][name][0]), name)


def main() -> None:
    """Run the command named on the command line; an error the user can mend ends as one line, not as a traceback."""
    import fire

    group, name = ([*sys.argv[1:3], "", ""])[:2]
    group, name = (group, name) if group in COMMANDS else ("", group)
    if name in COMMANDS[group]:
        command = load(group, name)
        tree = {group: {name: command}} if group else {name: command}
        words = 2 if group else 1
        sys.argv[1 + words :] = quoted(sys.argv[1 + words :], command)
    else:  # help, or no such command: the summaries are enough
        tree = {key: _summary(*entry) for key, entry in COMMANDS[""].items()}
        tree["data"] = {key: _summary(*entry) for key, entry in COMMANDS["data"].items()}
    try:
        fire.Fire(tree, name="bundle")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except RuntimeError as error:  # MONAI's, around what went wrong in a config
        if error.__cause__ is None:
            raise
        from scripts.config import first_cause

        sys.exit(f"error: {first_cause(error)}")


def quoted(arguments: Sequence[str], command: Callable) -> list[str]:
    """Quote what a command takes as text, so that Fire leaves it as it was typed.

    Fire reads each value as Python where it can: a folder ``20240115`` becomes a number, and ``raw#2`` loses what
    follows the ``#``.

    Args:
        arguments: of the command line, after the name of the command.
        command: the function, with annotations.

    Returns:
        The arguments, those for parameters of type ``str`` in quotes.
    """
    texts, places, rest = set(), [], False
    for parameter in inspect.signature(command).parameters.values():
        is_text = str(parameter.annotation) in ("str", "str | None") and parameter.kind != parameter.VAR_KEYWORD
        texts |= {parameter.name} if is_text else set()
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            places.append(is_text)
        rest |= is_text and parameter.kind == parameter.VAR_POSITIONAL
    result, flag, place = [], None, 0
    for argument in arguments:
        is_text, start, text = False, "", argument
        if argument.startswith("--"):
            name, sign, text = argument.partition("=")
            parameter = name[2:].replace("-", "_")  # Fire takes both
            flag, start = (None if sign else parameter), name + sign
            is_text = bool(sign) and parameter in texts
        elif flag is not None:
            is_text, flag = flag in texts, None
        else:
            is_text, place = places[place] if place < len(places) else rest, place + 1
        plain = is_text and text != "None" and not text.startswith(("-", "'", '"'))
        result.append(f"{start}{text!r}" if plain else argument)
    return result


def _summary(module: str, text: str) -> Callable:
    def command() -> None:
        raise AssertionError(f"{module} was not loaded")  # pragma: no cover

    command.__doc__ = text
    return command


if __name__ == "__main__":
    main()
