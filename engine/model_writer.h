/* SPDX-License-Identifier: Apache-2.0
 *
 * model_writer.h -- make a model file out of quantized parameters.
 *
 * The draft is filled by the quantizer (model/quantize/quantize.c) or by fn_untrained_draft();
 * writing proves the limits, runs the golden picture through the reference engine, and computes
 * digests and id. */
#ifndef FN_MODEL_WRITER_H
#define FN_MODEL_WRITER_H

#include "engine/model.h"

/* Everything of a model that is not derived. Arrays are owned by the draft. */
struct fn_model_draft {
    struct fn_network network;
    struct {
        int8_t *weights;   /* [oc][kh][kw][ic] */
        int32_t *bias;     /* [oc] */
        int8_t *frac_bits; /* [oc] */
    } params[FN_MAX_LAYERS];
    int8_t frac_bits[FN_MAX_TENSORS];
    enum fn_preprocessing preprocessing;
    bool untrained;
    char crop[24];
    char source_format[32]; /* "npy", "untrained", ... */
    char source_name[96];   /* no directories */
    char source_sha256[FN_DIGEST_SIZE];
    bool has_detector;
    struct fn_mtcnn_weights detector; /* into detector_values */
    float *detector_values;           /* owned; see fn_model_draft_add_detector() */
    char detector_name[FN_DETECTOR_NAME_SIZE];
    char quantizer[96];    /* how the weights were quantized, for people; or "" */
    char *channel_scales;  /* owned: JSON object, see docs/model-format.md; or NULL */
    char calibration[512]; /* JSON object for the metadata: pictures, sha256, crop, cpu; or "" */
    int n_operating_points;
    struct fn_operating_point operating_points[FN_MAX_OPERATING_POINTS];
};

/* Allocate the arrays for `network` (copied), zeroed. */
FN_MUST fn_status fn_model_draft_new(const struct fn_network *network,
                                     struct fn_model_draft **ret_draft, struct fn_error *err);
void fn_model_draft_free(struct fn_model_draft *draft);

/* Give the draft a detector whose arrays, all zero, the caller then fills; it has the published
 * one's name. */
FN_MUST fn_status fn_model_draft_add_detector(struct fn_model_draft *draft, struct fn_error *err);

/* Whether an output channel, as the draft has it now, obeys limits.h. The quantizer lowers f_w
 * until it does. */
bool fn_model_draft_channel_fits(const struct fn_model_draft *draft, int layer, int oc);

/* A model that borrows the draft's arrays, without id or digests, for running an engine on it.
 * free() it before the draft goes. */
FN_MUST fn_status fn_model_draft_view(const struct fn_model_draft *draft,
                                      struct fn_model **ret_model, struct fn_error *err);

/* Write the file atomically (a temporary beside it, then rename). FN_BAD_MODEL when a channel
 * breaks a limit, FN_IO when the file cannot be written; nothing is left behind on failure. */
FN_MUST fn_status fn_model_write(const struct fn_model_draft *draft, const char *path,
                                 struct fn_error *err);

/* What a copy of a model is to have of its own; NULL: as it is. */
struct fn_model_changes {
    const struct fn_mtcnn_weights *detector; /* makes another model, with another id */
    const char *detector_name;               /* belongs to `detector` */
    const char *crop;                        /* contract */
    const struct fn_operating_point *points; /* [n_points] */
    int n_points;
    const char *evaluations; /* JSON list, see docs/model-format.md */
};

/* Write `model`, which was read from a file, once more with changes. FN_USAGE when it was not read
 * from a file; otherwise as fn_model_write(). */
FN_MUST fn_status fn_model_write_changed(const struct fn_model *model,
                                         const struct fn_model_changes *changes, const char *path,
                                         struct fn_error *err);

/* A network of the right shape with pseudo-random weights, all integer arithmetic, so the same file
 * on every machine. Widths are those of the full network times width_numerator / 32 (at least 1),
 * the embedding `embedding_size` long. Never meaningful: marked untrained. */
FN_MUST fn_status fn_untrained_draft(uint64_t seed, int width_numerator, int embedding_size,
                                     struct fn_model_draft **ret_draft, struct fn_error *err);

#endif
