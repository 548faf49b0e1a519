/* SPDX-License-Identifier: Apache-2.0
 *
 * naming.h -- the names that FaceNet's layers go by, and the slim scope each stands for. */
#ifndef FN_NAMING_H
#define FN_NAMING_H

#include <stdbool.h>
#include <stddef.h>

#include "model/sources/source.h"

/* TensorFlow-slim: "InceptionResnetV1/Conv2d_1a_3x3/BatchNorm/beta", with or without ":0" and with
 * or without the root before it. */
bool fn_naming_slim(const char *name, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part);
/* The slim name of a part: "<scope>/weights", "<scope>/biases", "<scope>/BatchNorm/beta", ... */
void fn_naming_slim_part(const char *scope, enum fn_part part, char *ret_name, size_t size);

/* A layer as the Keras ports name it: "Block35_1_Branch_1_Conv2d_0b_3x3", "Bottleneck". */
bool fn_naming_block(const char *name, char ret_scope[FN_NAME_SIZE]);
/* The reverse; "" for a scope that is none of the network's. */
void fn_naming_block_of(const char *scope, char *ret_name, size_t size);

/* A parameter as facenet-pytorch names it ("repeat_1.0.branch1.0.conv.weight") or deepface
 * ("block35.0.branch_1.0.conv.weight"), within up to four other modules ("module."). */
bool fn_naming_torch(const char *name, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part);
/* The reverse; "" for a scope that is none of the network's. */
void fn_naming_torch_part(const char *scope, enum fn_part part, char *ret_name, size_t size);

/* Scopes of all convolutions and the head in the order of the network, 0 ... FN_NAMING_SCOPES - 1:
 * branch after branch, then the up-projection, as walking back from the output finds them. */
#define FN_NAMING_SCOPES 133
void fn_naming_scope(int index, char ret_scope[FN_NAME_SIZE]);

#endif
