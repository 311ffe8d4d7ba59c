from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import ClassesToIndicesd

from scripts.transforms import RandPatchd

KEYS = ("image", "label")
PLAIN = {"rotate": False, "sampling": "uniform"}


def disc_section(radius: float = 10, size: tuple[int, int] = (200, 160), pixel_size: float = 5) -> dict:
    """A bright disc, labelled."""
    x, y = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    disc = ((x - 120) ** 2 + (y - 70) ** 2 <= radius**2)[None]
    meta = {"pixel_size": np.array([pixel_size, pixel_size])}
    item = {"image": MetaTensor(disc.float(), meta=meta), "label": MetaTensor(disc.to(torch.uint8), meta=meta)}
    return ClassesToIndicesd("label", indices_postfix="_classes", num_classes=2)(item)


def coordinates(size: tuple[int, int]) -> dict:
    """A section whose grey levels are positions."""
    x, y = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    image = MetaTensor((x + 1000.0 * y)[None], meta={"pixel_size": np.array([10.0, 10.0])})
    return {"image": image, "label": torch.zeros(1, *size)}


def test_without_changes_a_patch_is_a_piece_of_the_section() -> None:
    section = coordinates((50, 40))
    patch = RandPatchd(KEYS, 16, pixel_size=10, prob=0, **PLAIN).set_random_state(0)(section)["image"]
    x, y = round(patch[0, 0, 0].item() % 1000 * 2) / 2, patch[0, 0, 0].item() // 1000
    torch.testing.assert_close(patch.diff(dim=1), torch.ones(1, 15, 16), atol=2e-2, rtol=0)
    torch.testing.assert_close(patch.diff(dim=2), torch.full((1, 16, 15), 1000.0), atol=2e-2, rtol=1e-4)
    assert 0 <= x <= 50 - 16
    assert 0 <= y <= 40 - 16  # inside, where it fits


@pytest.mark.parametrize(("pixel_size", "scale"), [(5, 1.0), (10, 1.0), (20, 1.0), (10, 2.0), (10, 0.5)])
def test_structures_have_their_size_at_the_pixel_size_of_the_patch(pixel_size: float, scale: float) -> None:
    transform = RandPatchd(KEYS, 64, pixel_size=10, scale_range=(scale, scale)).set_random_state(1)
    areas = []
    while len(areas) < 8:
        patch = transform(disc_section(radius=160 / pixel_size / 2, pixel_size=pixel_size))
        if patch["label"].any() and not patch["label"][:, [0, -1]].any() and not patch["label"][..., [0, -1]].any():
            areas.append(patch["label"].sum().item())
            found = patch["image"] > 0.5
            assert (found == (patch["label"] > 0)).float().mean() > 0.995
    # mirrored beyond the border there may be two discs
    assert np.median(areas) == pytest.approx(np.pi * (8 * scale) ** 2, rel=0.08)


def test_turned_mirrored_and_bent_label_and_image_stay_together() -> None:
    transform = RandPatchd(KEYS, 64, pixel_size=5, elastic_magnitude_range=(4, 4), aspect=0.2).set_random_state(2)
    patches = [transform(disc_section(25)) for _ in range(20)]
    for patch in patches:
        assert patch["image"].shape == patch["label"].shape == (1, 64, 64)
        assert patch["label"].dtype == torch.uint8
        assert ((patch["image"] > 0.5) == (patch["label"] > 0)).float().mean() > 0.99
        assert set(patch) == {"image", "label"}


@pytest.mark.parametrize("size", [15, 16])
def test_what_is_not_deformed_is_cut_out_as_it_is(size: int) -> None:
    section = coordinates((50, 40))
    transform = RandPatchd(
        KEYS, size, pixel_size=10, prob=0, scale_range=(0.5, 2), elastic_magnitude_range=(3, 3), sampling="uniform"
    ).set_random_state(0)
    pixels, corners = set(section["image"].flatten().tolist()), set()
    for _ in range(40):
        patch = transform(section)["image"][0]
        assert len(set(patch.round(decimals=1).flatten().tolist()) & pixels) == size**2
        corners.add(tuple((patch[1:, 0] - patch[:-1, 0]).round().unique().tolist()))
    assert corners == {(1.0,), (-1.0,), (1000.0,), (-1000.0,)}  # turned by all multiples of 90 degrees


def test_balanced_patches_have_mitochondria_in_half_of_their_middles() -> None:
    transform = RandPatchd(KEYS, 16, pixel_size=5).set_random_state(3)
    middles = [transform(disc_section(6))["label"][0, 7:9, 7:9].any().item() for _ in range(200)]
    assert 0.4 < np.mean(middles) < 0.6
    uniform = RandPatchd(KEYS, 16, pixel_size=5, sampling="uniform").set_random_state(3)
    middles = [uniform(disc_section(6))["label"][0, 7:9, 7:9].any().item() for _ in range(200)]
    assert np.mean(middles) < 0.1


def test_the_grid_covers_the_section() -> None:
    transform = RandPatchd(KEYS, 32, pixel_size=10, rotate=False, sampling="grid").set_random_state(4)
    seen = np.zeros((50, 70), bool)
    corners = set()
    for _ in range(60):
        patch = transform(coordinates((50, 70)))["image"][0].round().long().numpy()
        seen[patch % 1000, patch // 1000] = True
        corners.add((int(patch[0, 0] % 1000), int(patch[0, 0] // 1000)))
    assert seen.all()
    assert corners == {(x, y) for x in (0, 18) for y in (0, 19, 38)}


def test_a_section_smaller_than_a_patch_is_mirrored() -> None:
    section = coordinates((20, 30))
    patch = RandPatchd(KEYS, 64, pixel_size=10, **PLAIN).set_random_state(5)(section)["image"][0]
    assert patch.min() > -0.01
    assert ((patch + 0.5) % 1000).max() < 20.1
    middle = patch[32 - 10 : 32 + 10, 32 - 15 : 32 + 15]
    torch.testing.assert_close(middle, section["image"][0].as_tensor(), atol=2e-2, rtol=1e-4)
    torch.testing.assert_close(patch[21], patch[22], atol=2e-2, rtol=1e-4)  # mirrored at the border


def test_equal_seeds_give_equal_patches() -> None:
    transform = RandPatchd(KEYS, 32, pixel_size=10, scale_range=(0.5, 2), elastic_magnitude_range=(0, 3))
    first, second, third = (transform.set_random_state(seed)(disc_section())["image"] for seed in (6, 6, 7))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, third)


def test_a_section_without_mitochondria_gives_patches() -> None:
    item = disc_section()
    item["label"] *= 0
    item = ClassesToIndicesd("label", indices_postfix="_classes", num_classes=2)(item)
    assert not RandPatchd(KEYS, 32, pixel_size=5).set_random_state(0)(item)["label"].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampling": "everywhere"}, "sampling must be one of balanced, uniform, grid, but got 'everywhere'"),
        ({"scale_range": (2, 0.5)}, "scale_range must be two factors"),
        ({"scale_range": (0, 1)}, "scale_range must be two factors"),
        ({"elastic_magnitude_range": (-1, 1)}, "elastic_magnitude_range must be"),
        ({"prob": 2}, "prob must be from 0 to 1, but got 2"),
        ({"spatial_size": 0}, "spatial_size and elastic_spacing must be at least 1"),
    ],
)
def test_faulty_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandPatchd(KEYS, **{"spatial_size": 8, **arguments})


@pytest.mark.parametrize("prob", [0, 1])
def test_what_is_not_known_stays_so(prob: float) -> None:
    """The label of a patch is not known where that of the section is not, and a class elsewhere."""
    section = disc_section()
    places = torch.arange(200.0).reshape(1, 200, 1).expand(1, 200, 160)
    section["label"][:, :120] = 255
    patch = RandPatchd(KEYS, 64, pixel_size=5, prob=prob, sampling="balanced").set_random_state(1)
    drawn = patch({**section, "image": MetaTensor(places, meta=section["image"].meta)})
    columns = drawn["image"][0]
    inside = (columns > 2) & (columns < 197)  # beyond the border it is mirrored
    assert set(drawn["label"].unique().tolist()) == {0, 1, 255}
    assert (drawn["label"][0] == 255)[inside & (columns < 118)].all()
    assert (drawn["label"][0] != 255)[inside & (columns > 122)].all()
