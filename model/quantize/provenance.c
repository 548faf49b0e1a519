/* SPDX-License-Identifier: Apache-2.0
 *
 * provenance.c -- see provenance.h. */
#include "model/quantize/provenance.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "engine/sha256.h"
#include "model/quantize/blas.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

/* "model name" of the first CPU; "unknown" where the kernel does not say. */
static void find_cpu(char *ret_name, size_t size) {
    (void)snprintf(ret_name, size, "unknown");
    FN_CLEANUP(fclose) FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(ret_name, size, "%s", colon + 1 + strspn(colon + 1, " "));
        return;
    }
}

fn_status fn_provenance_describe(const struct fn_crops *crops, const struct fn_crop_way *way,
                                 char ret_json[FN_PROVENANCE_SIZE], struct fn_error *err) {
    char digest[FN_SHA256_HEX_SIZE], cpu[128];
    fn_sha256_hex(crops->pixels, crops->n * FN_CROP_SIZE, digest);
    find_cpu(cpu, sizeof cpu);
    FN_CLEANUP(json_decref)
    json_t *object =
        json_pack("{s:I, s:s, s:s, s:s, s:s}", "pictures", (json_int_t)crops->n, "sha256", digest,
                  "crop", fn_crop_way_name(way), "cpu", cpu, "sgemm", fn_blas_core());
    FN_CLEANUP_FREE char *text =
        object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (!text || strlen(text) >= FN_PROVENANCE_SIZE)
        return fn_fail(err, FN_NO_MEMORY, "no memory to describe the calibration");
    memcpy(ret_json, text, strlen(text) + 1);
    return FN_OK;
}

fn_status fn_provenance_check(const char *path, const char *json, const struct fn_crops *crops,
                              struct fn_error *err) {
    char digest[FN_SHA256_HEX_SIZE];
    fn_sha256_hex(crops->pixels, crops->n * FN_CROP_SIZE, digest);
    FN_CLEANUP(json_decref) json_t *object = json_loads(json, 0, NULL);
    const char *expected = json_string_value(json_object_get(object, "sha256"));
    if (expected && strcmp(expected, digest) == 0) return FN_OK;
    return fn_fail(err, FN_BAD_SOURCE,
                   "%s: weights were rounded together for crops with the sha256 %.16s, these %zu "
                   "have %.16s",
                   path, expected ? expected : "(none said)", crops->n, digest);
}
