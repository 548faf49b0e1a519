/* SPDX-License-Identifier: Apache-2.0
 *
 * finder.c -- see finder.h. The detector's buffers are lent from a stack, so that there are as many
 * as threads ever looked at once, whoever those were. */
#include "daemon/finder.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

/* Where a reason to reject begins: beyond what 101 pictures of LFW have (sharpness 19...404,
 * brightness 66...168, roll to 18 degrees, score from 0.997). */
#define SMALL_PIXELS     40
#define BLURRED_VARIANCE 15
#define DARK_LUMA        50
#define BRIGHT_LUMA      205
#define TILTED_DEGREES   30
#define UNSURE_SCORE     0.95

/* What one search needs. */
struct desk {
    struct desk *next;
    struct fn_detect_scratch *scratch;
    struct fn_face faces[FN_DETECT_MAX_FACES];
    int kept[FN_DETECT_MAX_FACES]; /* of faces, by index */
    uint8_t crop[FN_CROP_SIZE];
};

struct fn_finder {
    struct fn_detector *detector;  /* NULL without */
    struct fn_detector *on_device; /* asked first, or NULL */
    atomic_bool device_failed;     /* it is asked no more */
    bool looks;
    enum fn_crop_contract contract; /* when it looks */
    pthread_mutex_t lock;
    struct desk *idle; /* guarded by lock */
};

/* ---- making, lending ------------------------------------------------------------------------ */

/* A device that cannot be used is no reason not to start: this CPU finds the same. */
static void open_on_device(struct fn_finder *finder, const struct fn_model *model,
                           const struct fn_detector_place *place) {
    struct fn_error err = {0};
    if (fn_detector_open_on(place, &model->detector, &finder->on_device, &err) != FN_OK)
        fn_log(FN_LOG_WARNING,
               "event=detector_device result=refused effect=\"the CPU looks for "
               "faces\" detail=\"%s\"",
               err.text);
}

fn_status fn_finder_new(const struct fn_model *model, const struct fn_detector_place *place,
                        struct fn_finder **ret_finder, struct fn_error *err) {
    enum fn_crop_contract contract;
    if (!fn_crop_parse(model->crop, &contract))
        return fn_fail(err, FN_BAD_MODEL, "the model's crop contract %s is unknown", model->crop);
    FN_CLEANUP(fn_finder_free) struct fn_finder *finder = calloc(1, sizeof *finder);
    if (!finder) return fn_fail(err, FN_NO_MEMORY, "no memory for a finder of faces");
    (void)pthread_mutex_init(&finder->lock, NULL);
    finder->contract = contract;
    finder->looks = model->has_detector && fn_crop_needs_face(contract);
    fn_status status = FN_OK;
    if (model->has_detector) status = fn_detector_open(&model->detector, &finder->detector, err);
    if (status == FN_OK && finder->looks && place) open_on_device(finder, model, place);
    if (status == FN_OK) *ret_finder = FN_TAKE(finder);
    return status;
}

static void free_desk(struct desk *desk) {
    if (!desk) return;
    fn_detect_scratch_free(desk->scratch);
    free(desk);
}
FN_DEFINE_CLEANUP(struct desk *, free_desk)

void fn_finder_free(struct fn_finder *finder) {
    if (!finder) return;
    while (finder->idle) {
        struct desk *desk = finder->idle;
        finder->idle = desk->next;
        free_desk(desk);
    }
    fn_detector_close(finder->on_device);
    fn_detector_close(finder->detector);
    pthread_mutex_destroy(&finder->lock);
    free(finder);
}

bool fn_finder_looks(const struct fn_finder *finder) {
    return finder->looks;
}

/* Who looks now. */
static const struct fn_detector *current(const struct fn_finder *finder) {
    bool device = finder->on_device && !atomic_load(&finder->device_failed);
    return device ? finder->on_device : finder->detector;
}

const char *fn_finder_kernels(const struct fn_finder *finder) {
    return finder->detector ? fn_detector_kernels(current(finder)) : NULL;
}

const char *fn_finder_crop(const struct fn_finder *finder, bool looked) {
    return looked ? fn_crop_name(finder->contract) : FN_CROP_WHOLE;
}

static fn_status borrow(struct fn_finder *finder, struct desk **ret_desk, struct fn_error *err) {
    pthread_mutex_lock(&finder->lock);
    struct desk *lent = finder->idle;
    if (lent) finder->idle = lent->next;
    pthread_mutex_unlock(&finder->lock);
    if (lent) {
        *ret_desk = lent;
        return FN_OK;
    }
    FN_CLEANUP(free_desk) struct desk *desk = calloc(1, sizeof *desk);
    if (!desk) return fn_fail(err, FN_NO_MEMORY, "no memory to look for faces");
    fn_status status = fn_detect_scratch_new(&desk->scratch, err);
    if (status == FN_OK) *ret_desk = FN_TAKE(desk);
    return status;
}

static void give_back(struct fn_finder *finder, struct desk *desk) {
    pthread_mutex_lock(&finder->lock);
    desk->next = finder->idle;
    finder->idle = desk;
    pthread_mutex_unlock(&finder->lock);
}

/* ---- finding -------------------------------------------------------------------------------- */

static bool is_rejected(const struct fn_find_options *options, const struct fn_found_face *found) {
    const struct fn_face_quality *q = &found->quality;
    unsigned is = (q->size < SMALL_PIXELS ? FN_REJECT_SMALL : 0) |
                  (q->sharpness < BLURRED_VARIANCE ? FN_REJECT_BLURRED : 0) |
                  (q->brightness < DARK_LUMA ? FN_REJECT_DARK : 0) |
                  (q->brightness > BRIGHT_LUMA ? FN_REJECT_BRIGHT : 0) |
                  (fabs(q->roll) > TILTED_DEGREES ? FN_REJECT_TILTED : 0) |
                  (found->face.score < UNSURE_SCORE ? FN_REJECT_UNSURE : 0);
    return (is & options->reject) != 0 || found->face.score < options->least_score;
}

static fn_status cut(const struct fn_finder *finder, const struct fn_picture *picture,
                     const struct fn_face *face, uint8_t *crop, struct fn_found_face *ret,
                     struct fn_error *err) {
    fn_status status = fn_crop_cut(finder->contract, picture, face, crop, err);
    if (status != FN_OK) return status;
    ret->face = fn_face_in_full(picture, face);
    ret->quality = fn_face_measure(picture, face, crop);
    return FN_OK;
}

/* Take the rejected out of desk->kept. */
static fn_status reject(const struct fn_finder *finder, struct desk *desk,
                        const struct fn_picture *picture, const struct fn_find_options *options,
                        int *n, struct fn_error *err) {
    int kept = 0;
    for (int i = 0; i < *n; i++) {
        struct fn_found_face found;
        fn_status status =
            cut(finder, picture, &desk->faces[desk->kept[i]], desk->crop, &found, err);
        if (status != FN_OK) return status;
        if (!is_rejected(options, &found)) desk->kept[kept++] = desk->kept[i];
    }
    *n = kept;
    return FN_OK;
}

/* Leave the chosen one in desk->kept. */
static fn_status choose(struct desk *desk, const struct fn_picture *picture,
                        enum fn_face_choice choice, int *n, struct fn_error *err) {
    struct fn_face *faces = desk->faces; /* kept ones to the front: their order stays */
    int index;
    for (int i = 0; i < *n; i++) faces[i] = faces[desk->kept[i]];
    fn_status status = fn_face_choose(choice, picture, faces, *n, &index, err);
    if (status != FN_OK) return status;
    desk->kept[0] = index;
    *n = 1;
    return FN_OK;
}

/* Take the first `skip` out of desk->kept. */
static fn_status pass_over(struct desk *desk, int skip, int *n, struct fn_error *err) {
    if (skip >= *n)
        return fn_fail(err, FN_FACE_NOT_FOUND, "face %d counted from 0: there are %d", skip, *n);
    *n -= skip;
    memmove(desk->kept, desk->kept + skip, (size_t)*n * sizeof desk->kept[0]);
    return FN_OK;
}

static fn_status make_room(struct fn_found *found, int n, struct fn_error *err) {
    found->faces = calloc((size_t)n, sizeof *found->faces);
    found->crops = malloc((size_t)n * FN_CROP_SIZE);
    if (!found->faces || !found->crops)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the crops of %d faces", n);
    found->n = n;
    return FN_OK;
}

/* All faces to desk->faces, *ret_n of them. */
static fn_status look(struct fn_finder *finder, struct desk *desk, const struct fn_picture *picture,
                      const struct fn_detect_options *options, struct fn_found *found, int *ret_n,
                      struct fn_detect_report *ret_report, struct fn_error *err) {
    const struct fn_detector *detector = current(finder);
    fn_status status =
        fn_detector_find(detector, desk->scratch, picture, options, FN_DETECT_MAX_FACES,
                         desk->faces, ret_n, &found->found, ret_report, err);
    if (status == FN_DEVICE_FAILED && detector == finder->on_device) {
        if (!atomic_exchange(&finder->device_failed, true))
            fn_log(FN_LOG_ERROR,
                   "event=detector_device result=failed effect=\"the CPU looks for "
                   "faces\" detail=\"%s\"",
                   err->text);
        detector = finder->detector;
        status = fn_detector_find(detector, desk->scratch, picture, options, FN_DETECT_MAX_FACES,
                                  desk->faces, ret_n, &found->found, ret_report, err);
    }
    found->detector = fn_detector_kernels(detector);
    return status;
}

static fn_status search(struct fn_finder *finder, struct desk *desk,
                        const struct fn_picture *picture, const struct fn_find_options *options,
                        struct fn_found *found, struct fn_error *err) {
    const struct fn_detect_options detect = {.min_face = options->min_face};
    struct fn_detect_report report;
    int n = 0;
    fn_status status = look(finder, desk, picture, &detect, found, &n, &report, err);
    if (status != FN_OK) return status;
    found->looked = true;
    found->min_face = report.min_face;
    found->limited = report.limited;
    for (int i = 0; i < n; i++) desk->kept[i] = i;
    if (options->reject || options->least_score > 0)
        status = reject(finder, desk, picture, options, &n, err);
    found->rejected = found->found - n;
    if (status == FN_OK && options->chosen && n > 0)
        status = choose(desk, picture, options->choice, &n, err);
    if (status == FN_OK && options->skip && n > 0) status = pass_over(desk, options->skip, &n, err);
    if (n > options->max_faces) n = options->max_faces;
    if (status == FN_OK && n > 0) status = make_room(found, n, err);
    for (int i = 0; status == FN_OK && i < n; i++)
        status = cut(finder, picture, &desk->faces[desk->kept[i]],
                     found->crops + (size_t)i * FN_CROP_SIZE, &found->faces[i], err);
    return status;
}

static fn_status take_whole(const struct fn_picture *picture, struct fn_found *found,
                            struct fn_error *err) {
    fn_status status = make_room(found, 1, err);
    if (status == FN_OK)
        status = fn_crop_cut(FN_CROP_CONTRACT_WHOLE, picture, NULL, found->crops, err);
    if (status != FN_OK) return status;
    found->found = 1;
    found->faces[0].face = (struct fn_face){.x2 = picture->full_width, .y2 = picture->full_height};
    return FN_OK;
}

fn_status fn_finder_find(struct fn_finder *finder, const struct fn_picture *picture,
                         const struct fn_find_options *options, struct fn_found *ret_found,
                         struct fn_error *err) {
    struct fn_found found = {0};
    fn_status status;
    if (options->is_crop || !finder->looks) {
        status = take_whole(picture, &found, err);
    } else {
        struct desk *desk;
        status = borrow(finder, &desk, err);
        if (status != FN_OK) return status;
        status = search(finder, desk, picture, options, &found, err);
        give_back(finder, desk);
    }
    if (status == FN_OK)
        *ret_found = found;
    else
        fn_found_done(&found);
    return status;
}

fn_status fn_found_take_crop(const uint8_t *pixels, struct fn_found *ret_found,
                             struct fn_error *err) {
    struct fn_found found = {0};
    fn_status status = make_room(&found, 1, err);
    if (status != FN_OK) {
        fn_found_done(&found);
        return status;
    }
    found.found = 1;
    found.faces[0].face = (struct fn_face){.x2 = FN_CROP_SIDE, .y2 = FN_CROP_SIDE};
    memcpy(found.crops, pixels, FN_CROP_SIZE);
    *ret_found = found;
    return FN_OK;
}

void fn_found_done(struct fn_found *found) {
    free(found->faces);
    free(found->crops);
    *found = (struct fn_found){0};
}
