from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, HistogramNormalize
from numpy.typing import NDArray

from scripts.grey_levels import equalize, stretch
from scripts.io import find_sections, load_sections, read_section, write_section
from scripts.phantom import PhantomTissue, acquire
from scripts.transforms import BinarizeLabeld, CropRegiond, EqualizeSectiond, LoadSectiond


@pytest.fixture(scope="module")
def tissue() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    section, label = PhantomTissue(5, (256, 200), 1).section(0)
    return acquire(section, np.random.default_rng(0)), label.astype(np.uint8)


@pytest.fixture
def item(tmp_path: Path, tissue: tuple) -> dict:
    """A section with a white margin of 80 columns, and its label, with mitochondria in tissue only."""
    for name, pixels, fill in (("image", tissue[0], 255), ("label", 255 * tissue[1], 0)):
        pixels = pixels.copy()
        pixels[:80] = fill
        write_section(tmp_path / f"{name}.png", pixels)
    return {"image": str(tmp_path / "image.png"), "label": str(tmp_path / "label.png"), "page": 0}


@pytest.mark.parametrize("method", ["tissue", "section", "none"])
@pytest.mark.parametrize("shape", [(256, 200), (20, 30)])
def test_a_constant_section_has_no_tissue(method: str, shape: tuple[int, int]) -> None:
    result = EqualizeSectiond("image", method=method)({"image": torch.full((1, *shape), 7, dtype=torch.uint8)})
    assert not result["tissue"].any()
    assert result["image"].dtype == torch.float32
    assert torch.isfinite(result["image"]).all()


@pytest.mark.parametrize("method", ["tissue", "section", "none"])
def test_a_blank_section_has_no_tissue(method: str) -> None:
    image = torch.zeros((1, 256, 200), dtype=torch.uint8)
    image[0, 7, 9] = 77
    result = EqualizeSectiond("image", method=method)({"image": image})
    assert not result["tissue"].any()
    assert (result["image"] == 0.5).all()


def test_margin_is_mirrored_tissue_and_known(item: dict, tissue: tuple) -> None:
    result = Compose([LoadSectiond("image"), EqualizeSectiond("image")])(item)
    image, mask = result["image"], result["tissue"]
    assert isinstance(image, MetaTensor)
    assert isinstance(mask, MetaTensor)
    assert image.meta["filename_or_obj"] == mask.meta["filename_or_obj"] == item["image"]
    assert (image.dtype, mask.dtype) == (torch.float32, torch.uint8)
    assert image.shape == mask.shape == (1, 256, 200)
    edge = int(mask[0].any(dim=1).int().argmax())
    assert 80 <= edge <= 84
    assert mask[0, edge:].all()
    np.testing.assert_array_equal(image[0, edge:].numpy(), equalize(tissue[0][edge:]))
    np.testing.assert_array_equal(image[0, :edge].numpy(), image[0, edge + 1 : 2 * edge + 1].flip(0).numpy())


def test_labels_that_are_trained_on_are_mirrored_too(item: dict) -> None:
    both = ["image", "label"]
    transform = EqualizeSectiond("image", tissue_key=None, fill_keys="label")
    result = Compose([LoadSectiond(both), BinarizeLabeld("label"), transform])(item)
    assert "tissue" not in result
    label = result["label"][0].numpy()
    assert label.dtype == np.uint8
    assert label[:80].any()
    edge = next(e for e in range(80, 85) if np.array_equal(label[:e], label[e + 1 : 2 * e + 1][::-1]))
    np.testing.assert_array_equal(label[edge:], read_section(item["label"])[edge:] > 0)
    kept = Compose([LoadSectiond(both), BinarizeLabeld("label"), EqualizeSectiond("image")])(item)["label"]
    assert not kept[0, :80].any()


def test_the_other_methods_are_those_of_the_paper(item: dict) -> None:
    pixels = read_section(item["image"])
    expected = {
        "section": HistogramNormalize(num_bins=4096, min=0, max=1)(pixels.astype(np.float32)).numpy(),
        "none": stretch(pixels),
    }
    for method, levels in expected.items():
        result = Compose([LoadSectiond("image"), EqualizeSectiond("image", method)])(item)
        np.testing.assert_array_equal(result["image"][0].numpy(), levels)
        assert result["tissue"].all()


def test_wrong_settings() -> None:
    for method in ("sections", True, None):
        with pytest.raises(ValueError, match=f"method must be one of tissue, section, none, but got {method!r}"):
            EqualizeSectiond("image", method)
    with pytest.raises(ValueError, match="clip must be two increasing quantiles"):
        EqualizeSectiond("image", clip=(0.9, 0.1))
    with pytest.raises(ValueError, match="keys must be one section"):
        EqualizeSectiond(["image", "label"])


def test_sections_with_and_without_a_mask_go_through_a_data_loader(tmp_path: Path, tissue: tuple) -> None:
    """As a registration leaves them: what has no source is drawn from the grey levels of the section."""
    valid = np.zeros(tissue[0].shape, np.uint8)
    valid[50:, 9:] = 255
    noise = np.random.default_rng(0).choice(tissue[0].ravel(), tissue[0].shape)
    write_section(tmp_path / "images" / "a.tif", np.where(valid > 0, tissue[0], noise))
    write_section(tmp_path / "images" / "b.tif", tissue[0])
    write_section(tmp_path / "valid" / "a.png", valid, result=True)
    sections = find_sections(tmp_path / "images")
    assert [section.get("valid") for section in sections] == [str(tmp_path / "valid" / "a.png"), None]
    dataset = Dataset(sections, Compose([LoadSectiond("image"), EqualizeSectiond("image")]))
    first, second = DataLoader(dataset, batch_size=1)
    np.testing.assert_array_equal(first["tissue"][0, 0].numpy(), valid > 0)
    np.testing.assert_array_equal(first["image"][0, 0].numpy()[valid > 0], equalize(tissue[0], valid > 0)[valid > 0])
    assert second["tissue"].all()
    (batch,) = DataLoader(dataset, batch_size=2)
    assert batch["image"].shape == (2, 1, 256, 200)


def test_a_mask_that_does_not_fit(tmp_path: Path, tissue: tuple) -> None:
    write_section(tmp_path / "images" / "a.tif", tissue[0])
    write_section(tmp_path / "labels" / "a.png", 255 * tissue[1])
    write_section(tmp_path / "valid" / "a.png", np.full((256, 199), 255, np.uint8), result=True)
    (tmp_path / "list.json").write_text('{"test": [{"image": "images/a.tif", "label": "labels/a.png"}]}')
    message = r"images/a.tif is 256x200 pixels .* its valid mask .*valid/a.png is 256x199"
    with pytest.raises(ValueError, match=message):
        find_sections(tmp_path / "images")
    with pytest.raises(ValueError, match=message):
        load_sections(tmp_path / "list.json", "test")
    item = {"image": tmp_path / "images" / "a.tif", "valid": tmp_path / "valid" / "a.png"}
    with pytest.raises(ValueError, match=r"a.tif: has 256x200 pixels, its valid mask .*a.png 256x199"):
        Compose([LoadSectiond("image")])(item) and EqualizeSectiond("image")(LoadSectiond("image")(item))


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int32", "float32", "float64"])
def test_pixel_types_go_through_all_that_is_done_to_sections(tmp_path: Path, tissue: tuple, dtype: str) -> None:
    pixels = tissue[0].astype(dtype) + np.dtype(dtype).type(1000)
    write_section(tmp_path / "a.tif", pixels)
    write_section(tmp_path / "label.png", 255 * tissue[1])
    items = [{"image": tmp_path / "a.tif", "label": tmp_path / "label.png", "region": [10, 20, 90, 120]}] * 2
    keys = ["image", "label"]
    transforms = [
        LoadSectiond(keys),
        BinarizeLabeld("label"),
        EqualizeSectiond("image"),
        CropRegiond([*keys, "tissue"]),
    ]
    (batch,) = DataLoader(Dataset(items, Compose(transforms)), batch_size=2)
    assert batch["image"].shape == batch["tissue"].shape == batch["label"].shape == (2, 1, 80, 100)
    expected = equalize(tissue[0])[10:90, 20:120]
    np.testing.assert_allclose(batch["image"][0, 0].numpy(), expected, atol=0.001)
