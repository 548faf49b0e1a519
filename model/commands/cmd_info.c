/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_info.c -- what a model file says of itself. One JSON object is made; without --json its
 * members are printed as lines. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "engine/preprocess.h"
#include "model/commands/command.h"
#include "model/quantize/facts.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(json_t *, json_decref)

static json_t *span(struct fn_span s) {
    return json_pack("[i,i]", s.low, s.high);
}

static json_t *text_or_null(const char *text) {
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *text_of(const struct fn_model *model, const char *key) {
    return text_or_null(fn_safetensors_metadata(model->file, key));
}

/* Metadata that are JSON themselves. */
static json_t *object_of(const struct fn_model *model, const char *key) {
    const char *value = fn_safetensors_metadata(model->file, key);
    json_t *object = value ? json_loads(value, JSON_REJECT_DUPLICATES, NULL) : NULL;
    return object ? object : json_null();
}

static json_t *widths(const struct fn_model *model) {
    json_t *object = json_object();
    for (int i = 0; i < model->network.n_layers; i++)
        if (model->network.layers[i].op != FN_OP_POOL)
            (void)json_object_set_new(object, model->network.layers[i].name,
                                      json_integer(model->network.layers[i].out_channels));
    return object;
}

/* Files older than the choice say nothing. */
static json_t *quantizer(const struct fn_model *model) {
    const char *text = fn_safetensors_metadata(model->file, "quantizer");
    return json_string(text ? text : "per channel");
}

static json_t *describe(const struct fn_model *model, const char *path) {
    struct fn_facts facts;
    fn_facts_gather(model, &facts);
    return json_pack(
        "{s:s, s:s, s:b, s:i, s:s, s:s, s:o, s:{s:o, s:o, s:o}, s:o, s:I, s:I, s:i,"
        " s:o, s:{s:o, s:o, s:o, s:o}, s:f, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o}",
        "file", path, "model", model->id, "untrained", model->untrained, "embedding_size",
        model->network.embedding_size, "preprocessing", fn_preprocessing_name(model->preprocessing),
        "crop", model->crop, "detector", text_or_null(model->detector_name),
        /* source */ "source", "format", text_of(model, "source_format"), "name",
        text_of(model, "source_name"), "sha256", text_of(model, "source_sha256"),
        /* size */ "calibration", object_of(model, "calibration"), "parameters",
        (json_int_t)facts.parameters, "macs", (json_int_t)facts.macs, "convolutions",
        facts.convolutions,
        /* fixed point */ "quantizer", quantizer(model), "ranges", "weight_frac_bits",
        span(facts.weights), "up_projection_frac_bits", span(facts.projections), "shifts",
        span(facts.shifts), "residual_shifts", span(facts.residuals), "largest_accumulator_log2",
        facts.bound_bits, "activation_frac_bits", object_of(model, "activation_frac_bits"),
        /* digests */ "digests", "data", text_of(model, "data_sha256"), "golden_accumulators",
        text_of(model, "golden_accumulators_sha256"), "golden_embedding",
        text_of(model, "golden_embedding_sha256"),
        /* the rest */ "operating_points", object_of(model, "operating_points"), "evaluations",
        object_of(model, "evaluations"), "widths", widths(model));
}

static void print_lines(const char *prefix, json_t *value);

static void print_elements(const char *prefix, json_t *array) {
    size_t i;
    json_t *element;
    json_array_foreach(array, i, element) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s.%zu", prefix, i);
        print_lines(name, element);
    }
}

/* One line a value, names joined by dots; lists of objects by their places. */
static void print_lines(const char *prefix, json_t *value) {
    const char *key;
    json_t *member;
    if (json_is_object(json_array_get(value, 0))) {
        print_elements(prefix, value);
        return;
    }
    if (!json_is_object(value) || !json_object_size(value)) {
        char *text = json_is_string(value)
                         ? strdup(json_string_value(value))
                         : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        (void)printf("%-34s %s\n", prefix, text ? text : "");
        free(text);
        return;
    }
    json_object_foreach(value, key, member) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", key);
        print_lines(name, member);
    }
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL;
    bool as_json = false, done;
    const struct fn_arg table[] = {
        {"--json", NULL, "one JSON object instead of lines", .flag = &as_json},
    };
    const struct fn_args args = {"MODEL", &path, table, sizeof table / sizeof table[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    status = fn_model_open(path, &model, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(json_decref) json_t *facts = describe(model, path);
    if (!facts) return fn_fail(err, FN_NO_MEMORY, "%s: cannot be described", path);
    if (as_json) {
        (void)json_dumpf(facts, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        (void)putchar('\n');
    } else {
        print_lines("", facts);
    }
    return FN_OK;
}

const struct fn_command fn_command_info = {
    .name = "info",
    .synopsis = "MODEL [--json]",
    .summary = "print what a model file holds",
    .run = run,
};
