/* SPDX-License-Identifier: Apache-2.0
 *
 * version.h -- the version that facenetd prints and answers. */
#ifndef FN_VERSION_H
#define FN_VERSION_H

#define FN_VERSION "0.1.0"

#endif
