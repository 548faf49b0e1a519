/* SPDX-License-Identifier: Apache-2.0
 *
 * resize_near.h -- fn_resize() for pictures a little larger than the crop, quicker. */
#ifndef FN_RESIZE_NEAR_H
#define FN_RESIZE_NEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The crop that fn_resize() gives, if the picture has 160...255 pixels a side and the CPU has AVX2;
 * else false, and nothing is done. */
bool fn_resize_near(const uint8_t *rgb, size_t stride, int width, int height, uint8_t *ret_crop);

#endif
