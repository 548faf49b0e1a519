/* SPDX-License-Identifier: Apache-2.0
 *
 * detector_source.h -- a detector's weights into a model draft.
 *
 * A folder with either det1.npy, det2.npy and det3.npy, as davidsandberg/facenet carries them, or
 * pnet/, rnet/ and onet/ with the same arrays one by one (conv1_weights.npy, conv1_biases.npy,
 * PReLU1_alpha.npy, ...), or pnet.pt, rnet.pt and onet.pt, as facenet-pytorch carries them. Kernels
 * of the first two are [x][y][in][out]; fully-connected ones [x, y, in][out]. A file name.txt
 * beside them says whose they are. Or a finished model, whose detector is taken over. */
#ifndef FN_DETECTOR_SOURCE_H
#define FN_DETECTOR_SOURCE_H

#include "engine/model_writer.h"

/* Read `path` and give the draft its detector. FN_IO, FN_BAD_SOURCE or FN_NO_MEMORY; the text names
 * the file or array. */
FN_MUST fn_status fn_detector_source_read(const char *path, struct fn_model_draft *draft,
                                          struct fn_error *err);

#endif
