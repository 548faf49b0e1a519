/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.c -- see tls.h.
 *
 * libmicrohttpd 0.9.75 fixes its own certificate at start, but takes a callback that is asked in
 * every handshake; nothing of ours comes with the question, so what is shown is kept here, one for
 * the process. A handshake borrows chain and key for as long as it likes: so what was shown once is
 * kept to the end. That is some kilobytes for each renewal; the same files read again add nothing.
 */
#include "daemon/http/tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/file.h"
#include "engine/sha256.h"

#define MAX_FILE  ((size_t)1 << 20)
#define MAX_CHAIN 16

struct fn_tls {
    struct fn_tls *next; /* used before it */
    gnutls_pcert_st chain[MAX_CHAIN];
    unsigned n_chain;
    gnutls_privkey_t key;
    int64_t expires_s;
    char digest[FN_SHA256_HEX_SIZE]; /* of both files */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fn_tls *shown; /* guarded by lock; the others hang on it */

static fn_status fail(struct fn_error *err, const char *path, int problem) {
    return fn_fail(err, FN_USAGE, "%s: %s", path, gnutls_strerror(problem));
}

/* Whether they belong together is asked of the function that servers usually load them with. */
static fn_status check_pair(const char *certificate, const gnutls_datum_t *chain,
                            const gnutls_datum_t *key, struct fn_error *err) {
    gnutls_certificate_credentials_t credentials;
    int problem = gnutls_certificate_allocate_credentials(&credentials);
    if (problem < 0) return fail(err, certificate, problem);
    problem = gnutls_certificate_set_x509_key_mem(credentials, chain, key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return problem < 0 ? fail(err, certificate, problem) : FN_OK;
}

static int64_t read_expiry(const gnutls_pcert_st *certificate) {
    gnutls_x509_crt_t x509;
    if (gnutls_pcert_export_x509((gnutls_pcert_st *)(uintptr_t)certificate, &x509) < 0) return 0;
    int64_t expires = (int64_t)gnutls_x509_crt_get_expiration_time(x509);
    gnutls_x509_crt_deinit(x509);
    return expires;
}

static fn_status import(struct fn_tls *tls, const char *certificate, const char *key_path,
                        const gnutls_datum_t *chain, const gnutls_datum_t *key,
                        struct fn_error *err) {
    unsigned n = MAX_CHAIN;
    int problem = gnutls_pcert_list_import_x509_raw(tls->chain, &n, chain, GNUTLS_X509_FMT_PEM, 0);
    if (problem < 0) return fail(err, certificate, problem);
    tls->n_chain = n;
    tls->expires_s = read_expiry(&tls->chain[0]);
    problem = gnutls_privkey_init(&tls->key);
    if (problem < 0) return fail(err, key_path, problem);
    problem = gnutls_privkey_import_x509_raw(tls->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    return problem < 0 ? fail(err, key_path, problem) : FN_OK;
}

static fn_status digest_both(struct fn_tls *tls, const gnutls_datum_t *chain,
                             const gnutls_datum_t *key, struct fn_error *err) {
    struct fn_sha256 *sha = fn_sha256_new();
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "no memory for a certificate");
    fn_sha256_add(sha, chain->data, chain->size);
    fn_sha256_add(sha, "", 1);
    fn_sha256_add(sha, key->data, key->size);
    fn_sha256_finish(sha, tls->digest);
    return FN_OK;
}

/* The key's bytes do not stay behind in the heap. */
static void wipe(uint8_t *bytes, size_t size) {
    if (bytes) explicit_bzero(bytes, size);
}

fn_status fn_tls_load(const char *certificate, const char *key_path, struct fn_tls **ret_tls,
                      struct fn_error *err) {
    FN_CLEANUP(fn_tls_free) struct fn_tls *tls = calloc(1, sizeof *tls);
    FN_CLEANUP_FREE uint8_t *chain_bytes = NULL;
    FN_CLEANUP_FREE uint8_t *key_bytes = NULL;
    size_t chain_size = 0, key_size = 0;
    if (!tls) return fn_fail(err, FN_NO_MEMORY, "no memory for a certificate");
    fn_status status = fn_file_read(certificate, MAX_FILE, &chain_bytes, &chain_size, err);
    if (status == FN_OK) status = fn_file_read(key_path, MAX_FILE, &key_bytes, &key_size, err);
    if (status != FN_OK) return status;
    const gnutls_datum_t chain = {chain_bytes, (unsigned)chain_size};
    const gnutls_datum_t key = {key_bytes, (unsigned)key_size};
    status = check_pair(certificate, &chain, &key, err);
    if (status == FN_OK) status = import(tls, certificate, key_path, &chain, &key, err);
    if (status == FN_OK) status = digest_both(tls, &chain, &key, err);
    wipe(key_bytes, key_size);
    if (status == FN_OK) *ret_tls = FN_TAKE(tls);
    return status;
}

void fn_tls_use(struct fn_tls *tls) {
    pthread_mutex_lock(&lock);
    bool same = shown && strcmp(shown->digest, tls->digest) == 0;
    if (!same) {
        tls->next = shown;
        shown = tls;
    }
    pthread_mutex_unlock(&lock);
    if (same) fn_tls_free(tls);
}

int64_t fn_tls_expires_s(void) {
    pthread_mutex_lock(&lock);
    int64_t expires = shown ? shown->expires_s : 0;
    pthread_mutex_unlock(&lock);
    return expires;
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **ret_chain, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                    unsigned *ret_n_ocsp, gnutls_privkey_t *ret_key, unsigned *ret_flags) {
    (void)session, (void)info;
    pthread_mutex_lock(&lock);
    struct fn_tls *tls = shown;
    pthread_mutex_unlock(&lock);
    if (!tls) return -1;
    *ret_chain = tls->chain;
    *ret_n = tls->n_chain;
    *ret_key = tls->key;
    *ret_ocsp = NULL;
    *ret_n_ocsp = 0;
    *ret_flags = 0; /* borrowed */
    return 0;
}

void *fn_tls_get_callback(void) {
    return (void *)(uintptr_t)&retrieve;
}

void fn_tls_free(struct fn_tls *tls) {
    if (!tls) return;
    for (unsigned i = 0; i < tls->n_chain; i++) gnutls_pcert_deinit(&tls->chain[i]);
    if (tls->key) gnutls_privkey_deinit(tls->key);
    free(tls);
}

void fn_tls_end(void) {
    struct fn_tls *next;
    for (; shown; shown = next) {
        next = shown->next;
        fn_tls_free(shown);
    }
}
