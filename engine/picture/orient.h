/* SPDX-License-Identifier: Apache-2.0
 *
 * orient.h -- turn a decoded picture upright by its EXIF orientation. */
#ifndef FN_ORIENT_H
#define FN_ORIENT_H

#include "engine/picture/picture.h"

/* Move the pixels of picture->rgb as picture->orientation (1...8) asks; width and height, full ones
 * included, change places for 5...8. 1 costs nothing, 2...4 work in place, 5...8 need a second
 * buffer: FN_NO_MEMORY leaves the picture as it was. */
FN_MUST fn_status fn_orient_upright(struct fn_picture *picture, struct fn_error *err);

#endif
