/* SPDX-License-Identifier: Apache-2.0
 *
 * model_detector.h -- private to engine/: the detector's tensors in a model file. */
#ifndef FN_MODEL_DETECTOR_H
#define FN_MODEL_DETECTOR_H

#include "engine/model.h"
#include "engine/safetensors.h"

#define FN_MTCNN_MAX_TENSORS (3 * FN_MTCNN_LAYERS)

/* Whether a tensor's name lies under MTCNN/. */
bool fn_is_detector_tensor(const char *name);

/* Fill model->detector from model->file: all tensors of the detector or none. FN_BAD_MODEL names
 * the tensor that is missing, superfluous, of another shape, or has a number that is not finite. */
FN_MUST fn_status fn_model_read_detector(struct fn_model *model, const char *file_name,
                                         struct fn_error *err);

/* Describe the detector's tensors for writing. ret_names holds what ret_tensors point to. Returns
 * how many there are. */
size_t fn_model_list_detector(const struct fn_mtcnn_weights *detector,
                              struct fn_stored_tensor ret_tensors[FN_MTCNN_MAX_TENSORS],
                              char ret_names[FN_MTCNN_MAX_TENSORS][FN_NAME_SIZE]);

#endif
