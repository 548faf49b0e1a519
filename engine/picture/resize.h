/* SPDX-License-Identifier: Apache-2.0
 *
 * resize.h -- stretch a rectangle of pixels to the crop, in exact integers.
 *
 * Each axis on its own, n source pixels to 160:
 *   n >= 160  area coverage: source pixel i covers [160i, 160(i+1)), output pixel j covers
 *             [nj, n(j+1)); a weight is the length of their overlap; weights sum to d = n.
 *   n < 160   linear with half-pixel centres: output j lies at t = (2j+1)n - 160 in units of 1/320
 *             source pixel; i = floor(t / 320); pixels i and i+1, held inside 0...n-1, weigh
 *             320 - (t - 320i) and t - 320i; weights sum to d = 320.
 * Both axes together, one division: value = (sum of wy * wx * p + D/2) / D, D = dy * dx, both
 * divisions rounding down. 160 to 160 is a copy. */
#ifndef FN_RESIZE_H
#define FN_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/network.h"
#include "engine/status.h"

/* rgb: [height] rows of [width][3], `stride` bytes apart, borrowed; 1...65535 a side.
 * ret_crop: [160][160][3]. Needs memory for two rows of 32-bit sums. */
FN_MUST fn_status fn_resize(const uint8_t *rgb, size_t stride, int width, int height,
                            uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err);

/* The same without instructions that a CPU may lack; the same bits. For tests on CPUs that have
 * them. */
FN_MUST fn_status fn_resize_plain(const uint8_t *rgb, size_t stride, int width, int height,
                                  uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err);

#endif
