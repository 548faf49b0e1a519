/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h -- the certificate that the process shows, exchangeable while it serves. The only file that
 * calls GnuTLS is tls.c; libmicrohttpd does the rest. */
#ifndef FN_TLS_H
#define FN_TLS_H

#include <stdint.h>

#include "engine/cleanup.h"
#include "engine/status.h"

struct fn_tls; /* opaque: a certificate chain and its key */

/* Read PEM files and check that they belong together. FN_IO, FN_USAGE. */
FN_MUST fn_status fn_tls_load(const char *certificate, const char *key, struct fn_tls **ret_tls,
                              struct fn_error *err);

/* Show `tls` (taken) in handshakes from now on. */
void fn_tls_use(struct fn_tls *tls);

/* UNIX time at which the certificate shown expires; 0 when none is. */
int64_t fn_tls_expires_s(void);

/* The gnutls_certificate_retrieve_function3 that gives handshakes what is shown, in the form in
 * which libmicrohttpd takes it. */
void *fn_tls_get_callback(void);

/* Of one that was not used. NULL is a no-op. */
void fn_tls_free(struct fn_tls *tls);
FN_DEFINE_CLEANUP(struct fn_tls *, fn_tls_free)

/* Free all that was ever used, when no handshake can come any more. */
void fn_tls_end(void);

#endif
