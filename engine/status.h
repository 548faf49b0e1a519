/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h -- the one list of outcomes, and the caller-owned detail of a failure.
 *
 * Every fallible function returns an fn_status. What was found, what was expected and where goes
 * into an optional `struct fn_error *` that belongs to the caller; there is no global last error.
 * Numbers are never reused. The HTTP columns are here so that a status means the same thing
 * everywhere; engine/ itself knows nothing else of HTTP. */
#ifndef FN_STATUS_H
#define FN_STATUS_H

/* X(name, number, HTTP status, stable code, title) */
#define FN_STATUS_LIST(X)                                                                          \
    X(FN_OK, 0, 200, "ok", "OK")                                                                   \
    X(FN_INTERNAL, 1, 500, "internal", "Internal error")                                           \
    X(FN_NO_MEMORY, 2, 503, "overloaded", "Out of memory")                                         \
    X(FN_IO, 3, 500, "internal", "File could not be read or written")                              \
    X(FN_USAGE, 4, 400, "bad_request", "Wrong usage")                                              \
    X(FN_BAD_MODEL, 10, 500, "internal", "Model file is damaged or not a facenetd model")          \
    X(FN_UNTRAINED, 11, 500, "internal", "Model is untrained")                                     \
    X(FN_BAD_SOURCE, 12, 500, "internal", "Trained weights are damaged or of another network")     \
    X(FN_NOT_UNIT, 13, 500, "internal", "Network output has no direction")                         \
    X(FN_NO_DEVICE, 20, 503, "no_device", "No such device")                                        \
    X(FN_DEVICE_FAILED, 21, 503, "no_device", "The device failed")                                 \
    X(FN_UNSUPPORTED_FORMAT, 30, 415, "unsupported_format", "Picture format is not supported")     \
    X(FN_PICTURE_DAMAGED, 31, 422, "picture_damaged", "Picture is damaged")                        \
    X(FN_TOO_MANY_PIXELS, 32, 413, "too_many_pixels", "Picture is too large")                      \
    X(FN_FACE_NOT_FOUND, 33, 422, "face_not_found", "No face was found")                           \
    X(FN_SEVERAL_FACES, 34, 422, "several_faces", "Several faces were found")                      \
    X(FN_NO_DETECTOR, 35, 422, "no_detector", "The model has no face detector")                    \
    X(FN_BAD_REQUEST, 40, 400, "bad_request", "Bad request")                                       \
    X(FN_BAD_JSON, 41, 400, "bad_json", "Body is not valid JSON")                                  \
    X(FN_UNKNOWN_MEMBER, 42, 400, "unknown_member", "Unknown JSON member")                         \
    X(FN_UNKNOWN_OPTION, 43, 400, "unknown_option", "Unknown option")                              \
    X(FN_BAD_OPTION, 44, 400, "bad_option", "Bad option value")                                    \
    X(FN_MISSING_PICTURE, 45, 400, "missing_picture", "No picture in the request")                 \
    X(FN_EMBEDDING_LENGTH, 46, 400, "embedding_length", "Embedding has the wrong length")          \
    X(FN_EMBEDDING_NOT_UNIT, 47, 400, "embedding_not_unit", "Embedding is not of length one")      \
    X(FN_UNAUTHORIZED, 48, 401, "unauthorized", "No valid key")                                    \
    X(FN_FORBIDDEN, 49, 403, "forbidden", "Not allowed for this key")                              \
    X(FN_NOT_FOUND, 50, 404, "not_found", "No such route")                                         \
    X(FN_METHOD_NOT_ALLOWED, 51, 405, "method_not_allowed", "Method not allowed")                  \
    X(FN_MODEL_MISMATCH, 52, 409, "model_mismatch", "Embedding of another model or crop")          \
    X(FN_BODY_TOO_LARGE, 53, 413, "body_too_large", "Request body is too large")                   \
    X(FN_TOO_MANY_PICTURES, 54, 413, "too_many_pictures", "Too many pictures")                     \
    X(FN_UNKNOWN_HOST, 55, 421, "unknown_host", "Not a host name of this server")                  \
    X(FN_RATE_LIMITED, 56, 429, "rate_limited", "Too many requests for this key")                  \
    X(FN_OVERLOADED, 57, 503, "overloaded", "Too busy")                                            \
    X(FN_DRAINING, 58, 503, "draining", "Shutting down")                                           \
    X(FN_DEADLINE_EXCEEDED, 59, 504, "deadline_exceeded", "Deadline exceeded")

typedef enum fn_status {
#define FN_STATUS_ENUM(name, number, http, code, title) name = number,
    FN_STATUS_LIST(FN_STATUS_ENUM)
#undef FN_STATUS_ENUM
} fn_status;

#define FN_MUST                __attribute__((warn_unused_result))
#define FN_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Detail of a failure; owned by the caller, who zeroes it or leaves it uninitialised. */
struct fn_error {
    fn_status status;
    char text[320]; /* one line, no newline: what was found, what was expected, where */
};

/* Fill `err` (NULL: nobody listens). Long texts are cut, never overrun. */
void fn_error_set(struct fn_error *err, fn_status status, const char *format, ...) FN_PRINTF(3, 4);

/* Fill `err` and give `status`, so that a failure is one statement:
 * return fn_fail(err, FN_BAD_MODEL, "%s: ...", path). A macro, so that compilers and analyzers see
 * that what it gives is the failure that was named, never FN_OK. */
#define fn_fail(err, status, ...)                                                                  \
    __extension__({                                                                                \
        const fn_status failed_ = (status);                                                        \
        fn_error_set((err), failed_, __VA_ARGS__);                                                 \
        failed_;                                                                                   \
    })

/* The stable code ("picture_damaged"), the short title and the HTTP status; static strings.
 * A number outside the list reads as FN_INTERNAL. */
const char *fn_status_code(fn_status status);
const char *fn_status_title(fn_status status);
int fn_status_http(fn_status status);

#endif
