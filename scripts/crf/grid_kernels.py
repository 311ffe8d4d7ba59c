"""The loops of the grid method over pixels and cells, compiled by Numba.

Each function works on a range of rows and lets Python's lock go, so that threads share a section without Numba's own
thread pool, which the threads of a server may not enter together. No sum depends on where the ranges are cut.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from scripts.compilation import compiled

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}  # NaN and infinity keep their meaning
_ONE = np.uintp(1)  # an index without a sign cannot count from the end, which would have to be tested for


_compiled = partial(compiled, fastmath=_FASTMATH)


@_compiled(
    "void(f4[:,::1], f4[:,::1], f4[:,::1], UniTuple(i8, 4), i8, f4, f4[:,:,::1], f4[:,:,::1], i8, i8)",
)
def splat(image, field, norm, window, cell, scale, lower, upper, start, stop):
    """Distribute `field` times `norm` over the grid: the transpose of trilinear interpolation.

    Args:
        image: (W, H), grey levels in [0, 1].
        field: (W, H).
        norm: (W, H).
        window: first and last x, first and last y (exclusive) of the pixels; the grid begins at the first.
        cell: pixels from one grid point to the next.
        scale: grey cells from 0 to 1.
        lower: (X, Y, G), what the row of cells x adds to its grid points x.
        upper: (X, Y, G), what the row of cells x adds to its grid points x + 1.
        start: first row of cells.
        stop: row of cells after the last.
    """
    x0, x1, y0, y1 = window
    points, bins = lower.shape[1:]
    near = np.empty(bins, np.float32)
    far = np.empty(bins, np.float32)
    one = np.float32(1)
    along = np.arange(cell).astype(np.float32) / np.float32(cell)
    for row in range(start, stop):
        lower[row] = 0
        upper[row] = 0
        for column in range(points - 1):
            begin = y0 + column * cell
            for x in range(x0 + row * cell, min(x0 + (row + 1) * cell, x1)):
                near[:] = 0
                far[:] = 0
                end = min(begin + cell, y1)
                levels = image[x, begin:end]
                values = field[x, begin:end]
                norms = norm[x, begin:end]
                for i in range(len(levels)):
                    value = values[i] * norms[i]
                    grey = levels[i] * scale
                    b = np.uintp(np.int32(grey))
                    bright = value * (grey - np.float32(np.int32(grey)))
                    dark = value - bright
                    right = along[i]
                    left = one - right
                    near[b] += left * dark
                    near[b + _ONE] += left * bright
                    far[b] += right * dark
                    far[b + _ONE] += right * bright
                down = along[x - x0 - row * cell]
                up = one - down
                for b in range(bins):
                    lower[row, column, b] += up * near[b]
                    lower[row, column + 1, b] += up * far[b]
                    upper[row, column, b] += down * near[b]
                    upper[row, column + 1, b] += down * far[b]


@_compiled("void(f4[:,:,::1], f4[::1], f4[:,:,::1], i8, i8)")
def blur_down(grid, taps, out, start, stop):
    """Convolve along the first axis, grid points `start` to `stop`; outside is zero.

    Args:
        grid: (X, Y, G).
        taps: the middle of a symmetric kernel and what follows.
        out: (X, Y, G).
        start: first row of grid points.
        stop: row of grid points after the last.
    """
    rows, points, bins = grid.shape
    size = points * bins
    source = grid.reshape(rows, size)
    target = out.reshape(rows, size)
    for x in range(start, stop):
        for i in range(size):
            target[x, i] = taps[0] * source[x, i]
        for k in range(1, len(taps)):
            if x >= k:
                for i in range(size):
                    target[x, i] += taps[k] * source[x - k, i]
            if x + k < rows:
                for i in range(size):
                    target[x, i] += taps[k] * source[x + k, i]


@_compiled("void(f4[:,:,::1], f4[::1], f4[::1], i8, i8)")
def blur_across(grid, taps, grey_taps, start, stop):
    """Convolve in place along the second axis with `taps` and along the third with `grey_taps`.

    Args:
        grid: (X, Y, G).
        taps: as for `blur_down`.
        grey_taps: the same for the grey levels.
        start: first row of grid points.
        stop: row of grid points after the last.
    """
    points, bins = grid.shape[1:]
    reach = (len(taps) - 1) * bins
    grey_reach = len(grey_taps) - 1
    size = points * bins
    padded = np.zeros(size + 2 * reach, np.float32)
    row = np.zeros(bins + 2 * grey_reach, np.float32)
    for x in range(start, stop):
        line = grid[x].reshape(size)
        padded[reach : reach + size] = line
        for i in range(size):
            line[i] *= taps[0]
        for k in range(1, len(taps)):
            below = padded[reach - k * bins : reach - k * bins + size]
            above = padded[reach + k * bins : reach + k * bins + size]
            for i in range(size):
                line[i] += taps[k] * (below[i] + above[i])
        for y in range(points):
            cells = line[y * bins : (y + 1) * bins]
            row[grey_reach : grey_reach + bins] = cells
            for b in range(bins):
                cells[b] *= grey_taps[0]
            for k in range(1, grey_reach + 1):
                below = row[grey_reach - k : grey_reach - k + bins]
                above = row[grey_reach + k : grey_reach + k + bins]
                for b in range(bins):
                    cells[b] += grey_taps[k] * (below[b] + above[b])


@_compiled(
    "void(f4[:,::1], f4[:,:,::1], f4[:,::1], f4, UniTuple(i8, 2), UniTuple(i8, 4), i8, f4, f4[:,::1], i8, i8)",
)
def interpolate(image, grid, norm, weight, origin, window, cell, scale, out, start, stop):
    """Add `weight` times `norm` times the grid at the pixels, interpolated trilinearly, to `out`.

    Args:
        image: (W, H), grey levels in [0, 1].
        grid: (X, Y, G).
        norm: (W, H).
        weight: of the kernel.
        origin: x and y of the first grid point.
        window: first and last x, first and last y (exclusive) of the pixels; the first ones lie on grid points.
        cell: pixels from one grid point to the next.
        scale: grey cells from 0 to 1.
        out: (W, H).
        start: first row of pixels, from the first of the window.
        stop: row of pixels after the last.
    """
    x0, _, y0, y1 = window
    bins = grid.shape[2]
    points = (y1 - y0 + cell - 1) // cell + 1
    first = (y0 - origin[1]) // cell
    dark = np.empty((points, bins), np.float32)
    one = np.float32(1)
    along = np.arange(cell).astype(np.float32) / np.float32(cell)
    for x in range(x0 + start, x0 + stop):
        row = (x - origin[0]) // cell
        down = along[(x - origin[0]) % cell]
        for column in range(points):
            for b in range(bins):
                dark[column, b] = (one - down) * grid[row, first + column, b] + down * grid[row + 1, first + column, b]
        for column in range(points - 1):
            near = dark[column]
            far = dark[column + 1]
            begin = y0 + column * cell
            end = min(begin + cell, y1)
            levels = image[x, begin:end]
            norms = norm[x, begin:end]
            target = out[x, begin:end]
            for i in range(len(levels)):
                grey = levels[i] * scale
                b = np.uintp(np.int32(grey))
                share = grey - np.float32(np.int32(grey))
                right = along[i]
                low = near[b] + right * (far[b] - near[b])
                high = near[b + _ONE] + right * (far[b + _ONE] - near[b + _ONE])
                target[i] += weight * norms[i] * (low + share * (high - low))


@_compiled("void(f4[:,::1], f4[::1], f4[::1], f4[::1], f4, f4[:,::1], f4[:,::1], i8, i8)")
def smooth(field, taps, norm_down, norm_across, weight, logit, out, start, stop):
    """Set `out` to `logit` plus `weight` times the normalised convolution of `field`.

    Args:
        field: (W, H).
        taps: the middle of a symmetric kernel and what follows.
        norm_down: (W,).
        norm_across: (H,); the norm of a pixel is the product of both.
        weight: of the kernel.
        logit: (W, H).
        out: (W, H).
        start: first row.
        stop: row after the last.
    """
    width, height = field.shape
    reach = len(taps) - 1
    padded = np.zeros(height + 2 * reach, np.float32)
    middle = padded[reach : reach + height]
    line = np.empty(height, np.float32)
    for x in range(start, stop):
        share = taps[0] * norm_down[x]
        for y in range(height):
            middle[y] = share * field[x, y]
        for k in range(1, reach + 1):
            # outside, a row that exists counts with weight 0
            above = max(x - k, 0)
            below = min(x + k, width - 1)
            share = taps[k] * norm_down[above] if x >= k else np.float32(0)
            other = taps[k] * norm_down[below] if x + k < width else np.float32(0)
            for y in range(height):
                middle[y] += share * field[above, y] + other * field[below, y]
        for y in range(height):
            middle[y] *= norm_across[y]
        for y in range(height):
            line[y] = taps[0] * middle[y]
        for k in range(1, reach + 1):
            left = padded[reach - k : reach - k + height]
            right = padded[reach + k : reach + k + height]
            for y in range(height):
                line[y] += taps[k] * (left[y] + right[y])
        share = weight * norm_down[x]
        for y in range(height):
            out[x, y] = logit[x, y] + share * norm_across[y] * line[y]


@_compiled("void(f4[:,::1], i8, i8)")
def tanh_half(field, start, stop):
    """Replace log-odds d by tanh(d / 2) in place, to 3e-7, by Eigen's rational approximation.

    Args:
        field: (W, H).
        start: first row.
        stop: row after the last.
    """
    limit = np.float32(7.90531110763549805)
    for x in range(start, stop):
        for y in range(field.shape[1]):
            t = min(max(np.float32(0.5) * field[x, y], -limit), limit)
            s = t * t
            p = s * np.float32(-2.76076847742355e-16) + np.float32(2.00018790482477e-13)
            p = s * p + np.float32(-8.60467152213735e-11)
            p = s * p + np.float32(5.12229709037114e-08)
            p = s * p + np.float32(1.48572235717979e-05)
            p = s * p + np.float32(6.37261928875436e-04)
            p = s * p + np.float32(4.89352455891786e-03)
            q = s * np.float32(1.19825839466702e-06) + np.float32(1.18534705686654e-04)
            q = s * q + np.float32(2.26843463243900e-03)
            q = s * q + np.float32(4.89352518554385e-03)
            field[x, y] = t * p / q
