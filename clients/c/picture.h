/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.h -- a picture from inside: bytes, read whole before anything is sent, so that a request
 * can be repeated. */
#ifndef FNC_PICTURE_H
#define FNC_PICTURE_H

#include "clients/c/facenet_client.h"

struct facenet_picture {
    size_t size; /* > 0 */
    unsigned char bytes[];
};

#endif
