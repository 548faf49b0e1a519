/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.c -- see keys.h. */
#include "daemon/keys.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "daemon/http/request.h"
#include "engine/clock.h"
#include "engine/file.h"
#include "engine/sha256.h"

#define MAX_FILE   ((size_t)1 << 20)
#define MAX_NAME   64
#define MAX_RATE   1000000
#define DIGEST_HEX (FN_SHA256_HEX_SIZE - 1)

struct key {
    char name[MAX_NAME + 1];
    char digest[FN_SHA256_HEX_SIZE];
    unsigned scopes; /* set of enum fn_scope */
    struct fn_key_rate rate;
    /* When the next request would be due if all had come at the rate: as far ahead of the clock as
     * a burst may be. One number is the whole of a token bucket. */
    atomic_llong due_ns;
};

struct fn_keys {
    int n, capacity;
    struct key *keys; /* owned */
};

static const char hex_digits[] = "0123456789abcdef";

/* ---- the file ---- */

/* The next word of a line; false at its end. */
static bool next_word(const char **at, const char *end, const char **ret_word, size_t *ret_size) {
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r')) (*at)++;
    *ret_word = *at;
    while (*at < end && **at != ' ' && **at != '\t' && **at != '\r') (*at)++;
    *ret_size = (size_t)(*at - *ret_word);
    return *ret_size > 0;
}

static bool is_name(const char *word, size_t size) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    for (size_t i = 0; i < size; i++)
        if (!memchr(allowed, word[i], sizeof allowed - 1)) return false;
    return size > 0 && size <= MAX_NAME;
}

/* "infer", "metrics" or both with a comma; 0 when it is none of these. */
static unsigned read_scopes(const char *word, size_t size) {
    unsigned scopes = 0;
    const char *end = word + size;
    for (;;) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        size_t length = (size_t)((comma ? comma : end) - word);
        if (length == 5 && memcmp(word, "infer", 5) == 0)
            scopes |= FN_SCOPE_INFER;
        else if (length == 7 && memcmp(word, "metrics", 7) == 0)
            scopes |= FN_SCOPE_METRICS;
        else
            return 0;
        if (!comma) return scopes;
        word = comma + 1;
    }
}

static bool read_digest(const char *word, size_t size, char ret_digest[FN_SHA256_HEX_SIZE]) {
    if (size != DIGEST_HEX) return false;
    for (size_t i = 0; i < size; i++)
        if (!memchr(hex_digits, word[i], sizeof hex_digits - 1)) return false;
    memcpy(ret_digest, word, size);
    ret_digest[size] = '\0';
    return true;
}

static bool read_rate(const char *word, size_t size, struct fn_key_rate *ret_rate) {
    int64_t rate = 0;
    if (size > 7) return false;
    for (size_t i = 0; i < size; i++) {
        if (word[i] < '0' || word[i] > '9') return false;
        rate = rate * 10 + (word[i] - '0');
    }
    if (rate > MAX_RATE) return false;
    ret_rate->rate = rate;
    return true;
}

static fn_status read_line(const char *at, const char *end, struct key *key, struct fn_error *err) {
    const char *word;
    size_t size;
    if (!next_word(&at, end, &word, &size) || !is_name(word, size))
        return fn_fail(err, FN_USAGE, "expected a name of letters, digits, '.', '_' and '-'");
    memcpy(key->name, word, size);
    if (!next_word(&at, end, &word, &size) || (key->scopes = read_scopes(word, size)) == 0)
        return fn_fail(err, FN_USAGE, "expected scopes: infer, metrics or infer,metrics");
    if (!next_word(&at, end, &word, &size) || !read_digest(word, size, key->digest))
        return fn_fail(err, FN_USAGE, "expected a SHA-256 of 64 lower-case hex digits");
    if (next_word(&at, end, &word, &size) && !read_rate(word, size, &key->rate))
        return fn_fail(err, FN_USAGE, "expected requests a second, 0...%d", MAX_RATE);
    if (next_word(&at, end, &word, &size)) return fn_fail(err, FN_USAGE, "one word too many");
    return FN_OK;
}

static fn_status add_key(struct fn_keys *keys, const struct key *key, const struct fn_keys *before,
                         struct fn_error *err) {
    for (int i = 0; i < keys->n; i++)
        if (strcmp(keys->keys[i].name, key->name) == 0 ||
            strcmp(keys->keys[i].digest, key->digest) == 0)
            return fn_fail(err, FN_USAGE, "name or key stands in an earlier line already");
    if (keys->n == keys->capacity) {
        int capacity = keys->capacity ? 2 * keys->capacity : 16;
        struct key *more = realloc(keys->keys, (size_t)capacity * sizeof *more);
        if (!more) return fn_fail(err, FN_NO_MEMORY, "no memory for %d keys", capacity);
        keys->keys = more;
        keys->capacity = capacity;
    }
    struct key *slot = &keys->keys[keys->n++];
    *slot = *key;
    for (int i = 0; before && i < before->n; i++)
        if (strcmp(before->keys[i].digest, key->digest) == 0)
            atomic_store(&slot->due_ns, atomic_load(&before->keys[i].due_ns));
    return FN_OK;
}

fn_status fn_keys_parse(const char *name, const char *text, size_t size,
                        const struct fn_key_rate *rate, const struct fn_keys *before,
                        struct fn_keys **ret_keys, struct fn_error *err) {
    FN_CLEANUP(fn_keys_free) struct fn_keys *keys = calloc(1, sizeof *keys);
    const char *end = text + size;
    if (!keys) return fn_fail(err, FN_NO_MEMORY, "no memory for keys");
    for (int line = 1; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end, *at = text, *word;
        size_t word_size;
        bool blank = !next_word(&at, stop, &word, &word_size) || word[0] == '#';
        struct key key = {.rate = *rate};
        struct fn_error detail;
        fn_status status = blank ? FN_OK : read_line(text, stop, &key, &detail);
        if (status == FN_OK && !blank) status = add_key(keys, &key, before, &detail);
        if (status != FN_OK)
            return fn_fail(err, status, "%s: line %d: %s", name, line, detail.text);
        text = stop + 1;
    }
    if (keys->n == 0) return fn_fail(err, FN_USAGE, "%s: has no key", name);
    *ret_keys = FN_TAKE(keys);
    return FN_OK;
}

fn_status fn_keys_read(const char *path, const struct fn_key_rate *rate,
                       const struct fn_keys *before, struct fn_keys **ret_keys,
                       struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *text = NULL;
    size_t size;
    fn_status status = fn_file_read(path, MAX_FILE, &text, &size, err);
    if (status != FN_OK) return status;
    return fn_keys_parse(path, (const char *)text, size, rate, before, ret_keys, err);
}

int fn_keys_count(const struct fn_keys *keys) {
    return keys->n;
}

void fn_keys_free(struct fn_keys *keys) {
    if (!keys) return;
    free(keys->keys);
    free(keys);
}

/* ---- a request ---- */

static bool find_presented(const struct fn_http_request *request, const char **ret_key,
                           size_t *ret_size) {
    static const char scheme[] = "Bearer ";
    const struct fn_http_header *header = fn_request_find_header(request, "Authorization");
    size_t skip = sizeof scheme - 1;
    if (header && header->value_size > skip && strncasecmp(header->value, scheme, skip) == 0) {
        *ret_key = header->value + skip;
        *ret_size = header->value_size - skip;
        return true;
    }
    header = fn_request_find_header(request, "X-API-Key");
    if (!header) return false;
    *ret_key = header->value;
    *ret_size = header->value_size;
    return true;
}

/* All of it, always. */
static bool same_digest(const char *a, const char *b) {
    unsigned difference = 0;
    for (int i = 0; i < DIGEST_HEX; i++) difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

static fn_status take_turn(struct key *key, int64_t now_ns, long *ret_retry_ms,
                           struct fn_error *err) {
    if (key->rate.rate == 0) return FN_OK;
    int64_t interval = FN_NS_PER_S / key->rate.rate, ahead = interval * key->rate.burst;
    long long due = atomic_load(&key->due_ns), next;
    do {
        next = (due > now_ns ? due : now_ns) + interval;
        if (next - now_ns > ahead) {
            int64_t early = next - now_ns - ahead;
            *ret_retry_ms = (long)((early + FN_NS_PER_MS - 1) / FN_NS_PER_MS);
            return fn_fail(err, FN_RATE_LIMITED, "this key may make %lld requests a second",
                           (long long)key->rate.rate);
        }
    } while (!atomic_compare_exchange_weak(&key->due_ns, &due, next));
    return FN_OK;
}

fn_status fn_keys_check(struct fn_keys *keys, const struct fn_http_request *request,
                        enum fn_scope scope, int64_t now_ns, long *ret_retry_ms,
                        struct fn_error *err) {
    const char *presented;
    char digest[FN_SHA256_HEX_SIZE];
    size_t size;
    struct key *found = NULL;
    if (!find_presented(request, &presented, &size))
        return fn_fail(err, FN_UNAUTHORIZED,
                       "send a key as \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\"");
    fn_sha256_hex(presented, size, digest);
    for (int i = 0; i < keys->n; i++)
        if (same_digest(keys->keys[i].digest, digest)) found = &keys->keys[i];
    if (!found) return fn_fail(err, FN_UNAUTHORIZED, "this key is not known here");
    if (!(found->scopes & scope))
        return fn_fail(err, FN_FORBIDDEN, "this key does not have the scope \"%s\"",
                       scope == FN_SCOPE_METRICS ? "metrics" : "infer");
    return take_turn(found, now_ns, ret_retry_ms, err);
}

/* ---- making one ---- */

fn_status fn_key_make(const char *what, char ret_key[FN_KEY_SIZE], char ret_line[FN_KEY_LINE_SIZE],
                      struct fn_error *err) {
    unsigned char random[32];
    char key[FN_KEY_SIZE] = "fnk_", digest[FN_SHA256_HEX_SIZE];
    const char *colon = strchr(what, ':'), *scopes = colon ? colon + 1 : "infer";
    size_t name_size = colon ? (size_t)(colon - what) : strlen(what);
    if (!is_name(what, name_size) || read_scopes(scopes, strlen(scopes)) == 0)
        return fn_fail(err, FN_USAGE,
                       "expected NAME or NAME:SCOPES, a name of letters, digits, '.', '_' and '-', "
                       "and infer, metrics or infer,metrics");
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return fn_fail(err, FN_IO, "the kernel gives no random bytes");
    for (size_t i = 0; i < sizeof random; i++) {
        key[4 + 2 * i] = hex_digits[random[i] >> 4];
        key[5 + 2 * i] = hex_digits[random[i] & 15];
    }
    fn_sha256_hex(key, FN_KEY_SIZE - 1, digest);
    (void)snprintf(ret_line, FN_KEY_LINE_SIZE, "%.*s %s %s", (int)name_size, what, scopes, digest);
    memcpy(ret_key, key, sizeof key);
    return FN_OK;
}
