/* SPDX-License-Identifier: Apache-2.0
 *
 * source.h -- trained weights from anywhere, under TensorFlow-slim scopes.
 *
 * A reader (one file source_<format>.c) turns a format into strided views of stored numbers,
 * one per scope and part, and states the properties of the source. What is done with them is the
 * same for all: shapes are checked against the topology, BatchNorm and the residual scale are
 * folded in double unless the source says that they are folded already. A new format is one new
 * reader in the table of source.c. */
#ifndef FN_SOURCE_H
#define FN_SOURCE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cleanup.h"
#include "engine/model.h"
#include "engine/network.h"
#include "engine/safetensors.h"
#include "engine/status.h"

/* What belongs to one scope. Without mean and variance there is no BatchNorm. */
enum fn_part {
    FN_PART_KERNEL,   /* [oc][kh][kw][ic] */
    FN_PART_BIAS,     /* [oc] like all below; added before BatchNorm */
    FN_PART_GAMMA,    /* optional in BatchNorm: 1 */
    FN_PART_BETA,     /* optional in BatchNorm: 0 */
    FN_PART_MEAN,     /* moving mean */
    FN_PART_VARIANCE, /* moving variance */
    FN_PARTS
};

/* Stored numbers seen with canonical axes, whatever their order in the file. Vectors are
 * [n][1][1][1]. The reader guarantees that every element lies within the storage. */
struct fn_source_array {
    const void *data;    /* borrowed from storage that the source owns; any alignment */
    enum fn_dtype dtype; /* FN_DTYPE_F16, _F32 or _F64 */
    int64_t shape[4];
    int64_t stride[4];              /* elements */
    char origin[FN_NAME_SIZE + 32]; /* file or tensor it came from, for messages */
};

struct fn_source_scope {
    char name[FN_NAME_SIZE];
    struct fn_source_array part[FN_PARTS]; /* data NULL: absent */
};

/* Something the source owns until it is freed. */
struct fn_storage {
    void *object;
    void (*free)(void *object);
};

struct fn_source {
    const struct fn_source_reader *reader; /* NULL: made in memory */
    char path[4096];                       /* as given, for messages */
    char sha256[FN_DIGEST_SIZE];           /* of the file; of a directory see source_npy.c */
    bool residual_scale_folded;            /* else fn_layer.residual_scale is applied */
    double batchnorm_epsilon;
    bool use_averages;                  /* option --ema */
    uint64_t memory_limit, memory_used; /* bytes of files and tensors, see tensor.h */
    char note[200];                     /* what was recognised and left out, for people; or "" */
    bool preprocessing_known;
    enum fn_preprocessing preprocessing; /* as the source states it */
    struct fn_source_scope *scopes;      /* [n_scopes], owned */
    size_t n_scopes, scopes_capacity;
    struct fn_storage *storage; /* [n_storage], owned */
    size_t n_storage;
    char **unused; /* [n_unused], owned: tensors of the source that the network has no place for */
    size_t n_unused;
};

struct fn_source_reader {
    const char *format; /* "npy" */
    const char *about;  /* for messages: "a directory of .npy files" */
    /* Whether `path` looks like this format; cheap, and false on any error. */
    bool (*recognise)(const char *path);
    /* Fill the source with fn_source_add(); properties and sha256 too. */
    fn_status (*read)(const char *path, struct fn_source *source, struct fn_error *err);
    /* Name that the source would have for a part of a scope, for "missing" messages. */
    void (*name_part)(const char *scope, enum fn_part part, char *ret_name, size_t size);
};

extern const struct fn_source_reader fn_source_npy;           /* source_npy.c */
extern const struct fn_source_reader fn_source_safetensors;   /* source_safetensors.c */
extern const struct fn_source_reader fn_source_tf_checkpoint; /* source_tf_checkpoint.c */
extern const struct fn_source_reader fn_source_graphdef;      /* source_graphdef.c */
extern const struct fn_source_reader fn_source_keras;         /* source_keras.c */
extern const struct fn_source_reader fn_source_extract;       /* source_extract.c */
extern const struct fn_source_reader fn_source_onnx;          /* source_onnx.c */
extern const struct fn_source_reader fn_source_torch;         /* source_torch.c */

#define FN_SOURCE_MEMORY ((uint64_t)1 << 30) /* default memory limit */

struct fn_source_options {
    bool use_averages;     /* exponential moving averages instead of the weights themselves */
    uint64_t memory_limit; /* bytes; 0: FN_SOURCE_MEMORY */
};

/* The reader for what the path holds, or NULL. */
const struct fn_source_reader *fn_source_recognise(const char *path);
/* Open by what the path holds. FN_IO, FN_BAD_SOURCE; FN_USAGE when there are no averages to use.
 * Options may be NULL. */
FN_MUST fn_status fn_source_open_with(const char *path, const struct fn_source_options *options,
                                      struct fn_source **ret_source, struct fn_error *err);
FN_MUST fn_status fn_source_open(const char *path, struct fn_source **ret_source,
                                 struct fn_error *err);
/* An empty source, BatchNorm epsilon 0.001. */
FN_MUST fn_status fn_source_new(const char *path, struct fn_source **ret_source,
                                struct fn_error *err);
void fn_source_free(struct fn_source *source); /* NULL is a no-op */

/* For readers. The object is freed with the source, or at once when this fails. */
FN_MUST fn_status fn_source_own(struct fn_source *source, void *object, void (*free)(void *),
                                struct fn_error *err);
/* The array is copied, its data borrowed. A part given twice is an error that names both. */
FN_MUST fn_status fn_source_add(struct fn_source *source, const char *scope, enum fn_part part,
                                const struct fn_source_array *array, struct fn_error *err);
/* Note a tensor that has no place in the network. */
FN_MUST fn_status fn_source_skip(struct fn_source *source, const char *name, struct fn_error *err);

/* NULL when there is no such scope. */
const struct fn_source_scope *fn_source_find(const struct fn_source *source, const char *scope);

/* Build the network for the widths of the source and check that every layer has what it needs;
 * scopes the network does not have are added to `unused`. FN_BAD_SOURCE names tensor and file. */
FN_MUST fn_status fn_source_network(struct fn_source *source, struct fn_network *ret_network,
                                    struct fn_error *err);

/* Weights [oc][kh][kw][ic] and bias [oc] of a layer, BatchNorm and residual scale folded in double.
 * FN_BAD_SOURCE when a number is not finite or a shape does not fit. */
FN_MUST fn_status fn_source_fold(const struct fn_source *source, const struct fn_layer *layer,
                                 double *ret_weights, double *ret_bias, struct fn_error *err);

/* Which preprocessing to use. `wanted` is "fixed", "per-image" or NULL: then the source's word,
 * then `fixed` for anything but a 128-d network, for which there is no guess: FN_USAGE. */
FN_MUST fn_status fn_source_preprocessing(const struct fn_source *source, int embedding_size,
                                          const char *wanted, enum fn_preprocessing *ret,
                                          struct fn_error *err);

FN_DEFINE_CLEANUP(struct fn_source *, fn_source_free)

#endif
