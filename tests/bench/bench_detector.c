/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_detector.c -- how long the face detector takes on one core.
 *
 * Usage: bench_detector [--kernels NAME] MODEL PICTURE WIDTHxHEIGHT[r] MIN_FACE...
 *
 * MODEL has a detector. A picture is brought to the size by nearest pixels, or with an r by being
 * repeated side by side; 0x0 leaves it as it is. NAME is of an implementation that is not this
 * CPU's best, "avx2". The last three arguments may be given many times.
 * One row of Markdown a picture: medians over runs of at least a second, in CPU time of the one
 * thread, which others on the machine do not lengthen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/cleanup.h"
#include "engine/detect/detector.h"
#include "engine/file.h"
#include "engine/model.h"

#define MAX_RUNS 1000
#define SECONDS  1.0

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)
FN_DEFINE_CLEANUP(struct fn_detector *, fn_detector_close)
FN_DEFINE_CLEANUP(struct fn_detect_scratch *, fn_detect_scratch_free)

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static fn_status resize(struct fn_picture *picture, int width, int height, bool repeated,
                        struct fn_error *err) {
    uint8_t *rgb = malloc((size_t)3 * (size_t)width * (size_t)height);
    if (!rgb) return fn_fail(err, FN_NO_MEMORY, "no memory for a picture");
    uint8_t *to = rgb;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, to += 3) {
            ptrdiff_t row =
                repeated ? y % picture->height : (ptrdiff_t)y * picture->height / height;
            ptrdiff_t column =
                repeated ? x % picture->width : (ptrdiff_t)x * picture->width / width;
            memcpy(to, picture->rgb + 3 * (row * picture->width + column), 3);
        }
    free(picture->rgb);
    picture->rgb = rgb;
    picture->width = picture->full_width = width;
    picture->height = picture->full_height = height;
    return FN_OK;
}

static fn_status measure(const struct fn_detector *detector, const struct fn_picture *picture,
                         int min_face, struct fn_error *err) {
    static double times[MAX_RUNS];
    static struct fn_face faces[FN_DETECT_MAX_FACES];
    FN_CLEANUP(fn_detect_scratch_free) struct fn_detect_scratch *scratch = NULL;
    const struct fn_detect_options options = {.min_face = min_face};
    int n = 0, found = 0, kept = 0;
    double start = now();
    fn_status status = fn_detect_scratch_new(&scratch, err);
    for (; status == FN_OK && n < MAX_RUNS && (n < 3 || now() - start < SECONDS); n++) {
        double began = now();
        status = fn_detector_find(detector, scratch, picture, &options, FN_DETECT_MAX_FACES, faces,
                                  &kept, &found, NULL, err);
        times[n] = now() - began;
    }
    if (status != FN_OK) return status;
    qsort(times, (size_t)n, sizeof *times, compare);
    (void)printf("| %d x %d | %d | %d | %.1f | %s |\n", picture->width, picture->height, min_face,
                 found, 1e3 * times[n / 2], fn_detector_kernels(detector));
    return FN_OK;
}

static fn_status bench_one(const struct fn_detector *detector, char **arguments,
                           struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    size_t size = 0;
    char *end = NULL;
    long width = strtol(arguments[1], &end, 10);
    long height = *end == 'x' ? strtol(end + 1, &end, 10) : -1;
    long min_face = strtol(arguments[2], NULL, 10);
    bool repeated = *end == 'r';
    if (end[repeated] || width < 0 || width > 8000 || height < 0 || height > 8000)
        return fn_fail(err, FN_USAGE, "%s: expected WIDTHxHEIGHT or WIDTHxHEIGHTr", arguments[1]);
    fn_status status = fn_file_read(arguments[0], (size_t)64 << 20, &bytes, &size, err);
    if (status == FN_OK)
        status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, err);
    if (status == FN_OK && width && height)
        status = resize(picture, (int)width, (int)height, repeated, err);
    return status == FN_OK ? measure(detector, picture, (int)min_face, err) : status;
}

int main(int argc, char **argv) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_detector_close) struct fn_detector *detector = NULL;
    struct fn_error err;
    const char *kernels = argc > 2 && strcmp(argv[1], "--kernels") == 0 ? argv[2] : NULL;
    if (kernels) {
        argc -= 2;
        argv += 2;
    }
    if (argc < 5 || (argc - 2) % 3) {
        (void)fprintf(stderr,
                      "usage: bench_detector [--kernels NAME] MODEL PICTURE WIDTHxHEIGHT[r] "
                      "MIN_FACE...\n");
        return 2;
    }
    fn_status status = fn_model_open(argv[1], &model, &err);
    if (status == FN_OK && !model->has_detector)
        status = fn_fail(&err, FN_USAGE, "%s: has no detector", argv[1]);
    if (status == FN_OK && kernels)
        status = fn_detector_open_as(kernels, &model->detector, &detector, &err);
    else if (status == FN_OK)
        status = fn_detector_open(&model->detector, &detector, &err);
    if (status == FN_OK)
        (void)printf("| picture | `min_face` | faces | ms on one core | kernels |\n"
                     "|---|---|---|---|---|\n");
    for (int i = 2; i < argc && status == FN_OK; i += 3)
        status = bench_one(detector, argv + i, &err);
    if (status == FN_OK) return 0;
    (void)fprintf(stderr, "bench_detector: %s\n", err.text);
    return 1;
}
