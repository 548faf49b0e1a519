/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h -- a quantized network and its file (docs/model-format.md has the file byte by byte).
 *
 * A model is read-only after fn_model_open() and may be shared by any number of threads. Opening
 * checks the whole file and proves that no accumulator can overflow, so engines need no checks. */
#ifndef FN_MODEL_H
#define FN_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "engine/detect/mtcnn.h"
#include "engine/network.h"
#include "engine/status.h"

#define FN_MODEL_ID_SIZE        32
#define FN_MAX_OPERATING_POINTS 16
#define FN_MAX_EVALUATIONS      16
#define FN_DIGEST_SIZE          65 /* sha256 in hex, with its NUL */
#define FN_DETECTOR_NAME_SIZE   32
#define FN_DETECTOR_PUBLISHED   "mtcnn" /* whose weights a detector without a name has */

enum fn_preprocessing {
    FN_PREPROCESSING_FIXED,     /* q = pixel - 128, f = 7; the half step is in Conv2d_1a's bias */
    FN_PREPROCESSING_PER_IMAGE, /* (p - mean) / max(sigma, 1/sqrt(76800)), f = 5 */
};

/* Parameters of one layer; all borrowed from the mapped file, empty for pools. */
struct fn_params {
    const int8_t *weights;   /* [out_channels][kernel_h][kernel_w][in_channels] */
    const int32_t *bias;     /* [out_channels], f = f_in + frac_bits[oc]; the head's is 9 times */
    const int8_t *frac_bits; /* [out_channels], f_w */
};

/* A threshold fitted at a stated false-accept rate on stated pairs. */
struct fn_operating_point {
    char metric[16]; /* "l2_squared" */
    char crop[24];   /* crop contract the pairs were cut by */
    char fitted_on[96];
    double value, far;
    double value_low, value_high; /* 95 % interval of the value, by bootstrap over people */
    double true_accepts;          /* share of genuine pairs at or below the value */
    int64_t pairs;                /* impostor pairs used */
    bool low_confidence;          /* fewer than 10 / far impostor pairs */
};

struct fn_model {
    struct fn_network network;
    struct fn_params params[FN_MAX_LAYERS]; /* by layer index */
    int8_t frac_bits[FN_MAX_TENSORS];       /* by tensor index */
    enum fn_preprocessing preprocessing;
    char id[FN_MODEL_ID_SIZE]; /* 16 hex digits, "untrained-" before them if so */
    bool untrained;
    char crop[24];                            /* crop contract, "whole-160" */
    char source[160];                         /* where the weights came from, for people */
    char golden_accumulators[FN_DIGEST_SIZE]; /* sha256 of the int32 accumulators, or "" */
    char golden_embedding[FN_DIGEST_SIZE];    /* sha256 of the float32 embedding, or "" */
    uint64_t golden_seed;                     /* of the golden picture, see golden.h */
    int n_operating_points;
    struct fn_operating_point operating_points[FN_MAX_OPERATING_POINTS];
    bool has_detector;
    struct fn_mtcnn_weights detector;          /* all NULL without */
    char detector_name[FN_DETECTOR_NAME_SIZE]; /* whose weights, "mtcnn"; "" without */
    struct fn_safetensors *file;               /* owned: the mapping that params borrow from */
};

/* Open and check a model file. FN_IO, FN_BAD_MODEL or FN_NO_MEMORY with a text that names the file.
 * Untrained models open too: refusing them is the caller's business. */
FN_MUST fn_status fn_model_open(const char *path, struct fn_model **ret_model,
                                struct fn_error *err);

/* The same from a file image in memory (copied). `name` stands in messages. */
FN_MUST fn_status fn_model_open_memory(const char *name, const void *bytes, size_t size,
                                       struct fn_model **ret_model, struct fn_error *err);

/* Whether a detector may have that name: 1...31 of a-z, 0-9, '.' and '-', for it stands in answers
 * and logs as it is. */
bool fn_model_is_detector_name(const char *text);

/* NULL is a no-op. No engine may still use the model. */
void fn_model_close(struct fn_model *model);

/* s of an output channel: bits from accumulator to output. */
int fn_model_shift(const struct fn_model *model, int layer, int output_channel);
/* r of an output channel: bits the residual is shifted left before it is added. */
int fn_model_residual_shift(const struct fn_model *model, int layer, int output_channel);
/* Fractional bits that a remainder has more than the tensor it is of; 0 for the index 0, none. */
int fn_remainder_bits(const int8_t *tensor_frac_bits, int tensor, int remainder);
/* d of a pool: right shift (negative: left) from its input's to its output's fractional bits. */
int fn_model_pool_shift(const struct fn_model *model, int layer);

#endif
