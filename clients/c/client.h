/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h -- the handle from inside. */
#ifndef FNC_CLIENT_H
#define FNC_CLIENT_H

#include "clients/c/exchange.h"
#include "clients/c/facenet_client.h"

struct facenet_client {
    struct fnc_transport *transport; /* owned */
    struct fnc_policy policy;
};

#endif
