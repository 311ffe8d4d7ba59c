"""Single structures on an empty canvas, and the microscope on pictures of known content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from scripts.synthetic import organelles
from scripts.synthetic.canvas import Canvas, Shape, blob, tube
from scripts.synthetic.fields import TEXTURE_DEVIATION, cut, smooth_field, texture
from scripts.synthetic.imaging import Imaging, acquire
from scripts.synthetic.mitochondria import draw_mitochondrion, place_mitochondria
from scripts.synthetic.mixing import darken, depth_inside
from scripts.synthetic.organelles import Palette
from scripts.synthetic.styles import random_cells, random_mitochondria, random_palette
from scripts.synthetic.tissue import draw_cells


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def palette(rng) -> Palette:
    return random_palette(rng)


@pytest.fixture
def canvas(palette) -> Canvas:
    return Canvas((2000.0, 1600.0), 5.0, int(palette.cytoplasm))


def circle(radius: float = 300.0) -> Shape:
    return blob(np.random.default_rng(1), (1000.0, 800.0), radius, wobble=0.03)


DISTRACTORS = {
    "dense body": lambda c, r, p: organelles.draw_dense_body(c, r, p, circle()),
    "granule": lambda c, r, p: organelles.draw_granule(c, r, p, circle(), 0.5 * (p.membrane + p.cytoplasm)),
    "multivesicular body": lambda c, r, p: organelles.draw_multivesicular_body(c, r, p, circle()),
    "vacuole": lambda c, r, p: organelles.draw_vacuole(c, r, p, circle()),
    "droplet": lambda c, r, p: organelles.draw_droplet(c, r, p, circle()),
    "nucleus": lambda c, r, p: organelles.draw_nucleus(c, r, p, circle(600)),
    "vessel": lambda c, r, p: organelles.draw_vessel(c, r, p, circle(600), 100, 0.5),
    "erythrocyte": lambda c, r, p: organelles.draw_erythrocyte(c, r, p, circle(500)),
    "myelin": lambda c, r, p: organelles.draw_myelinated_axon(c, r, p, circle(600).outlines[0], 150, p.cytoplasm),
    "myelin debris": lambda c, r, p: organelles.draw_myelin_debris(c, r, p, circle(500)),
    "Golgi": lambda c, r, p: organelles.draw_golgi(c, r, p, (1000, 800), 500),
    "vesicles": lambda c, r, p: organelles.draw_vesicles(c, r, p, r.uniform(0, 1600, (50, 2)), 20),
    "microtubules": lambda c, r, p: organelles.draw_microtubules(c, r, p, (1000, 800), c.room()),
    "glycogen": lambda c, r, p: organelles.draw_glycogen(c, r, p, np.full_like(c.taken, 255), 50, 15),
    "collagen": lambda c, r, p: organelles.draw_collagen(c, r, p, np.full_like(c.taken, 255), 50),
    "reticulum": lambda c, r, p: organelles.draw_endoplasmic_reticulum(
        c, r, p, [np.array([[200.0, 200.0], [1500.0, 1000.0]])], 25, 10
    ),
}


@pytest.mark.parametrize("name", DISTRACTORS)
def test_distractors_are_drawn_and_not_labelled(name, canvas, rng, palette):
    before = canvas.grey.copy()
    DISTRACTORS[name](canvas, rng, palette)
    assert (canvas.grey != before).sum() > 200
    assert not canvas.label.any()


@pytest.mark.parametrize("seed", range(12))
def test_label_of_a_mitochondrion_is_its_area(seed, canvas, palette):
    rng = np.random.default_rng(seed)
    shape = circle(250)
    style = replace(random_mitochondria(rng, palette, "neuropil"), halo=0.0, fuzzy=0.0)
    before = canvas.grey.copy()
    draw_mitochondrion(canvas, rng, style, shape)
    assert canvas.label.sum() / 255 * 25 == pytest.approx(np.pi * 250**2, rel=0.1)
    outside = canvas.label == 0
    np.testing.assert_array_equal(canvas.grey[outside], before[outside])


def test_a_tube_is_as_wide_and_long_as_it_says(canvas):
    shape = tube(np.array([[500.0, 800.0], [1500.0, 800.0]]), 100.0)
    _, mask = canvas.window(shape)
    assert (mask > 0).sum() * 25 == pytest.approx(1000 * 200 + np.pi * 100**2, rel=0.05)


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (5, 3)])
def test_slivers_at_the_border_are_mixed_as_all_else(shape):
    """OpenCV takes a picture of four rows and one column for a scalar."""
    mask = np.full(shape, 255, np.uint8)
    mask[0, 0] = 0
    depth = depth_inside(mask, 2.0)
    np.testing.assert_allclose(depth, 2 * distance_transform_edt(mask), rtol=0.1)
    picture = np.full(shape, 200, np.uint8)
    darken(picture, mask, 49.6)
    np.testing.assert_array_equal(picture, np.where(mask, 50, 200))


def placed(canvas: Canvas, rng: np.random.Generator, palette: Palette, **style: float) -> list[np.ndarray]:
    """Masks of mitochondria, all of 100 nm and without frills but those of `style`."""
    plain = {"radius": 100.0, "spread": 0.0, "elongation": 1.0, "wobble": 0.0}
    plain |= {"donut": 0.0, "long": 0.0, "branched": 0.0, "clustered": 0.0}
    look = replace(random_mitochondria(rng, palette, "neuropil"), **plain | style)
    masks = []
    for shape in place_mitochondria(canvas, rng, look, area=2e5):
        masks.append(np.zeros(canvas.shape, np.uint8))
        shape.draw(masks[-1], (0, 0), canvas.pixel)
    return [mask for mask in masks if mask.any()]


def test_long_mitochondria_follow_the_process_that_holds_them(canvas, rng, palette):
    y, x = np.mgrid[: canvas.coarse_shape[0], : canvas.coarse_shape[1]] * canvas.coarse
    centre = 800 + 400 * np.sin(x / 500)  # a process of 300 nm; straight ones of that length do not fit
    canvas.taken[np.abs(y - centre) * np.cos(np.arctan(0.8 * np.cos(x / 500))) > 150] = 255
    outside = canvas.refine(canvas.taken) > 0
    masks = placed(canvas, rng, palette, elongation=6.0)
    assert all(not mask[outside].any() for mask in masks)
    assert max(np.ptp(np.nonzero(mask)[1]) for mask in masks) * canvas.pixel > 700


def test_mitochondria_of_a_cluster_are_close_and_do_not_touch(rng, palette):
    def distances(clustered: float) -> list[float]:
        found = []
        for _ in range(4):
            masks = placed(Canvas((3000.0, 3000.0), 5.0, 200), rng, palette, clustered=clustered)
            others = [distance_transform_edt(mask == 0) * 5.0 for mask in masks]
            found += [
                min(others[j][masks[i] > 0].min() for j in range(len(masks)) if j != i) for i in range(len(masks))
            ]
        return found

    apart, close = distances(0.0), distances(1.0)
    assert min(close) > 5
    assert np.median(close) < 60 < np.median(apart)


def test_taken_room_is_not_given_twice(canvas, rng):
    assert canvas.claim(circle(200))
    assert not canvas.claim(circle(50))
    places = canvas.places(rng, 200, 60)
    assert len(places) == 200
    assert np.hypot(*(places - (1000, 800)).T).min() > 220
    assert not canvas.claim(Shape(outlines=[circle().outlines[0] + 5000]))  # outside of the section
    canvas.taken[:] = 255
    assert len(canvas.places(rng, 10, 5)) == 0


@pytest.mark.parametrize("seed", range(10))
def test_membranes_are_darker_than_cytoplasm(seed):
    rng = np.random.default_rng(seed)
    palette = random_palette(rng)
    field = replace(random_cells(rng, palette, "neuropil"), dark=0.0, grouped=0.3)
    canvas = Canvas((3000.0, 3000.0), 5.0, int(palette.outside))
    cells = draw_cells(canvas, rng, field)
    border = canvas.refine(np.clip(cells.border, 0, 255).astype(np.uint8))
    inside = canvas.refine(canvas.taken) == 0
    # the membrane is beside the gap
    membrane = min(canvas.grey[(border >= low) & (border < low + 10)].mean() for low in (0, 10))
    assert membrane < np.median(canvas.grey[(border > 60) & inside]) - 8


def test_contrast_is_never_inverted():
    step = np.repeat(np.repeat(np.array([[60, 110, 160, 210]], np.uint8), 48, axis=1), 128, axis=0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        imaging = replace(Imaging.random(rng), shading=0.0, fold=False, precipitate=0.0, holes=0.0, knife_marks=0)
        picture, _ = acquire(step, np.zeros_like(step), imaging, rng)
        means = [picture[:, start + 12 : start + 36].mean() for start in range(0, 192, 48)]
        assert means == sorted(means)
        assert means[-1] - means[0] > 5


def test_under_a_fold_there_is_no_truth():
    ideal, truth = np.full((256, 256), 180, np.uint8), np.ones((256, 256), np.uint8)
    rng = np.random.default_rng(0)
    imaging = replace(
        Imaging.random(rng), fold=True, shading=0.0, precipitate=0.0, holes=0.0, knife_marks=0, chatter=0.0, noise=0.0,
        slow_noise=0.0, line_noise=0.0, streaks=0.0, jpeg=0, blur=0.5, sharpening=0.0, low=20.0, high=200.0,
    )  # fmt: skip
    picture, label = acquire(ideal, truth, imaging, rng)
    assert truth.all()  # the argument is left as it is
    assert 0.002 < np.mean(label == 0) < 0.3
    assert picture[label == 0].mean() < picture[label == 1].mean() - 30


@pytest.mark.parametrize("name", ["grain", "cloud", "labyrinth", "lamellae"])
def test_textures_are_periodic_noise(name):
    field = texture(name).astype(float)
    assert field.mean() == pytest.approx(128, abs=3)
    assert field.std() == pytest.approx(TEXTURE_DEVIATION, rel=0.1)
    across_border = np.abs(field[0] - field[-1]).mean()
    assert across_border < 1.5 * np.abs(np.diff(field, axis=0)).mean()


@pytest.mark.parametrize("shape", [(40, 70), (600, 500)])
def test_cuts_differ_and_repeat(shape):
    first, other, again = (cut("grain", np.random.default_rng(seed), shape, 1.5) for seed in (0, 1, 0))
    assert first.shape == shape
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.2
    np.testing.assert_array_equal(first, again)


def test_lamellae_run_along_the_given_angle(rng):
    picture = cut("lamellae", rng, (300, 300), 1.0, 0.0).astype(float)
    along, across = np.abs(np.diff(picture, axis=1)).mean(), np.abs(np.diff(picture, axis=0)).mean()
    assert along < 0.5 * across
    turned = cut("lamellae", rng, (300, 300), 1.0, np.pi / 2).astype(float)
    assert np.abs(np.diff(turned, axis=0)).mean() < 0.5 * np.abs(np.diff(turned, axis=1)).mean()


def test_smooth_fields_have_unit_variance(rng):
    fields = [smooth_field(rng, (200, 300), 20.0) for _ in range(5)]
    assert np.std(fields) == pytest.approx(1, abs=0.25)
    assert np.abs(np.diff(fields[0], axis=0)).mean() < 0.1
