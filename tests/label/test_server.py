"""The whole round of annotation with a real MONAI Label server, over its REST interface.

The tests share a server with those of `test_server_training.py`, which change its weights and come after these.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser
from monailabel_server import AFFINE, NAME, Server, segment

from bundle.runs import ROOT, load_network
from scripts.inference import dropout_uncertainty
from scripts.io import read_section, select_query, write_section
from scripts.resampling import resample

# settings of requests, and the same for the command line
SETTINGS = {
    "default": ({}, {}),
    "no CRF": ({"use_crf": False, "threshold_without_crf": 0.2}, {"use_crf": False, "threshold_without_crf": 0.2}),
    "changed CRF": (
        {"bilateral_srgb": 10, "iterations": 2, "threshold": 0.25, "overlap": 0.5},
        {"crf#bilateral_srgb": 10, "crf#iterations": 2, "threshold": 0.25, "overlap": 0.5},
    ),
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["picture.png", "lzw.v1.tif", "long.tiff", "volume.nii.gz"])
def test_masks_are_those_of_run_inference(
    server: Server, studies: Path, tmp_path: Path, name: str, settings: str
) -> None:
    image = next(s for s in ("picture", "lzw.v1", "long", "volume") if name.startswith(s))
    asked, given = SETTINGS[settings]
    path = server.mask(image, tmp_path, **asked)
    assert path.name.endswith(name.removeprefix(image))
    mask = read_section(path)
    assert mask.dtype == np.uint8
    expected = segment(studies / name, tmp_path / "cli", **given)
    assert 0 < expected.mean() < 0.5
    np.testing.assert_array_equal(mask, expected)
    if name == "volume.nii.gz":
        assert nib.load(path).shape == (160, 192, 1)
        np.testing.assert_allclose(nib.load(path).affine, AFFINE, atol=1e-7)


# pixel sizes of requests, and the same for the command line
PIXEL_SIZES = {
    "another": (8, 8),
    "oblong": ([5, 7], [5, 7]),
    "that of the network": (10, None),  # which an unknown one is taken for
    "an empty field of 3D Slicer": (0.0, 5),
    "none": (None, 5),
}


@pytest.mark.parametrize("case", PIXEL_SIZES)
def test_a_request_may_state_another_pixel_size(server: Server, studies: Path, tmp_path: Path, case: str) -> None:
    asked, given = PIXEL_SIZES[case]
    mask = read_section(server.mask("picture", tmp_path, pixel_size=asked))
    expected = segment(studies / "picture.png", tmp_path / "cli", pixel_size=given)
    np.testing.assert_array_equal(mask, expected)
    # and the next one is that of the folder again
    usual = read_section(server.mask("picture", tmp_path))
    assert np.array_equal(usual, mask) == (given == 5)


@pytest.mark.parametrize("image", ["picture", "volume"])
def test_masks_for_3d_slicer_lie_on_their_sections(server: Server, studies: Path, tmp_path: Path, image: str) -> None:
    # what its module sends
    sent = {"result_extension": ".nrrd", "result_dtype": "uint8", "label": None, "slice": 0}
    path = server.mask(image, tmp_path, **sent)
    assert path.suffix == ".nrrd"
    mask, section = itk.imread(str(path)), itk.imread(str(next(studies.glob(f"{image}.*"))))
    assert tuple(itk.size(mask)) == (160, 192, 1)
    np.testing.assert_allclose(np.array(mask.GetSpacing())[:2], np.array(section.GetSpacing())[:2], rtol=1e-6)
    np.testing.assert_allclose(np.array(mask.GetOrigin())[:2], np.array(section.GetOrigin())[:2], rtol=1e-6)
    direction = np.diag([1, 1, 1] if image == "picture" else [1, -1, 1])  # of AFFINE, in ITK's axes
    np.testing.assert_allclose(itk.array_from_matrix(mask.GetDirection()), direction, atol=1e-6)
    same = read_section(server.mask(image, tmp_path))
    np.testing.assert_array_equal(itk.array_from_image(mask)[0].T, same)
    # and it sends back volumes, by default as NIfTI
    itk.imwrite(mask, str(tmp_path / "label.nii.gz"))
    assert server.submit(image, tmp_path / "label.nii.gz", tag="slicer").ok
    np.testing.assert_array_equal(read_section(studies / "labels" / "slicer" / f"{image}.nii.gz"), same)


def test_a_label_in_another_format_takes_the_place_of_the_first(server: Server, studies: Path, tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.png"):
        write_section(tmp_path / name, np.ones((160, 192), np.uint8))
        assert server.submit("picture", tmp_path / name, tag="twice").ok
    assert [path.name for path in (studies / "labels" / "twice").iterdir()] == ["picture.png"]


def test_3d_slicer_gets_sections_that_lie_alone(server: Server, studies: Path) -> None:
    # of a folder of numbered pictures it would make a volume
    path = Path(server.ask("POST", "/activelearning/first", json={})["path"])
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    assert path.resolve().parent == studies
    assert path.stat().st_size > 0


def test_names_do_not_matter(server: Server, studies: Path, tmp_path: Path) -> None:
    listed = server.ask("GET", "/datastore/?output=all")["objects"]
    assert {"CAPITALS", "lzw.v1", "small"} < set(listed)
    assert len(listed) == 13
    np.testing.assert_array_equal(
        read_section(server.mask("CAPITALS", tmp_path)), read_section(server.mask("picture", tmp_path))
    )
    small = read_section(server.mask("small", tmp_path))
    np.testing.assert_array_equal(small, segment(studies / "small.png", tmp_path / "cli"))


def test_a_second_server_is_refused(server: Server) -> None:
    second = subprocess.run([*server.command, "--port", "0"], cwd=ROOT, capture_output=True, text=True)
    assert second.returncode != 0
    assert "another server serves this folder" in second.stderr


def test_settings_differ_in_effect(server: Server, tmp_path: Path) -> None:
    masks = [read_section(server.mask("picture", tmp_path, **asked)) for asked, _ in SETTINGS.values()]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


def test_settings_are_offered(server: Server) -> None:
    offered = server.ask("GET", "/info/")["models"][NAME]["config"]
    recorded = json.loads((ROOT / "models" / "model.json").read_text())["settings"]
    for key in ("overlap", "threshold", "threshold_without_crf"):
        assert offered[key] == recorded[key]
    assert offered["use_crf"] is True
    assert offered.items() >= recorded["crf"].items()
    trainer = server.ask("GET", "/info/")["trainers"][NAME]["config"]
    assert offered["pixel_size"] == trainer["pixel_size"] == 5.0
    assert offered["model_filename"][0] == "model.pt"
    assert "shipped.pt" in offered["model_filename"]


BAD_REQUESTS = {
    "unknown section": ("nope", {}, 404, "has no section named 'nope'"),
    "damaged section": ("damaged", {}, 400, "damaged.png: cannot be read"),
    "threshold out of range": (
        "picture",
        {"threshold": 7},
        400,
        "threshold must be a number between 0 and 1, but got 7",
    ),
    "overlap out of range": ("picture", {"overlap": 1.5}, 400, "overlap must be >= 0 and < 1"),
    "negative width": (
        "picture",
        {"bilateral_srgb": -1},
        400,
        "bilateral_srgb must be a finite number above 0, but got -1",
    ),
    "no number": ("picture", {"iterations": "five"}, 400, "'iterations' must be of type int"),
    "negative pixel size": ("picture", {"pixel_size": -5}, 400, "pixel_size: a pixel size of -5 nm is out of range"),
    "metres": ("picture", {"pixel_size": 5e-9}, 400, "expected nanometres from 0.1 to 1000"),
    "no pixel size": ("picture", {"pixel_size": "five"}, 400, "a pixel size is a number of nanometres or [x, y]"),
    "no such weights": ("picture", {"model_filename": "lost.pt"}, 404, "holds no weights 'lost.pt'"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_requests_get_a_reason(server: Server, case: str) -> None:
    image, settings, status, reason = BAD_REQUESTS[case]
    answer = server.infer(image, **settings)
    assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), answer.text
    assert server("GET", "/info/").ok


def test_bad_labels_get_a_reason(server: Server, tmp_path: Path) -> None:
    cases = {
        "small.png": (np.zeros((10, 20), np.uint8), "has 10x20 pixels, the section 160x192"),
        "instances.png": (
            np.arange(160 * 192).reshape(160, 192).astype(np.uint8) % 90,
            "label values run from 0 to 89",
        ),
    }
    for name, (pixels, reason) in cases.items():
        write_section(tmp_path / name, pixels)
        answer = server.submit("picture", tmp_path / name)
        assert (answer.status_code, reason in answer.json()["detail"]) == (400, True), answer.text
    answer = server.submit("nope", tmp_path / "small.png")
    assert (answer.status_code, "no section named 'nope'" in answer.json()["detail"]) == (404, True)
    assert server.ask("GET", "/datastore/")["completed"] == 0


def test_training_without_labels_is_refused(server: Server) -> None:
    answer = server("POST", f"/train/{NAME}", json={})
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "no section has a label yet: correct and submit one first",
    )
    assert server("POST", "/train/other", json={}).status_code == 404


def test_another_bundle_with_scripts_does_not_disturb(server: Server, studies: Path, tmp_path: Path) -> None:
    own = server.mask("picture", tmp_path).read_bytes()
    pixels = read_section(studies / "picture.png").astype(float)
    scaled = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    for _ in range(2):
        other = read_section(server.mask("picture", tmp_path, model="bright_segmentation"))
        assert (other != (scaled > 0.5)).mean() < 0.001
        assert server.mask("picture", tmp_path).read_bytes() == own


def test_all_sections_at_once(server: Server, studies: Path, tmp_path: Path) -> None:
    server.ask("POST", f"/batch/infer/{NAME}?images=all", json={"label_tag": "batch"})
    status = server.wait("batch/infer")
    assert status["status"] == "ERROR"  # one section is damaged; the others have their masks
    assert "1 of 13 sections failed" in status["details"][-1]
    assert "damaged.png: cannot be read" in status["details"][-1]
    masks = sorted((studies / "labels" / "batch").iterdir())
    assert len(masks) == 12
    np.testing.assert_array_equal(
        read_section(studies / "labels" / "batch" / "s1.png"), read_section(server.mask("s1", tmp_path))
    )


def test_uncertain_sections_are_next(server: Server, studies: Path) -> None:
    assert server.wait("scoring/")["status"] == "DONE"
    store = json.loads((studies / "datastore_v2.json").read_text())["objects"]
    scores = {name: item["image"]["info"].get("epistemic_entropy", 0) for name, item in store.items()}
    assert scores["damaged"] == 0
    assert all(score > 0 for name, score in scores.items() if name != "damaged")
    assert len(set(scores.values())) > 5
    # as the network sees the section: half as many pixels of 10 nm
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    image = parser.get_parsed_content("preprocessing")({"image": str(studies / "s1.png")})["image"]
    network = load_network(server.models / "model.pt")
    expected = dropout_uncertainty(network, resample(image.as_tensor()[None], (96, 96))[0])
    assert scores["s1"] == pytest.approx(expected, rel=1e-3)
    served = [server.ask("POST", "/activelearning/epistemic", json={})["id"] for _ in range(3)]
    assert served[0] == max(scores, key=scores.__getitem__)
    for number in (1, 2):
        rest = {name: score for name, score in scores.items() if name not in served[:number]}
        assert served[number] == select_query(rest, served[:number])
    assert server.ask("POST", "/activelearning/random", json={})["id"] in scores
