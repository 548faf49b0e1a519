/* SPDX-License-Identifier: Apache-2.0
 *
 * source_torch.c -- a PyTorch state dict with the names of facenet-pytorch or deepface: kernels
 * OIHW, BatchNorm with gamma (`weight`) and its epsilon of 0.001, residual scales not folded. */
#include "engine/sha256.h"
#include "model/sources/naming.h"
#include "model/sources/tensor.h"
#include "model/sources/torch.h"

static fn_status visit_tensor(void *context, const struct fn_raw_tensor *tensor,
                              struct fn_error *err) {
    struct fn_source *source = context;
    char scope[FN_NAME_SIZE];
    enum fn_part part;
    if (!fn_naming_torch(tensor->name, scope, &part))
        return fn_source_skip(source, tensor->name, err);
    return fn_tensor_add(source, scope, part, FN_LAYOUT_OIHW, tensor, err);
}

static fn_status read_state_dict(const char *path, struct fn_source *source, struct fn_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    fn_sha256_hex(bytes, size, source->sha256);
    status = fn_torch_read(path, bytes, size, visit_tensor, source, err);
    if (status == FN_OK && source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a PyTorch file, but no tensor in it has a name of facenet-pytorch's "
                       "InceptionResnetV1, such as conv2d_1a.conv.weight",
                       path);
    return status;
}

static bool recognise(const char *path) {
    uint8_t head[16];
    return fn_source_peek(path, head, sizeof head) && fn_torch_recognise(head, sizeof head);
}

const struct fn_source_reader fn_source_torch = {
    .format = "pytorch",
    .about = "a PyTorch state dict (.pt)",
    .recognise = recognise,
    .read = read_state_dict,
    .name_part = fn_naming_torch_part,
};
