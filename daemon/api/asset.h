/* SPDX-License-Identifier: Apache-2.0
 *
 * asset.h -- files that the daemon carries and serves as they are: daemon/page/. */
#ifndef FN_ASSET_H
#define FN_ASSET_H

#include <stddef.h>

struct fn_asset {
    const char *name; /* "openapi.json" */
    const char *etag; /* quoted, from the content's SHA-256 */
    const unsigned char *bytes;
    size_t size;
};

/* Made by scripts/embed-assets.sh; ends with a NULL name. */
extern const struct fn_asset fn_assets[];

#endif
