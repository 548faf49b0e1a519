/* SPDX-License-Identifier: Apache-2.0
 *
 * model_metadata.c -- metadata strings to fields and back. Values that are more than a word are
 * JSON inside their string, since safetensors allows strings only. */
#include "engine/model_metadata.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/cleanup.h"
#include "engine/preprocess.h"
#include "engine/sha256.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

/* ---- reading ---- */

fn_status fn_model_check_format(const struct fn_safetensors *file, const char *file_name,
                                struct fn_error *err) {
    const char *format = fn_safetensors_metadata(file, "format");
    const char *version = fn_safetensors_metadata(file, "format_version");
    if (!format || strcmp(format, FN_MODEL_FORMAT) != 0)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: format is %.40s, expected " FN_MODEL_FORMAT
                       " (make one with: facenet-model quantize)",
                       file_name, format ? format : "missing");
    if (!version || strcmp(version, FN_MODEL_FORMAT_VERSION) != 0)
        return fn_fail(err, FN_BAD_MODEL, "%s: format_version is %.40s, expected %s", file_name,
                       version ? version : "missing", FN_MODEL_FORMAT_VERSION);
    const char *expected = fn_safetensors_metadata(file, "data_sha256");
    char found[FN_SHA256_HEX_SIZE];
    size_t size;
    const void *data = fn_safetensors_data(file, &size);
    fn_sha256_hex(data, size, found);
    if (!expected || strcmp(found, expected) != 0)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensors have sha256 %.16s..., data_sha256 says %.16s", file_name, found,
                       expected ? expected : "nothing");
    return FN_OK;
}

/* The value of a metadata key; NULL, with `err` filled, when it is missing. */
static const char *need(const struct fn_model *model, const char *file_name, const char *key,
                        struct fn_error *err) {
    const char *value = fn_safetensors_metadata(model->file, key);
    if (!value) (void)fn_fail(err, FN_BAD_MODEL, "%s: metadata %s is missing", file_name, key);
    return value;
}

/* The JSON in a metadata string, to be released; NULL when it is not JSON. */
static fn_status parse(const char *file_name, const char *text, json_t **ret_value,
                       struct fn_error *err) {
    json_error_t problem;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (!value && !problem.text[0]) /* the one failure that jansson has no words for */
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory for the metadata", file_name);
    *ret_value = value;
    return FN_OK;
}

/* Whether the file names remainders among its activations: it is of a wide network. */
static bool has_remainders(json_t *bits) {
    const char *name;
    json_t *value;
    json_object_foreach(bits, name, value) {
        const char *last = strrchr(name, '/');
        if (last && strcmp(last, "/remainder") == 0) return true;
    }
    return false;
}

static fn_status read_frac_bits(struct fn_model *model, const char *file_name,
                                struct fn_error *err) {
    const char *text = need(model, file_name, "activation_frac_bits", err);
    if (!text) return FN_BAD_MODEL;
    FN_CLEANUP(json_decref) json_t *bits = NULL;
    fn_status status = parse(file_name, text, &bits, err);
    if (status != FN_OK) return status;
    if (has_remainders(bits)) fn_network_widen(&model->network);
    if (!json_is_object(bits) || json_object_size(bits) != (size_t)model->network.n_tensors)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: activation_frac_bits has %zu entries, expected an object of %d",
                       file_name, json_object_size(bits), model->network.n_tensors);
    for (int i = 0; i < model->network.n_tensors; i++) {
        const char *name = model->network.tensors[i].name;
        const json_t *value = json_object_get(bits, name);
        json_int_t f = json_integer_value(value);
        if (!json_is_integer(value) || f < INT8_MIN || f > INT8_MAX)
            return fn_fail(err, FN_BAD_MODEL,
                           "%s: activation_frac_bits of %s is missing or not a small integer",
                           file_name, name);
        model->frac_bits[i] = (int8_t)f;
    }
    return FN_OK;
}

static fn_status read_preprocessing(struct fn_model *model, const char *file_name,
                                    struct fn_error *err) {
    const char *text = need(model, file_name, "preprocessing", err);
    if (!text) return FN_BAD_MODEL;
    static const enum fn_preprocessing known[] = {FN_PREPROCESSING_FIXED,
                                                  FN_PREPROCESSING_PER_IMAGE};
    for (size_t i = 0; i < 2; i++)
        if (strcmp(text, fn_preprocessing_name(known[i])) == 0) {
            model->preprocessing = known[i];
            return FN_OK;
        }
    return fn_fail(err, FN_BAD_MODEL, "%s: preprocessing is \"%.40s\", expected fixed or per-image",
                   file_name, text);
}

static fn_status read_trained(struct fn_model *model, const char *file_name, struct fn_error *err) {
    const char *text = need(model, file_name, "trained", err);
    if (!text) return FN_BAD_MODEL;
    model->untrained = strcmp(text, "false") == 0;
    if (!model->untrained && strcmp(text, "true") != 0)
        return fn_fail(err, FN_BAD_MODEL, "%s: trained is \"%.40s\", expected true or false",
                       file_name, text);
    return FN_OK;
}

static fn_status read_embedding_size(const struct fn_model *model, const char *file_name,
                                     struct fn_error *err) {
    const char *text = need(model, file_name, "embedding_size", err);
    if (!text) return FN_BAD_MODEL;
    char expected[16];
    (void)snprintf(expected, sizeof expected, "%d", model->network.embedding_size);
    if (strcmp(text, expected) != 0)
        return fn_fail(err, FN_BAD_MODEL, "%s: embedding_size is %.40s, the Bottleneck makes %s",
                       file_name, text, expected);
    return FN_OK;
}

static bool is_digest(const char *text) {
    return strlen(text) == FN_DIGEST_SIZE - 1 && strspn(text, "0123456789abcdef") == 64;
}

static fn_status read_digest(const struct fn_model *model, const char *file_name, const char *key,
                             char ret_hex[FN_DIGEST_SIZE], struct fn_error *err) {
    const char *text = need(model, file_name, key, err);
    if (!text) return FN_BAD_MODEL;
    if (!is_digest(text))
        return fn_fail(err, FN_BAD_MODEL, "%s: %s is not a sha256 of 64 hex digits", file_name,
                       key);
    memcpy(ret_hex, text, FN_DIGEST_SIZE);
    return FN_OK;
}

static fn_status read_golden(struct fn_model *model, const char *file_name, struct fn_error *err) {
    const char *prng = need(model, file_name, "golden_prng", err);
    const char *seed = prng ? need(model, file_name, "golden_seed", err) : NULL;
    if (!prng || !seed) return FN_BAD_MODEL;
    if (strcmp(prng, "splitmix64") != 0)
        return fn_fail(err, FN_BAD_MODEL, "%s: golden_prng is \"%.40s\", expected splitmix64",
                       file_name, prng);
    char *end;
    errno = 0;
    model->golden_seed = strtoull(seed, &end, 10);
    if (errno || *end || seed[0] < '0' || seed[0] > '9')
        return fn_fail(err, FN_BAD_MODEL, "%s: golden_seed is \"%.40s\", expected a decimal number",
                       file_name, seed);
    fn_status status = read_digest(model, file_name, "golden_accumulators_sha256",
                                   model->golden_accumulators, err);
    if (status == FN_OK)
        status =
            read_digest(model, file_name, "golden_embedding_sha256", model->golden_embedding, err);
    return status;
}

static bool read_point(json_t *value, struct fn_operating_point *ret_point) {
    const char *metric, *crop, *fitted_on;
    double threshold, far, low, high, true_accepts;
    json_int_t pairs;
    int low_confidence;
    if (json_unpack(value, "{s:s, s:s, s:s, s:F, s:F, s:F, s:F, s:F, s:I, s:b}", "metric", &metric,
                    "crop", &crop, "fitted_on", &fitted_on, "value", &threshold, "far", &far,
                    "value_low", &low, "value_high", &high, "true_accepts", &true_accepts, "pairs",
                    &pairs, "low_confidence", &low_confidence) != 0)
        return false;
    if (!isfinite(threshold) || !(far > 0 && far < 1) || pairs < 0) return false;
    if (!(low <= threshold && threshold <= high) || !(true_accepts >= 0 && true_accepts <= 1))
        return false;
    (void)snprintf(ret_point->metric, sizeof ret_point->metric, "%s", metric);
    (void)snprintf(ret_point->crop, sizeof ret_point->crop, "%s", crop);
    (void)snprintf(ret_point->fitted_on, sizeof ret_point->fitted_on, "%s", fitted_on);
    ret_point->value = threshold;
    ret_point->far = far;
    ret_point->value_low = low;
    ret_point->value_high = high;
    ret_point->true_accepts = true_accepts;
    ret_point->pairs = pairs;
    ret_point->low_confidence = low_confidence;
    return true;
}

static fn_status read_points(struct fn_model *model, const char *file_name, struct fn_error *err) {
    const char *text = need(model, file_name, "operating_points", err);
    if (!text) return FN_BAD_MODEL;
    FN_CLEANUP(json_decref) json_t *points = NULL;
    fn_status status = parse(file_name, text, &points, err);
    if (status != FN_OK) return status;
    if (!json_is_array(points) || json_array_size(points) > FN_MAX_OPERATING_POINTS)
        return fn_fail(err, FN_BAD_MODEL, "%s: operating_points is not a list of at most %d",
                       file_name, FN_MAX_OPERATING_POINTS);
    model->n_operating_points = (int)json_array_size(points);
    for (int i = 0; i < model->n_operating_points; i++)
        if (!read_point(json_array_get(points, (size_t)i), &model->operating_points[i]))
            return fn_fail(err, FN_BAD_MODEL, "%s: operating point %d is not complete", file_name,
                           i);
    return FN_OK;
}

static fn_status read_word(const struct fn_model *model, const char *file_name, const char *key,
                           char *ret_text, size_t size, struct fn_error *err) {
    const char *text = need(model, file_name, key, err);
    if (!text) return FN_BAD_MODEL;
    if (strlen(text) >= size)
        return fn_fail(err, FN_BAD_MODEL, "%s: metadata %s is longer than %zu bytes", file_name,
                       key, size - 1);
    memcpy(ret_text, text, strlen(text) + 1);
    return FN_OK;
}

/* Figures that were measured; a file need not have any. */
static fn_status check_evaluations(const struct fn_model *model, const char *file_name,
                                   struct fn_error *err) {
    const char *text = fn_safetensors_metadata(model->file, "evaluations");
    if (!text) return FN_OK;
    FN_CLEANUP(json_decref) json_t *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    size_t n = json_array_size(list);
    bool good = json_is_array(list) && n <= FN_MAX_EVALUATIONS;
    for (size_t i = 0; good && i < n; i++) good = json_is_object(json_array_get(list, i));
    if (good) return FN_OK;
    return fn_fail(err, FN_BAD_MODEL, "%s: evaluations is not a list of at most %d objects",
                   file_name, FN_MAX_EVALUATIONS);
}

bool fn_model_is_detector_name(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length < FN_DETECTOR_NAME_SIZE &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}

static fn_status read_detector_name(struct fn_model *model, const char *file_name,
                                    struct fn_error *err) {
    const char *text = fn_safetensors_metadata(model->file, "detector");
    if (!model->has_detector && !text) return FN_OK;
    if (!model->has_detector)
        return fn_fail(err, FN_BAD_MODEL, "%s: metadata detector is \"%.40s\", but there is none",
                       file_name, text);
    if (!text) text = FN_DETECTOR_PUBLISHED; /* files older than the name */
    if (!fn_model_is_detector_name(text))
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: metadata detector is \"%.40s\", expected at most %d of a-z, 0-9, . "
                       "and -",
                       file_name, text, FN_DETECTOR_NAME_SIZE - 1);
    memcpy(model->detector_name, text, strlen(text) + 1);
    return FN_OK;
}

fn_status fn_model_read_metadata(struct fn_model *model, const char *file_name,
                                 struct fn_error *err) {
    fn_status status = read_preprocessing(model, file_name, err);
    if (status == FN_OK) status = read_trained(model, file_name, err);
    if (status == FN_OK) status = read_embedding_size(model, file_name, err);
    if (status == FN_OK) status = read_frac_bits(model, file_name, err);
    if (status == FN_OK) status = read_golden(model, file_name, err);
    if (status == FN_OK) status = read_points(model, file_name, err);
    if (status == FN_OK) status = check_evaluations(model, file_name, err);
    if (status == FN_OK) status = read_detector_name(model, file_name, err);
    if (status == FN_OK)
        status = read_word(model, file_name, "crop", model->crop, sizeof model->crop, err);
    if (status == FN_OK)
        status =
            read_word(model, file_name, "source_name", model->source, sizeof model->source, err);
    return status;
}

/* ---- writing ---- */

static void add(struct fn_metadata_texts *texts, const char *key, char *value) {
    if (texts->n == FN_MAX_METADATA) {
        free(value);
        return;
    }
    texts->owned[texts->n] = value;
    texts->items[texts->n++] = (struct fn_metadata){key, value};
}

static void add_copy(struct fn_metadata_texts *texts, const char *key, const char *value) {
    add(texts, key, strdup(value));
}

static char *dump_frac_bits(const struct fn_model_draft *draft) {
    FN_CLEANUP(json_decref) json_t *bits = json_object();
    for (int i = 0; i < draft->network.n_tensors; i++)
        if (json_object_set_new(bits, draft->network.tensors[i].name,
                                json_integer(draft->frac_bits[i])) != 0)
            return NULL;
    return json_dumps(bits, JSON_COMPACT);
}

static char *dump_points(const struct fn_operating_point *points, int n) {
    FN_CLEANUP(json_decref) json_t *list = json_array();
    for (const struct fn_operating_point *p = points; p < points + n; p++) {
        json_t *item = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:b}", "metric",
                                 p->metric, "crop", p->crop, "fitted_on", p->fitted_on, "value",
                                 p->value, "far", p->far, "value_low", p->value_low, "value_high",
                                 p->value_high, "true_accepts", p->true_accepts, "pairs",
                                 (json_int_t)p->pairs, "low_confidence", p->low_confidence);
        if (json_array_append_new(list, item) != 0) return NULL;
    }
    return json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
}

static fn_status check_memory(struct fn_metadata_texts *texts, struct fn_error *err) {
    for (size_t i = 0; i < texts->n; i++)
        if (!texts->owned[i]) {
            fn_metadata_texts_done(texts);
            return fn_fail(err, FN_NO_MEMORY, "no memory for the model's metadata");
        }
    return FN_OK;
}

fn_status fn_model_copy_metadata(const struct fn_model *model,
                                 const struct fn_model_changes *changes, const char *data_sha256,
                                 struct fn_metadata_texts *ret_texts, struct fn_error *err) {
    static const char *const keys[] = {"format",
                                       "format_version",
                                       "source_format",
                                       "source_name",
                                       "source_sha256",
                                       "trained",
                                       "preprocessing",
                                       "crop",
                                       "detector",
                                       "calibration",
                                       "quantizer",
                                       "channel_scales",
                                       "embedding_size",
                                       "activation_frac_bits",
                                       "data_sha256",
                                       "golden_prng",
                                       "golden_seed",
                                       "golden_accumulators_sha256",
                                       "golden_embedding_sha256",
                                       "evaluations"};
    *ret_texts = (struct fn_metadata_texts){0};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = fn_safetensors_metadata(model->file, keys[i]);
        if (changes->crop && strcmp(keys[i], "crop") == 0) value = changes->crop;
        if (data_sha256 && strcmp(keys[i], "data_sha256") == 0) value = data_sha256;
        if (changes->evaluations && strcmp(keys[i], "evaluations") == 0)
            value = changes->evaluations;
        if (changes->detector && strcmp(keys[i], "detector") == 0) value = changes->detector_name;
        if (value) add_copy(ret_texts, keys[i], value);
    }
    add(ret_texts, "operating_points",
        changes->points ? dump_points(changes->points, changes->n_points)
                        : dump_points(model->operating_points, model->n_operating_points));
    return check_memory(ret_texts, err);
}

fn_status fn_model_make_metadata(const struct fn_model_draft *draft, const struct fn_model *model,
                                 const char *data_sha256, struct fn_metadata_texts *ret_texts,
                                 struct fn_error *err) {
    char number[32];
    *ret_texts = (struct fn_metadata_texts){0};
    add_copy(ret_texts, "format", FN_MODEL_FORMAT);
    add_copy(ret_texts, "format_version", FN_MODEL_FORMAT_VERSION);
    add_copy(ret_texts, "source_format", draft->source_format);
    add_copy(ret_texts, "source_name", draft->source_name);
    add_copy(ret_texts, "source_sha256", draft->source_sha256);
    add_copy(ret_texts, "trained", draft->untrained ? "false" : "true");
    add_copy(ret_texts, "preprocessing", fn_preprocessing_name(draft->preprocessing));
    add_copy(ret_texts, "crop", draft->crop);
    if (draft->has_detector) add_copy(ret_texts, "detector", draft->detector_name);
    add_copy(ret_texts, "calibration", draft->calibration);
    if (draft->quantizer[0]) add_copy(ret_texts, "quantizer", draft->quantizer);
    if (draft->channel_scales) add_copy(ret_texts, "channel_scales", draft->channel_scales);
    (void)snprintf(number, sizeof number, "%d", draft->network.embedding_size);
    add_copy(ret_texts, "embedding_size", number);
    add(ret_texts, "activation_frac_bits", dump_frac_bits(draft));
    add(ret_texts, "operating_points",
        dump_points(draft->operating_points, draft->n_operating_points));
    add_copy(ret_texts, "data_sha256", data_sha256);
    add_copy(ret_texts, "golden_prng", "splitmix64");
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)model->golden_seed);
    add_copy(ret_texts, "golden_seed", number);
    add_copy(ret_texts, "golden_accumulators_sha256", model->golden_accumulators);
    add_copy(ret_texts, "golden_embedding_sha256", model->golden_embedding);
    return check_memory(ret_texts, err);
}

void fn_metadata_texts_done(struct fn_metadata_texts *texts) {
    for (size_t i = 0; i < texts->n; i++) free(texts->owned[i]);
    texts->n = 0;
}
