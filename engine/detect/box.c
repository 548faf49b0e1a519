/* SPDX-License-Identifier: Apache-2.0
 *
 * box.c -- see box.h. */
#include "engine/detect/box.h"

#include <math.h>
#include <stdlib.h>

static int by_margin(const void *a, const void *b) {
    const struct fn_candidate *x = a, *y = b;
    if (x->margin > y->margin) return -1;
    if (x->margin < y->margin) return 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void fn_candidates_sort(struct fn_candidate *candidates, size_t n) {
    qsort(candidates, n, sizeof *candidates, by_margin);
}

static double area(const struct fn_candidate *c) {
    return (c->x2 - c->x1 + 1) * (c->y2 - c->y1 + 1);
}

/* Not fmin() and fmax(), which cost a call each: of many candidates every two are compared. A NaN,
 * which hostile weights can make, compares one way everywhere and is no face (is_face()). */
static double least(double a, double b) {
    return a < b ? a : b;
}

static double greatest(double a, double b) {
    return a > b ? a : b;
}

static double overlap_of(const struct fn_candidate *a, const struct fn_candidate *b,
                         enum fn_overlap overlap) {
    double width = least(a->x2, b->x2) - greatest(a->x1, b->x1) + 1;
    if (!(width > 0)) return 0;
    double height = least(a->y2, b->y2) - greatest(a->y1, b->y1) + 1;
    if (!(height > 0)) return 0;
    double both = width * height, area_a = area(a), area_b = area(b);
    return both / (overlap == FN_OVERLAP_UNION ? area_a + area_b - both : least(area_a, area_b));
}

size_t fn_candidates_suppress(struct fn_candidate *candidates, size_t n, enum fn_overlap overlap,
                              double most) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < kept && overlap_of(&candidates[k], &candidates[i], overlap) <= most) k++;
        if (k == kept) candidates[kept++] = candidates[i];
    }
    return kept;
}

void fn_candidate_regress(struct fn_candidate *c, double rim) {
    double width = c->x2 - c->x1 + rim, height = c->y2 - c->y1 + rim;
    c->x1 += (double)c->regression[0] * width;
    c->y1 += (double)c->regression[1] * height;
    c->x2 += (double)c->regression[2] * width;
    c->y2 += (double)c->regression[3] * height;
}

void fn_candidate_square(struct fn_candidate *c) {
    double width = c->x2 - c->x1, height = c->y2 - c->y1, side = fmax(width, height);
    c->x1 = c->x1 + width * 0.5 - side * 0.5;
    c->y1 = c->y1 + height * 0.5 - side * 0.5;
    c->x2 = c->x1 + side;
    c->y2 = c->y1 + side;
}

bool fn_candidate_snap(struct fn_candidate *c, const struct fn_picture *picture, int max_side,
                       struct fn_rect *ret_rect) {
    c->x1 = trunc(c->x1);
    c->y1 = trunc(c->y1);
    c->x2 = trunc(c->x2);
    c->y2 = trunc(c->y2);
    double width = c->x2 - c->x1 + 1, height = c->y2 - c->y1 + 1;
    /* Written so that a NaN fails. */
    if (!(width >= 1 && width <= max_side && height >= 1 && height <= max_side)) return false;
    if (!(c->x1 <= picture->width && c->x2 >= 1 && c->y1 <= picture->height && c->y2 >= 1))
        return false;
    *ret_rect = (struct fn_rect){(int)c->x1 - 1, (int)c->y1 - 1, (int)width, (int)height};
    return true;
}
