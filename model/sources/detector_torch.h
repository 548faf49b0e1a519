/* SPDX-License-Identifier: Apache-2.0
 *
 * detector_torch.h -- the detector's arrays out of PyTorch state dicts with the names of
 * facenet-pytorch (pnet.pt, rnet.pt, onet.pt): conv1.weight [out][in][y][x], dense4.weight
 * [out][x, y, in], prelu1.weight, ... */
#ifndef FN_DETECTOR_TORCH_H
#define FN_DETECTOR_TORCH_H

#include "engine/detect/mtcnn.h"
#include "model/sources/npy.h"

/* The array of layer `index` of fn_mtcnn_layers: "weights", "biases" or "alpha", with the axes of
 * the published .npy (kernels [x][y][in][out], matrices [x, y, in][out]). It borrows from `bytes`.
 * `path` stands in messages. FN_BAD_SOURCE when it is not there or the file is damaged. */
FN_MUST fn_status fn_detector_torch_find(const char *path, const uint8_t *bytes, size_t size,
                                         int index, const char *part, struct fn_npy *ret_array,
                                         struct fn_error *err);

#endif
