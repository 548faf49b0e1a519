/* SPDX-License-Identifier: Apache-2.0
 *
 * exif.h -- the orientation of a picture from its EXIF block, and nothing else of it.
 *
 * EXIF is optional decoration written by thousands of programs, so a block that is damaged never
 * spoils the picture: it only means that nobody turned the camera. */
#ifndef FN_EXIF_H
#define FN_EXIF_H

#include <stddef.h>

/* Orientation 1...8 of a TIFF-structured EXIF block, in either byte order, with or without the
 * "Exif\0\0" that JPEG puts before it. 1 when it is absent, damaged or outside 1...8.
 * bytes: borrowed; NULL is allowed when size is 0. */
int fn_exif_orientation(const void *bytes, size_t size);

#endif
