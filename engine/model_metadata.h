/* SPDX-License-Identifier: Apache-2.0
 *
 * model_metadata.h -- private to engine/: the strings of a model file's __metadata__, both ways. */
#ifndef FN_MODEL_METADATA_H
#define FN_MODEL_METADATA_H

#include "engine/model_writer.h"
#include "engine/safetensors.h"

#define FN_MODEL_FORMAT         "facenetd-model"
#define FN_MODEL_FORMAT_VERSION "1"
#define FN_MAX_METADATA         24

/* Format name and version, and the digest of the tensor section: before anything else is believed.
 */
FN_MUST fn_status fn_model_check_format(const struct fn_safetensors *file, const char *file_name,
                                        struct fn_error *err);

/* Fill everything of `model` that metadata hold; network and file are set already. */
FN_MUST fn_status fn_model_read_metadata(struct fn_model *model, const char *file_name,
                                         struct fn_error *err);

/* Texts of the metadata to write, owned by `texts`. */
struct fn_metadata_texts {
    size_t n;
    struct fn_metadata items[FN_MAX_METADATA];
    char *owned[FN_MAX_METADATA];
};

/* Metadata for a draft whose digests (data, golden accumulators, golden embedding) are known. */
FN_MUST fn_status fn_model_make_metadata(const struct fn_model_draft *draft,
                                         const struct fn_model *model, const char *data_sha256,
                                         struct fn_metadata_texts *ret_texts, struct fn_error *err);
/* Metadata of the file that `model` was read from, with changes. data_sha256: NULL as it is. */
FN_MUST fn_status fn_model_copy_metadata(const struct fn_model *model,
                                         const struct fn_model_changes *changes,
                                         const char *data_sha256,
                                         struct fn_metadata_texts *ret_texts, struct fn_error *err);
void fn_metadata_texts_done(struct fn_metadata_texts *texts);

#endif
