/* SPDX-License-Identifier: Apache-2.0
 *
 * detector_weights.h -- weights for the detector: the published ones where they lie beside the
 * checkout, or random ones of the right shape. */
#ifndef FN_TESTS_DETECTOR_WEIGHTS_H
#define FN_TESTS_DETECTOR_WEIGHTS_H

#include <math.h>
#include <unistd.h>

#include "engine/model_writer.h"
#include "model/sources/detector_source.h"
#include "tests/unit/support/random.h"

#define DETECTOR_WEIGHTS "../shared/data/mtcnn-npy"

/* A small draft with a detector; NULL when `published` weights are wanted and absent. */
static inline struct fn_model_draft *detector_draft(bool published) {
    struct fn_model_draft *draft = NULL;
    struct fn_error err;
    if (published && access(DETECTOR_WEIGHTS, F_OK) != 0) return NULL;
    if (fn_untrained_draft(7, 1, 8, &draft, &err) != FN_OK) fail_msg("%s", err.text);
    fn_status status = published ? fn_detector_source_read(DETECTOR_WEIGHTS, draft, &err)
                                 : fn_model_draft_add_detector(draft, &err);
    if (status != FN_OK) fail_msg("%s", err.text);
    if (published) return draft;
    float *values = draft->detector_values;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[i];
        size_t n = fn_mtcnn_kernel_count(layer), channels = (size_t)layer->out_channels;
        float size = sqrtf(3 * (float)channels / (float)n);
        for (size_t k = 0; k < n; k++) *values++ = size * random_float();
        for (size_t k = 0; k < channels * (layer->prelu ? 2 : 1); k++)
            *values++ = 0.3F * random_float();
    }
    return draft;
}

#endif
