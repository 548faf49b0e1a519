/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c -- see options.h. */
#include "daemon/api/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/cleanup.h"

#define MAX_VALUE 64 /* characters of the longest value there is, with its NUL */

static fn_status set_align(struct fn_options *options, const char *value, struct fn_error *err) {
    (void)options;
    if (strcmp(value, "none") == 0) return FN_OK;
    return fn_fail(
        err, FN_BAD_OPTION,
        "align: expected none (the picture is the crop), or nothing: faces are found and "
        "cut by the model's own contract");
}

static fn_status set_face(struct fn_options *options, const char *value, struct fn_error *err) {
    if (fn_face_choice_parse(value, &options->face)) return FN_OK;
    return fn_fail(err, FN_BAD_OPTION, "face: expected largest, center or only");
}

static fn_status parse_count(const char *name, const char *value, int least, int most,
                             int *ret_count, struct fn_error *err) {
    char *end = NULL;
    long count = value[0] >= '0' && value[0] <= '9' ? strtol(value, &end, 10) : -1;
    if (!end || *end || strlen(value) > 9 || count < least || count > most)
        return fn_fail(err, FN_BAD_OPTION, "%s: expected a whole number within %d...%d", name,
                       least, most);
    *ret_count = (int)count;
    return FN_OK;
}

static fn_status set_max_faces(struct fn_options *options, const char *value,
                               struct fn_error *err) {
    return parse_count("max_faces", value, 1, options->most_faces, &options->max_faces, err);
}

static fn_status set_index(struct fn_options *options, const char *value, struct fn_error *err) {
    return parse_count("index", value, 0, options->most_faces - 1, &options->index, err);
}

static fn_status set_min_face(struct fn_options *options, const char *value, struct fn_error *err) {
    return parse_count("min_face", value, FN_DETECT_LEAST_FACE, FN_DETECT_MOST_FACE,
                       &options->min_face, err);
}

static fn_status set_encoding(struct fn_options *options, const char *value, struct fn_error *err) {
    if (strcmp(value, "float") == 0)
        options->encoding = FN_ENCODING_FLOAT;
    else if (strcmp(value, "base64") == 0)
        options->encoding = FN_ENCODING_BASE64;
    else
        return fn_fail(err, FN_BAD_OPTION, "encoding: expected float or base64");
    return FN_OK;
}

/* A number in 0...1. */
static fn_status parse_share(const char *name, const char *value, double *ret_share,
                             struct fn_error *err) {
    char *end = NULL;
    bool plain = strspn(value, "0123456789.eE+-") == strlen(value);
    double share = plain ? strtod(value, &end) : 0;
    if (!plain || end == value || *end || !(share >= 0 && share <= 1))
        return fn_fail(err, FN_BAD_OPTION, "%s: expected a number within 0...1", name);
    *ret_share = share;
    return FN_OK;
}

static fn_status set_far(struct fn_options *options, const char *value, struct fn_error *err) {
    double far;
    fn_status status = parse_share("far", value, &far, err);
    if (status == FN_OK && (far == 0 || far == 1))
        return fn_fail(err, FN_BAD_OPTION, "far: expected a false-accept rate between 0 and 1");
    if (status == FN_OK) options->far = far;
    return status;
}

static fn_status set_reject(struct fn_options *options, const char *value, struct fn_error *err) {
    static const char *const reasons[] = {"small", "blurred", "dark", "bright", "tilted", "unsure"};
    unsigned reject = 0;
    for (const char *at = value;;) {
        size_t size = strcspn(at, ","), i = 0;
        while (i < 6 && (strlen(reasons[i]) != size || memcmp(reasons[i], at, size) != 0)) i++;
        if (i == 6 || reject & 1U << i)
            return fn_fail(err, FN_BAD_OPTION,
                           "reject: expected some of small, blurred, dark, bright, tilted, unsure, "
                           "each once, with commas between");
        reject |= 1U << i;
        if (!at[size]) break;
        at += size + 1;
    }
    options->reject = reject;
    return FN_OK;
}

/* 0 is "no limit", which the daemon's own still bounds. */
static fn_status set_limit(struct fn_options *options, const char *value, struct fn_error *err) {
    return parse_count("limit", value, 0, 999999999, &options->limit, err);
}

static fn_status set_det_prob_threshold(struct fn_options *options, const char *value,
                                        struct fn_error *err) {
    return parse_share("det_prob_threshold", value, &options->least_score, err);
}

/* One that is not here leaves its member out of the answer, as it does where it is not installed.
 */
static fn_status set_face_plugins(struct fn_options *options, const char *value,
                                  struct fn_error *err) {
    (void)err;
    for (const char *at = value;;) {
        size_t size = strcspn(at, ",");
        if (size == 10 && memcmp(at, "calculator", size) == 0)
            options->plugins |= FN_PLUGIN_CALCULATOR;
        if (size == 9 && memcmp(at, "landmarks", size) == 0)
            options->plugins |= FN_PLUGIN_LANDMARKS;
        if (!at[size]) return FN_OK;
        at += size + 1;
    }
}

static fn_status set_status(struct fn_options *options, const char *value, struct fn_error *err) {
    static const char *const words[] = {"false", "off", "no", "0", "true", "on", "yes", "1"};
    for (int i = 0; i < 8; i++) {
        if (strcasecmp(value, words[i]) != 0) continue;
        options->wants_status = i >= 4;
        return FN_OK;
    }
    return fn_fail(err, FN_BAD_OPTION, "status: expected true or false");
}

/* Of no meaning between two pictures, but its clients send it. */
static fn_status set_prediction_count(struct fn_options *options, const char *value,
                                      struct fn_error *err) {
    int count;
    (void)options;
    return parse_count("prediction_count", value, 0, 999999999, &count, err);
}

static const struct entry {
    const char *name;
    enum fn_option option;
    fn_status (*set)(struct fn_options *options, const char *value, struct fn_error *err);
} entries[] = {
    {"align", FN_OPTION_ALIGN, set_align},
    {"face", FN_OPTION_FACE, set_face},
    {"max_faces", FN_OPTION_MAX_FACES, set_max_faces},
    {"min_face", FN_OPTION_MIN_FACE, set_min_face},
    {"encoding", FN_OPTION_ENCODING, set_encoding},
    {"far", FN_OPTION_FAR, set_far},
    {"reject", FN_OPTION_REJECT, set_reject},
    {"index", FN_OPTION_INDEX, set_index},
    {"limit", FN_OPTION_LIMIT, set_limit},
    {"det_prob_threshold", FN_OPTION_DET_PROB_THRESHOLD, set_det_prob_threshold},
    {"face_plugins", FN_OPTION_FACE_PLUGINS, set_face_plugins},
    {"status", FN_OPTION_STATUS, set_status},
    {"prediction_count", FN_OPTION_PREDICTION_COUNT, set_prediction_count},
};

static const struct entry *find(const struct fn_options *options, const char *name, size_t size) {
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strlen(entries[i].name) == size && memcmp(entries[i].name, name, size) == 0)
            return options->allowed & entries[i].option ? &entries[i] : NULL;
    return NULL;
}

/* A client's name may stand in our text when it cannot do harm there. */
static const char *printable(const char *name, size_t size, char ret_name[MAX_VALUE]) {
    static const char harmless[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    bool plain = size > 0 && size < MAX_VALUE;
    for (size_t i = 0; plain && i < size; i++)
        plain = memchr(harmless, name[i], sizeof harmless - 1) != NULL;
    (void)snprintf(ret_name, MAX_VALUE, "%.*s", plain ? (int)size : 11, plain ? name : "that name");
    return ret_name;
}

static fn_status set(struct fn_options *options, const struct entry *entry, const char *value,
                     size_t size, struct fn_error *err) {
    char text[MAX_VALUE];
    if (options->given & entry->option)
        return fn_fail(err, FN_BAD_OPTION, "%s: given twice", entry->name);
    bool fits = size > 0 || entry->option == FN_OPTION_FACE_PLUGINS; /* empty: none */
    if (!fits || size >= sizeof text || memchr(value, '\0', size))
        return fn_fail(err, FN_BAD_OPTION, "%s: value has %zu characters, expected 1 to %zu",
                       entry->name, size, sizeof text - 1);
    memcpy(text, value, size);
    text[size] = '\0';
    fn_status status = entry->set(options, text, err);
    if (status == FN_OK) options->given |= entry->option;
    return status;
}

fn_status fn_options_set(struct fn_options *options, const char *name, size_t name_size,
                         const char *value, size_t value_size, struct fn_error *err) {
    const struct entry *entry = find(options, name, name_size);
    char shown[MAX_VALUE];
    if (!entry)
        return fn_fail(err, FN_UNKNOWN_OPTION, "%s: this route takes no such option or field",
                       printable(name, name_size, shown));
    return set(options, entry, value, value_size, err);
}

fn_status fn_options_set_json(struct fn_options *options, const char *name, const json_t *value,
                              struct fn_error *err) {
    const struct entry *entry = find(options, name, strlen(name));
    char number[64], shown[MAX_VALUE];
    if (!entry)
        return fn_fail(err, FN_UNKNOWN_MEMBER, "%s: this route takes no such member",
                       printable(name, strlen(name), shown));
    if (json_is_string(value))
        return set(options, entry, json_string_value(value), json_string_length(value), err);
    if (json_is_integer(value))
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else
        return fn_fail(err, FN_BAD_OPTION, "%s: expected a string or a number", entry->name);
    return set(options, entry, number, strlen(number), err);
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent decoding in place; false when a '%' is not followed by two hex digits. */
static bool decode(char *text, size_t *size) {
    size_t used = 0;
    for (size_t i = 0; i < *size; i++) {
        if (text[i] != '%') {
            if (text[i] == '+') text[i] = ' ';
            text[used++] = text[i];
            continue;
        }
        if (*size - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
        text[used++] = (char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
        i += 2;
    }
    *size = used;
    return true;
}

fn_status fn_options_set_query(struct fn_options *options, const char *query,
                               struct fn_error *err) {
    if (!query || !*query) return FN_OK;
    FN_CLEANUP_FREE char *copy = strdup(query);
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "no memory for the query");
    for (char *next = copy; next;) {
        char *name = next, *ampersand = strchr(next, '&');
        size_t size = ampersand ? (size_t)(ampersand - name) : strlen(name);
        next = ampersand ? ampersand + 1 : NULL;
        if (size == 0) continue; /* as in every form: "?&a=1" has one parameter */
        char *equals = memchr(name, '=', size);
        size_t name_size = equals ? (size_t)(equals - name) : size;
        char *value = equals ? equals + 1 : name + size;
        size_t value_size = (size_t)(name + size - value);
        if (!decode(name, &name_size) || !decode(value, &value_size))
            return fn_fail(err, FN_BAD_OPTION, "query: '%%' is not followed by two hex digits");
        fn_status status = fn_options_set(options, name, name_size, value, value_size, err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

fn_status fn_options_check(const struct fn_options *options, struct fn_error *err) {
    unsigned looking = FN_OPTION_FACE | FN_OPTION_MIN_FACE | FN_OPTION_REJECT | FN_OPTION_INDEX;
    unsigned wanted = options->given & looking;
    if (!wanted || (options->looks && !(options->given & FN_OPTION_ALIGN))) return FN_OK;
    const struct entry *entry = entries;
    while (!(entry->option & wanted)) entry++;
    if (!options->looks)
        return fn_fail(err, FN_BAD_OPTION,
                       "%s: needs a face detector, and this model has none: every picture is taken "
                       "as the crop (align=none)",
                       entry->name);
    return fn_fail(err, FN_BAD_OPTION,
                   "%s: with align=none there is no face to find, choose or judge", entry->name);
}

struct fn_find_options fn_options_find(const struct fn_options *options) {
    int most = options->given & FN_OPTION_MAX_FACES ? options->max_faces : options->most_faces;
    return (struct fn_find_options){
        .is_crop = !options->looks || options->given & FN_OPTION_ALIGN,
        .chosen = options->given & FN_OPTION_FACE,
        .choice = options->face,
        .skip = options->given & FN_OPTION_INDEX ? options->index : 0,
        .max_faces = options->limit > 0 && options->limit < most ? options->limit : most,
        .min_face = options->given & FN_OPTION_MIN_FACE ? options->min_face : 0,
        .reject = options->reject,
        .least_score = options->least_score,
    };
}
