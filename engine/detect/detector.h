/* SPDX-License-Identifier: Apache-2.0
 *
 * detector.h -- find the faces in a picture: MTCNN, three networks that propose, refine and locate.
 *
 * The same picture gives the same faces to the bit on every machine (conv.h says how); there
 * is no other definition. A detector is read-only and may be shared by any number of threads, each
 * with a scratch of its own.
 *
 * Bounds, so that no picture costs more than its size allows: at most FN_DETECT_MAX_LEVEL pixels in
 * the largest level of the pyramid (min_face is raised until that holds); of the candidates of each
 * level and of all levels together the best FN_DETECT_MAX_CANDIDATES; of these at most
 * FN_DETECT_MAX_REFINED pass to the second network and FN_DETECT_MAX_LOCATED to the third. */
#ifndef FN_DETECTOR_H
#define FN_DETECTOR_H

#include "engine/detect/mtcnn.h"
#include "engine/picture/picture.h"

#define FN_DETECT_MIN_FACE       20 /* pixels: the default for small pictures */
#define FN_DETECT_LEAST_FACE     12 /* pixels: what the first network sees */
#define FN_DETECT_MOST_FACE      65535
#define FN_DETECT_SHORT_SIDE     384 /* pixels of the largest level's shorter side, by default */
#define FN_DETECT_MAX_LEVEL      2000000
#define FN_DETECT_MAX_CANDIDATES 4096
#define FN_DETECT_MAX_REFINED    2048
#define FN_DETECT_MAX_LOCATED    512
#define FN_DETECT_MAX_FACES      FN_DETECT_MAX_LOCATED

enum fn_landmark {
    FN_LEFT_EYE,
    FN_RIGHT_EYE,
    FN_NOSE,
    FN_MOUTH_LEFT,
    FN_MOUTH_RIGHT,
    FN_LANDMARKS
};

/* Coordinates are pixels of the picture as decoded: picture->rgb, not yet full size. Edges may lie
 * beyond the picture. Left and right are the picture's, not the person's. */
struct fn_face {
    double x1, y1, x2, y2;
    double landmarks[FN_LANDMARKS][2]; /* x, y */
    double score;                      /* 0.7...1: softmax of the last network */
};

struct fn_detect_options {
    double min_face; /* least side of a face in pixels of the full picture; 0: the default, which is
                        FN_DETECT_MIN_FACE, raised for large pictures by FN_DETECT_SHORT_SIDE */
};

/* What fn_detector_find() did. */
struct fn_detect_report {
    double min_face; /* as used, pixels of the full picture */
    int levels;
    size_t proposed, refined, located; /* candidates into each network and out of the last */
    bool limited;                      /* one of the bounds was met: faces may be missing */
};

struct fn_detector;       /* opaque: packed weights */
struct fn_detect_scratch; /* opaque: buffers of one caller at a time, kept between calls */

/* The weights are copied. FN_NO_MEMORY. */
FN_MUST fn_status fn_detector_open(const struct fn_mtcnn_weights *weights,
                                   struct fn_detector **ret_detector, struct fn_error *err);
/* The same by the implementation of that name (fn_conv_kernels_at()); for tests. FN_USAGE when this
 * CPU has no such. */
FN_MUST fn_status fn_detector_open_as(const char *kernels, const struct fn_mtcnn_weights *weights,
                                      struct fn_detector **ret_detector, struct fn_error *err);
/* An OpenCL device that computes the three networks. */
struct fn_detector_place {
    const char *device;     /* part of a platform's or device's name, as in engine.h */
    const char *kernel_dir; /* NULL: the kernels that are built in */
    const char *cache_dir;  /* of built programs; NULL: none */
    const char *builder;    /* as in engine.h; NULL: kernels are compiled here */
    int64_t patience_ms;    /* of a call of the device, which hangs after that; 0: for ever */
};

/* What a builder is called with in place of a kernel family, and is then to call. */
#define FN_DETECTOR_FAMILY "detector"
FN_MUST fn_status fn_detector_build_kernels(const struct fn_detector_place *place,
                                            struct fn_error *err);

/* The same by the kernels of kernels/detect.cl. Faces are the same to the bit: all three networks
 * are held against the CPU's on a known picture first. FN_NO_DEVICE; FN_DEVICE_FAILED, also when
 * the device computes something else, or does not answer. One that hangs later fails every search
 * from then on, and what it may still use is left to it (engine/errand.h). */
FN_MUST fn_status fn_detector_open_on(const struct fn_detector_place *place,
                                      const struct fn_mtcnn_weights *weights,
                                      struct fn_detector **ret_detector, struct fn_error *err);
void fn_detector_close(struct fn_detector *detector); /* NULL is a no-op */
/* What computes: "avx2", or "opencl:" and a device's name; borrowed from the detector. */
const char *fn_detector_kernels(const struct fn_detector *detector);

FN_MUST fn_status fn_detect_scratch_new(struct fn_detect_scratch **ret_scratch,
                                        struct fn_error *err);
void fn_detect_scratch_free(struct fn_detect_scratch *scratch); /* NULL is a no-op */

/* Find faces, largest first (of equals the surer), at most `max_faces`, 1...FN_DETECT_MAX_FACES.
 * ret_faces: [max_faces]; *ret_n is how many of them were filled, *ret_found how many faces there
 * are. No face is FN_OK. options (NULL: defaults) and ret_report (NULL: unwanted) are optional.
 * FN_BAD_OPTION when min_face is negative, not a number or below FN_DETECT_LEAST_FACE;
 * FN_DEVICE_FAILED after fn_detector_open_on(). */
FN_MUST fn_status fn_detector_find(const struct fn_detector *detector,
                                   struct fn_detect_scratch *scratch,
                                   const struct fn_picture *picture,
                                   const struct fn_detect_options *options, int max_faces,
                                   struct fn_face *ret_faces, int *ret_n, int *ret_found,
                                   struct fn_detect_report *ret_report, struct fn_error *err);

/* The face in pixels of the full upright picture, for answers. */
struct fn_face fn_face_in_full(const struct fn_picture *picture, const struct fn_face *face);

#endif
