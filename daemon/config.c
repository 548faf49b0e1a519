/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c -- see config.h. */
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/api/json.h"
#include "daemon/http/http.h"
#include "engine/cleanup.h"
#include "engine/file.h"

#define MAX_FILE ((size_t)1 << 20)

struct number_key {
    const char *name;
    size_t offset;
    int64_t initial, smallest, largest;
};

struct string_key {
    const char *name;
    size_t offset;
    const char *initial;
};

static const struct number_key numbers[] = {
#define FN_CONFIG_NUMBER(key, initial, smallest, largest)                                          \
    {#key, offsetof(struct fn_config, key), initial, smallest, largest},
    FN_CONFIG_NUMBERS(FN_CONFIG_NUMBER)
#undef FN_CONFIG_NUMBER
};

static const struct string_key strings[] = {
#define FN_CONFIG_STRING(key, initial) {#key, offsetof(struct fn_config, key), initial},
    FN_CONFIG_STRINGS(FN_CONFIG_STRING)
#undef FN_CONFIG_STRING
};

#define N_NUMBERS (sizeof numbers / sizeof numbers[0])
#define N_STRINGS (sizeof strings / sizeof strings[0])

static int64_t *number_slot(struct fn_config *config, const struct number_key *key) {
    return (int64_t *)(void *)((char *)config + key->offset);
}

static char **string_slot(struct fn_config *config, const struct string_key *key) {
    return (char **)(void *)((char *)config + key->offset);
}

fn_status fn_config_set(char **slot, const char *value, struct fn_error *err) {
    char *copy = strdup(value);
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "no memory for the configuration");
    free(*slot);
    *slot = copy;
    return FN_OK;
}

FN_DEFINE_CLEANUP(struct fn_config *, fn_config_free)

fn_status fn_config_new(struct fn_config **ret_config, struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = calloc(1, sizeof *config);
    if (!config) return fn_fail(err, FN_NO_MEMORY, "no memory for the configuration");
    config->log_level = FN_LOG_INFO;
    fn_status status = fn_config_set(&config->listen[0], "127.0.0.1:8080", err);
    if (status != FN_OK) return status;
    config->n_listen = 1;
    status = fn_config_set(&config->fallback[0], "Portable Computing Language", err);
    if (status == FN_OK) status = fn_config_set(&config->fallback[1], "reference", err);
    if (status != FN_OK) return status;
    config->n_fallback = 2;
    for (size_t i = 0; i < N_NUMBERS; i++) *number_slot(config, &numbers[i]) = numbers[i].initial;
    for (size_t i = 0; i < N_STRINGS; i++) {
        if (!strings[i].initial) continue;
        status = fn_config_set(string_slot(config, &strings[i]), strings[i].initial, err);
        if (status != FN_OK) return status;
    }
    *ret_config = FN_TAKE(config);
    return FN_OK;
}

static fn_status apply_number(struct fn_config *config, const struct number_key *key,
                              const json_t *value, struct fn_error *err) {
    if (!json_is_integer(value)) return fn_fail(err, FN_USAGE, "expected a whole number");
    json_int_t number = json_integer_value(value);
    if (number < key->smallest || number > key->largest)
        return fn_fail(err, FN_USAGE, "%lld is not within %lld...%lld", (long long)number,
                       (long long)key->smallest, (long long)key->largest);
    *number_slot(config, key) = number;
    return FN_OK;
}

/* An array of at most `most` strings; one alone may stand without brackets where `bare` says so. */
static fn_status apply_list(char **slots, int *n_slots, int most, bool bare, const char *what,
                            const json_t *value, struct fn_error *err) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (!(json_is_array(value) || (bare && json_is_string(value))) || n > (size_t)most)
        return fn_fail(err, FN_USAGE, "expected %san array of at most %d %s",
                       bare ? "a string or " : "", most, what);
    *n_slots = 0;
    for (size_t i = 0; i < n; i++) {
        const char *text =
            json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
        if (!text || !*text) return fn_fail(err, FN_USAGE, "element %zu is not one of %s", i, what);
        fn_status status = fn_config_set(&slots[i], text, err);
        if (status != FN_OK) return status;
        *n_slots = (int)i + 1;
    }
    return FN_OK;
}

/* As browsers write it: "https://host" or "https://host:port". */
static fn_status apply_origins(struct fn_config *config, const json_t *value,
                               struct fn_error *err) {
    fn_status status = apply_list(config->cors_origins, &config->n_cors_origins,
                                  FN_MAX_CORS_ORIGINS, false, "origins", value, err);
    for (int i = 0; status == FN_OK && i < config->n_cors_origins; i++) {
        const char *origin = config->cors_origins[i];
        const char *host = strstr(origin, "://");
        if (!host || strcspn(host + 3, "/?# \r\n\t*") != strlen(host + 3) || !host[3] ||
            strlen(origin) >= FN_ORIGIN_SIZE)
            return fn_fail(err, FN_USAGE,
                           "\"%.40s\" is no origin: expected scheme://host or scheme://host:port "
                           "of at most %d characters",
                           origin, FN_ORIGIN_SIZE - 1);
    }
    return status;
}

static fn_status apply_level(struct fn_config *config, const json_t *value, struct fn_error *err) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const char *name = json_string_value(value);
    for (int i = 0; name && i < 4; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        config->log_level = (enum fn_log_level)i;
        return FN_OK;
    }
    return fn_fail(err, FN_USAGE, "expected \"error\", \"warning\", \"info\" or \"debug\"");
}

static fn_status apply_member(struct fn_config *config, const char *name, const json_t *value,
                              struct fn_error *err) {
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (strcmp(name, numbers[i].name) == 0)
            return apply_number(config, &numbers[i], value, err);
    for (size_t i = 0; i < N_STRINGS; i++) {
        if (strcmp(name, strings[i].name) != 0) continue;
        const char *text = json_string_value(value);
        if (!text || !*text) return fn_fail(err, FN_USAGE, "expected a string");
        return fn_config_set(string_slot(config, &strings[i]), text, err);
    }
    if (strcmp(name, "listen") == 0 && json_is_array(value) && json_array_size(value) == 0)
        return fn_fail(err, FN_USAGE, "no address is given");
    if (strcmp(name, "listen") == 0)
        return apply_list(config->listen, &config->n_listen, FN_MAX_LISTEN, true, "addresses",
                          value, err);
    if (strcmp(name, "allowed_hosts") == 0)
        return apply_list(config->allowed_hosts, &config->n_allowed_hosts, FN_MAX_ALLOWED_HOSTS,
                          false, "host names", value, err);
    if (strcmp(name, "fallback") == 0)
        return apply_list(config->fallback, &config->n_fallback, FN_MAX_FALLBACKS, false, "devices",
                          value, err);
    if (strcmp(name, "cors_origins") == 0) return apply_origins(config, value, err);
    if (strcmp(name, "log_level") == 0) return apply_level(config, value, err);
    return fn_fail(err, FN_USAGE, "unknown key");
}

/* The administrator's fault, but for one thing. */
static fn_status blame(const struct fn_error *detail) {
    return detail->status == FN_NO_MEMORY ? FN_NO_MEMORY : FN_USAGE;
}

fn_status fn_config_apply(struct fn_config *config, const char *name, const char *text, size_t size,
                          struct fn_error *err) {
    FN_CLEANUP(fn_json_free) json_t *object = NULL;
    struct fn_error detail;
    const char *key;
    json_t *value;
    if (fn_json_parse(text, size, &object, &detail) != FN_OK)
        return fn_fail(err, blame(&detail), "%s: %s", name, detail.text);
    json_object_foreach(object, key, value) {
        if (apply_member(config, key, value, &detail) != FN_OK)
            return fn_fail(err, blame(&detail), "%s: line %d: \"%.40s\": %s", name,
                           fn_json_line_of(text, size, key), key, detail.text);
    }
    return FN_OK;
}

fn_status fn_config_read(struct fn_config *config, const char *path, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *text = NULL;
    size_t size;
    fn_status status = fn_file_read(path, MAX_FILE, &text, &size, err);
    return status == FN_OK ? fn_config_apply(config, path, (const char *)text, size, err) : status;
}

fn_status fn_config_check(const struct fn_config *config, struct fn_error *err) {
    if (!config->tls_certificate == !config->tls_key) return FN_OK;
    return fn_fail(err, FN_USAGE, "\"%s\" is set without \"%s\"",
                   config->tls_key ? "tls_key" : "tls_certificate",
                   config->tls_key ? "tls_certificate" : "tls_key");
}

void fn_config_free(struct fn_config *config) {
    if (!config) return;
    for (size_t i = 0; i < N_STRINGS; i++) free(*string_slot(config, &strings[i]));
    for (int i = 0; i < FN_MAX_LISTEN; i++) free(config->listen[i]);
    for (int i = 0; i < FN_MAX_FALLBACKS; i++) free(config->fallback[i]);
    for (int i = 0; i < FN_MAX_CORS_ORIGINS; i++) free(config->cors_origins[i]);
    for (int i = 0; i < FN_MAX_ALLOWED_HOSTS; i++) free(config->allowed_hosts[i]);
    free(config);
}
