/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_add_detector.c -- facenet-model add-detector: a finished model that cannot look for faces
 * learns to. It is another model afterwards: what it cuts decides its embeddings. */
#include <stdio.h>

#include "engine/detect/crop.h"
#include "engine/model_writer.h"
#include "model/commands/command.h"
#include "model/sources/detector_source.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)

static fn_status add(const char *path, const char *dir, const char *crop, const char *output,
                     struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL, *written = NULL;
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = NULL;
    fn_status status = fn_model_open(path, &model, err);
    if (status == FN_OK) status = fn_model_draft_new(&model->network, &draft, err);
    if (status == FN_OK) status = fn_detector_source_read(dir, draft, err);
    if (status != FN_OK) return status;
    const struct fn_model_changes changes = {
        .detector = &draft->detector, .detector_name = draft->detector_name, .crop = crop};
    status = fn_model_write_changed(model, &changes, output, err);
    if (status == FN_OK) status = fn_model_open(output, &written, err);
    if (status != FN_OK) return status;
    (void)printf("written       %s: %s, faces found by %s and cut as %s\n", output, written->id,
                 written->detector_name, crop);
    return FN_OK;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *model = NULL, *detector = NULL, *output = NULL, *crop = NULL;
    const struct fn_arg table[] = {
        {"--detector", "DIR", "det1.npy...det3.npy or pnet.pt...; or a model file with one",
         .text = &detector},
        {"--crop", "CONTRACT", "mtcnn-p17-160 (default), mtcnn-m32-160, aligned-5p-160",
         .text = &crop},
        {"-o", "MODEL", "the file to write", .text = &output},
    };
    const struct fn_args args = {"MODEL", &model, table, sizeof table / sizeof table[0]};
    enum fn_crop_contract contract;
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("--detector", detector, err);
    if (status == FN_OK) status = fn_args_need("-o", output, err);
    if (!crop) crop = fn_crop_name(FN_CROP_CONTRACT_DEFAULT);
    if (status == FN_OK && (!fn_crop_parse(crop, &contract) || !fn_crop_needs_face(contract)))
        status =
            fn_fail(err, FN_USAGE, "--crop %.40s: expected a crop contract that finds faces", crop);
    return status == FN_OK ? add(model, detector, crop, output, err) : status;
}

const struct fn_command fn_command_add_detector = {
    .name = "add-detector",
    .synopsis = "MODEL --detector DIR -o MODEL [options]",
    .summary = "write a model once more, with the face detector",
    .run = run,
};
