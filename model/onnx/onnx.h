/* SPDX-License-Identifier: Apache-2.0
 *
 * onnx.h -- the float network as an ONNX file, for other runtimes and other converters.
 *
 * Input "image": float32 [n, 3, 160, 160], RGB, preprocessed as the model's metadata say. Output
 * "embedding": float32 [n, embedding_size], L2-normalised. Opset 13, BatchNorm and residual scales
 * folded. The bytes depend on the source alone. */
#ifndef FN_ONNX_H
#define FN_ONNX_H

#include "model/sources/source.h"

FN_MUST fn_status fn_onnx_write(const struct fn_network *network, const struct fn_source *source,
                                enum fn_preprocessing preprocessing, const char *path,
                                struct fn_error *err);

#endif
