# SPDX-License-Identifier: Apache-2.0
"""Changes a batch of faces as cameras and detectors do, on the device that trains.

Everything drawn for a step comes from (seed, step) alone, so a resumed run sees what an
uninterrupted one would have.
"""

import torch
from torch.nn import functional

SHIFT = 0.06  # of the side, each way
SCALE = 0.08
TURN = 0.10  # radians
BRIGHTNESS = 0.15  # of the range
CONTRAST = 0.25
COLOUR = 0.06  # gain of a channel
GREY = 0.15  # share of pictures
BLUR = 0.15
BLUR_SIGMA = (0.4, 1.6)  # pixels
BLUR_RADIUS = 4
LUMA = (0.299, 0.587, 0.114)


def _draw(seed, step, n):
    """Thirteen numbers in 0...1 a picture, on the CPU, where generators agree everywhere."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    return torch.rand(n, 13, generator=generator)


def _warp(x, u):
    """Shift, scale, turn and flip in one resampling; beyond the edge the edge goes on."""
    signed = 2 * u - 1
    turn, scale = TURN * signed[:, 0], 1 + SCALE * signed[:, 1]
    mirror = torch.where(u[:, 2] < 0.5, -1.0, 1.0)
    cos, sin = scale * turn.cos(), scale * turn.sin()
    shift = 2 * SHIFT * signed[:, 3:5]
    rows = [
        torch.stack([mirror * cos, -sin, shift[:, 0]], 1),
        torch.stack([mirror * sin, cos, shift[:, 1]], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1).to(x), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _blur(x, u):
    """A Gaussian of its own width for every picture chosen, as one grouped convolution."""
    chosen = (u[:, 0] < BLUR).nonzero().flatten()
    if len(chosen) == 0:
        return x
    low, high = BLUR_SIGMA
    sigma = low + (high - low) * u[chosen, 1]
    at = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    kernel = torch.exp(-(at**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(x).repeat_interleave(3, 0)
    height, width = x.shape[2:]
    some = x[chosen.to(x.device)].reshape(1, -1, height, width)
    for shape, pad in (((-1, 1, 1, 9), (4, 4, 0, 0)), ((-1, 1, 9, 1), (0, 0, 4, 4))):
        some = functional.pad(some, pad, mode="replicate")
        some = functional.conv2d(some, kernel.reshape(shape), groups=kernel.shape[0])
    return x.index_copy(0, chosen.to(x.device), some.reshape(-1, 3, height, width))


def _light(x, u):
    """Contrast about the middle, brightness, a gain for each colour."""
    signed = (2 * u - 1).to(x)
    gain = torch.pow(1 + CONTRAST, signed[:, 0])[:, None, None, None]
    gain = gain * (1 + COLOUR * signed[:, 2:5])[:, :, None, None]
    return (x - 127.5) * gain + 127.5 + 255 * BRIGHTNESS * signed[:, 1, None, None, None]


def _grey(x, u):
    luma = (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return torch.where((u < GREY).to(x.device)[:, None, None, None], luma, x)


def augment(pixels, seed, step):
    """uint8 [n][3][160][160] to float 0...255, every picture changed in its own way."""
    u = _draw(seed, step, len(pixels))
    x = _warp(pixels.float(), u[:, 0:5])
    x = _blur(x, u[:, 5:7])
    x = _grey(_light(x, u[:, 7:12]), u[:, 12])
    return x.clamp(0, 255)
