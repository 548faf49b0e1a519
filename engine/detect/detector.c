/* SPDX-License-Identifier: Apache-2.0
 *
 * detector.c -- the cascade: pyramid, proposals, refinement, location.
 *
 * Thresholds, suppression and box arithmetic are those of davidsandberg/facenet's detect_face, with
 * which the reference accuracy was measured; it differs in the resampling (scale.h), in
 * ordering by logits and in having bounds. */
#include "engine/detect/detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/detect/nets.h"

#define FACTOR 0.709 /* from one level of the pyramid to the next */

/* Differences of logits at which the softmax is 0.6, 0.7 and 0.7: ln(p / (1 - p)). */
#define PROPOSE_MARGIN 0.405465108F
#define REFINE_MARGIN  0.847297860F
#define LOCATE_MARGIN  0.847297860F

/* Where outputs of a head lie. */
enum { NO_FACE, FACE, REGRESSION, LANDMARKS_X = REGRESSION + 4, LANDMARKS_Y = LANDMARKS_X + 5 };

struct fn_detector {
    struct fn_nets nets;
};

struct fn_detect_scratch {
    struct fn_nets_desk desk;
    struct fn_candidates level; /* of the level at hand */
    struct fn_candidates all;
    struct fn_rect pieces[FN_DETECT_MAX_REFINED];
    float landmarks[FN_DETECT_MAX_LOCATED][2 * FN_LANDMARKS]; /* by candidate's order */
    struct fn_face faces[FN_DETECT_MAX_LOCATED];
};

FN_DEFINE_CLEANUP(struct fn_detector *, fn_detector_close)
FN_DEFINE_CLEANUP(struct fn_detect_scratch *, fn_detect_scratch_free)

/* ---- making and unmaking -------------------------------------------------------------------- */

static fn_status open_by(const struct fn_conv_kernels *kernels,
                         const struct fn_mtcnn_weights *weights, struct fn_detector **ret_detector,
                         struct fn_error *err) {
    FN_CLEANUP(fn_detector_close) struct fn_detector *detector = calloc(1, sizeof *detector);
    if (!detector) return fn_fail(err, FN_NO_MEMORY, "no memory for the detector");
    fn_status status = fn_nets_open(kernels, weights, &detector->nets, err);
    if (status == FN_OK) *ret_detector = FN_TAKE(detector);
    return status;
}

fn_status fn_detector_open(const struct fn_mtcnn_weights *weights,
                           struct fn_detector **ret_detector, struct fn_error *err) {
    return open_by(fn_conv_kernels_choose(), weights, ret_detector, err);
}

fn_status fn_detector_open_as(const char *kernels, const struct fn_mtcnn_weights *weights,
                              struct fn_detector **ret_detector, struct fn_error *err) {
    const struct fn_conv_kernels *k;
    for (size_t i = 0; (k = fn_conv_kernels_at(i)); i++)
        if (strcmp(k->name, kernels) == 0) return open_by(k, weights, ret_detector, err);
    return fn_fail(err, FN_USAGE, "this CPU runs no detector kernels named \"%.40s\"", kernels);
}

fn_status fn_detector_open_on(const struct fn_detector_place *place,
                              const struct fn_mtcnn_weights *weights,
                              struct fn_detector **ret_detector, struct fn_error *err) {
    FN_CLEANUP(fn_detector_close) struct fn_detector *detector = NULL;
    fn_status status = fn_detector_open(weights, &detector, err);
    if (status == FN_OK) status = fn_nets_move(&detector->nets, place, err);
    if (status == FN_OK) *ret_detector = FN_TAKE(detector);
    return status;
}

void fn_detector_close(struct fn_detector *detector) {
    if (!detector) return;
    fn_nets_done(&detector->nets);
    free(detector);
}

const char *fn_detector_kernels(const struct fn_detector *detector) {
    return fn_nets_label(&detector->nets);
}

static bool make_candidates(struct fn_candidates *candidates, size_t limit) {
    candidates->limit = limit;
    candidates->items = calloc(2 * limit, sizeof *candidates->items);
    return candidates->items != NULL;
}

fn_status fn_detect_scratch_new(struct fn_detect_scratch **ret_scratch, struct fn_error *err) {
    FN_CLEANUP(fn_detect_scratch_free)
    struct fn_detect_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch || !make_candidates(&scratch->level, FN_DETECT_MAX_CANDIDATES) ||
        !make_candidates(&scratch->all, FN_DETECT_MAX_CANDIDATES))
        return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's candidates");
    fn_status status = fn_nets_desk_new(&scratch->desk, err);
    if (status == FN_OK) *ret_scratch = FN_TAKE(scratch);
    return status;
}

void fn_detect_scratch_free(struct fn_detect_scratch *scratch) {
    if (!scratch) return;
    fn_nets_desk_done(&scratch->desk);
    free(scratch->level.items);
    free(scratch->all.items);
    free(scratch);
}

/* ---- the pyramid ---------------------------------------------------------------------------- */

/* Least face in pixels as decoded. */
static fn_status choose_min_face(const struct fn_picture *picture, double wanted,
                                 double *ret_min_face, struct fn_detect_report *report,
                                 struct fn_error *err) {
    double shorter = fmin(picture->width, picture->height);
    double shrunk = (double)picture->width / picture->full_width;
    double min_face = wanted * shrunk;
    if (!(wanted == 0 || (wanted >= FN_DETECT_LEAST_FACE && wanted <= FN_DETECT_MOST_FACE)))
        return fn_fail(err, FN_BAD_OPTION, "min_face is %g pixels, expected %d...%d, or 0", wanted,
                       FN_DETECT_LEAST_FACE, FN_DETECT_MOST_FACE);
    if (wanted == 0)
        min_face = fmax(FN_DETECT_MIN_FACE, FN_PNET_CELL * shorter / (double)FN_DETECT_SHORT_SIDE);
    double pixels = (double)picture->width * picture->height;
    double least = fmax(FN_DETECT_LEAST_FACE, FN_PNET_CELL * sqrt(pixels / FN_DETECT_MAX_LEVEL));
    if (min_face < least) {
        if (least > FN_DETECT_LEAST_FACE) report->limited = true;
        min_face = least;
    }
    report->min_face = min_face / shrunk;
    *ret_min_face = min_face;
    return FN_OK;
}

/* Append the level's best to all the rest. */
static void merge_level(struct fn_detect_scratch *scratch, struct fn_detect_report *report) {
    struct fn_candidates *level = &scratch->level, *all = &scratch->all;
    if (level->found > level->limit) report->limited = true;
    fn_candidates_trim(level);
    level->n = fn_candidates_suppress(level->items, level->n, FN_OVERLAP_UNION, 0.5);
    for (size_t i = 0; i < level->n; i++) {
        if (all->n == 2 * all->limit) {
            fn_candidates_trim(all);
            report->limited = true;
        }
        all->items[all->n] = level->items[i];
        all->items[all->n++].order = all->found++;
    }
}

static fn_status propose(const struct fn_detector *detector, struct fn_detect_scratch *scratch,
                         const struct fn_picture *picture, double min_face,
                         struct fn_detect_report *report, struct fn_error *err) {
    struct fn_candidates *all = &scratch->all;
    double scale = FN_PNET_CELL / min_face;
    double shorter = fmin(picture->width, picture->height) * scale;
    all->n = all->found = 0;
    while (shorter >= FN_PNET_CELL) {
        scratch->level.n = scratch->level.found = 0;
        fn_status status = fn_nets_slide(&detector->nets, &scratch->desk, picture, scale,
                                         PROPOSE_MARGIN, &scratch->level, err);
        if (status != FN_OK) return status;
        merge_level(scratch, report);
        report->levels++;
        shorter *= FACTOR;
        scale *= FACTOR;
    }
    fn_candidates_trim(all);
    all->n = fn_candidates_suppress(all->items, all->n, FN_OVERLAP_UNION, 0.7);
    report->proposed = all->n;
    for (size_t i = 0; i < all->n; i++) fn_candidate_regress(&all->items[i], 0);
    return FN_OK;
}

/* ---- the second and the third network -------------------------------------------------------- */

/* Square and snap the candidates to pieces; those that are no pieces go, and those over `limit`. */
static void cut_pieces(struct fn_detect_scratch *scratch, const struct fn_picture *picture,
                       size_t limit, struct fn_detect_report *report) {
    struct fn_candidates *all = &scratch->all;
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct fn_candidate candidate = all->items[i];
        struct fn_rect piece;
        fn_candidate_square(&candidate);
        if (!fn_candidate_snap(&candidate, picture, FN_SCALE_MAX_SIDE, &piece)) continue;
        if (kept == limit) {
            report->limited = true;
            break;
        }
        scratch->pieces[kept] = piece;
        all->items[kept++] = candidate;
    }
    all->n = kept;
}

/* Replace the candidates by those that the network passes, with its margins and regressions. */
static fn_status judge(const struct fn_nets *nets, enum fn_mtcnn_net net,
                       struct fn_detect_scratch *scratch, const struct fn_picture *picture,
                       float threshold, struct fn_error *err) {
    struct fn_candidates *all = &scratch->all;
    size_t kept = 0, batch = fn_nets_batch(nets, net);
    for (size_t first = 0; first < all->n; first += batch) {
        size_t n = all->n - first < batch ? all->n - first : batch, pitch;
        const float *out;
        fn_status status = fn_nets_look(nets, net, &scratch->desk, picture, scratch->pieces + first,
                                        n, &out, &pitch, err);
        if (status != FN_OK) return status;
        for (size_t i = 0; i < n; i++, out += pitch) {
            struct fn_candidate candidate = all->items[first + i];
            candidate.margin = out[FACE] - out[NO_FACE];
            if (!(candidate.margin > threshold)) continue;
            memcpy(candidate.regression, out + REGRESSION, sizeof candidate.regression);
            candidate.order = (uint32_t)kept;
            if (net == FN_ONET)
                memcpy(scratch->landmarks[kept], out + LANDMARKS_X, sizeof scratch->landmarks[0]);
            all->items[kept++] = candidate;
        }
    }
    all->n = kept;
    return FN_OK;
}

static fn_status refine(const struct fn_detector *detector, struct fn_detect_scratch *scratch,
                        const struct fn_picture *picture, struct fn_detect_report *report,
                        struct fn_error *err) {
    struct fn_candidates *all = &scratch->all;
    cut_pieces(scratch, picture, FN_DETECT_MAX_REFINED, report);
    fn_status status = judge(&detector->nets, FN_RNET, scratch, picture, REFINE_MARGIN, err);
    if (status != FN_OK) return status;
    fn_candidates_sort(all->items, all->n);
    all->n = fn_candidates_suppress(all->items, all->n, FN_OVERLAP_UNION, 0.7);
    report->refined = all->n;
    for (size_t i = 0; i < all->n; i++) fn_candidate_regress(&all->items[i], 1);
    return FN_OK;
}

static fn_status locate(const struct fn_detector *detector, struct fn_detect_scratch *scratch,
                        const struct fn_picture *picture, struct fn_detect_report *report,
                        struct fn_error *err) {
    struct fn_candidates *all = &scratch->all;
    cut_pieces(scratch, picture, FN_DETECT_MAX_LOCATED, report);
    fn_status status = judge(&detector->nets, FN_ONET, scratch, picture, LOCATE_MARGIN, err);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < all->n; i++) {
        struct fn_candidate *c = &all->items[i];
        float *points = scratch->landmarks[c->order];
        struct fn_face *face = &scratch->faces[c->order];
        double width = c->x2 - c->x1 + 1, height = c->y2 - c->y1 + 1;
        for (int k = 0; k < FN_LANDMARKS; k++) {
            face->landmarks[k][0] = width * (double)points[k] + c->x1 - 1;
            face->landmarks[k][1] = height * (double)points[FN_LANDMARKS + k] + c->y1 - 1;
        }
        fn_candidate_regress(c, 1);
        face->x1 = c->x1;
        face->y1 = c->y1;
        face->x2 = c->x2;
        face->y2 = c->y2;
        face->score = 1 / (1 + exp(-(double)c->margin));
    }
    fn_candidates_sort(all->items, all->n);
    all->n = fn_candidates_suppress(all->items, all->n, FN_OVERLAP_LEAST, 0.7);
    report->located = all->n;
    return FN_OK;
}

/* ---- faces ---------------------------------------------------------------------------------- */

static double face_area(const struct fn_candidate *c) {
    return (c->x2 - c->x1) * (c->y2 - c->y1);
}

static int by_area(const void *a, const void *b) {
    const struct fn_candidate *x = a, *y = b;
    double area_x = face_area(x), area_y = face_area(y);
    if (area_x != area_y) return area_x > area_y ? -1 : 1;
    if (x->margin != y->margin) return x->margin > y->margin ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The last network can put anything where its weights are hostile: a face is a rectangle of finite
 * size that meets the picture. */
static bool is_face(const struct fn_candidate *c, const struct fn_face *face,
                    const struct fn_picture *picture) {
    double width = c->x2 - c->x1, height = c->y2 - c->y1;
    if (!(width >= 1 && width <= FN_SCALE_MAX_SIDE)) return false;
    if (!(height >= 1 && height <= FN_SCALE_MAX_SIDE)) return false;
    if (!(c->x1 < picture->width && c->x2 > 0 && c->y1 < picture->height && c->y2 > 0))
        return false;
    for (int k = 0; k < FN_LANDMARKS; k++)
        if (!isfinite(face->landmarks[k][0]) || !isfinite(face->landmarks[k][1])) return false;
    return true;
}

fn_status fn_detector_find(const struct fn_detector *detector, struct fn_detect_scratch *scratch,
                           const struct fn_picture *picture,
                           const struct fn_detect_options *options, int max_faces,
                           struct fn_face *ret_faces, int *ret_n, int *ret_found,
                           struct fn_detect_report *ret_report, struct fn_error *err) {
    struct fn_detect_report report = {0};
    struct fn_candidates *all = &scratch->all;
    double min_face = 0;
    fn_status status =
        choose_min_face(picture, options ? options->min_face : 0, &min_face, &report, err);
    if (status == FN_OK) status = propose(detector, scratch, picture, min_face, &report, err);
    if (status == FN_OK) status = refine(detector, scratch, picture, &report, err);
    if (status == FN_OK) status = locate(detector, scratch, picture, &report, err);
    if (status != FN_OK) return status;
    size_t found = 0;
    for (size_t i = 0; i < all->n; i++)
        if (is_face(&all->items[i], &scratch->faces[all->items[i].order], picture))
            all->items[found++] = all->items[i];
    qsort(all->items, found, sizeof *all->items, by_area);
    int n = found < (size_t)max_faces ? (int)found : max_faces;
    for (int i = 0; i < n; i++) ret_faces[i] = scratch->faces[all->items[i].order];
    *ret_n = n;
    *ret_found = (int)found;
    if (ret_report) *ret_report = report;
    return FN_OK;
}

struct fn_face fn_face_in_full(const struct fn_picture *picture, const struct fn_face *face) {
    double x = (double)picture->full_width / picture->width;
    double y = (double)picture->full_height / picture->height;
    struct fn_face full = *face;
    full.x1 *= x;
    full.x2 *= x;
    full.y1 *= y;
    full.y2 *= y;
    for (int k = 0; k < FN_LANDMARKS; k++) {
        full.landmarks[k][0] *= x;
        full.landmarks[k][1] *= y;
    }
    return full;
}
