/* SPDX-License-Identifier: Apache-2.0
 *
 * tensorflow.h -- what checkpoints and graphs of TensorFlow write alike: shapes and types
 * (tensorflow/core/framework/tensor_shape.proto, types.proto). */
#ifndef FN_TENSORFLOW_H
#define FN_TENSORFLOW_H

#include "model/sources/tensor.h"
#include "model/sources/wire.h"

/* TensorShapeProto { repeated Dim dim = 2 { int64 size = 1; } } into rank and shape, which begin
 * empty. False when it is damaged or has more axes than a tensor may have. */
bool fn_tensorflow_shape(struct fn_wire message, struct fn_raw_tensor *tensor);

/* DataType to ours: DT_FLOAT 1, DT_DOUBLE 2, DT_HALF 19; false for any other. */
bool fn_tensorflow_dtype(int number, enum fn_dtype *ret_dtype);

#endif
