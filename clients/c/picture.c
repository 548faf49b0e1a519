/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.c -- see picture.h and facenet_client.h. */
#include "clients/c/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/error.h"

#define MAX_PICTURE   ((size_t)1 << 30)
#define FIRST_READING ((size_t)64 << 10)

enum facenet_status facenet_picture_from_bytes(const void *bytes, size_t size,
                                               struct facenet_picture **ret_picture,
                                               struct facenet_error *err) {
    if (!bytes || size == 0 || size > MAX_PICTURE)
        return fnc_fail(err, FACENET_BAD_ARGUMENT, "picture has %zu bytes, expected 1 to %zu",
                        bytes ? size : 0, MAX_PICTURE);
    struct facenet_picture *picture = malloc(sizeof *picture + size);
    if (!picture) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for %zu bytes", size);
    picture->size = size;
    memcpy(picture->bytes, bytes, size);
    *ret_picture = picture;
    return FACENET_OK;
}

/* Double the room; on failure the picture is gone. */
static struct facenet_picture *grow(struct facenet_picture *picture, size_t *capacity) {
    size_t wanted = *capacity ? 2 * *capacity : FIRST_READING;
    struct facenet_picture *grown = realloc(picture, sizeof *grown + wanted);
    if (!grown) {
        free(picture);
        return NULL;
    }
    if (!picture) grown->size = 0;
    *capacity = wanted;
    return grown;
}

static enum facenet_status read_all(FILE *stream, const char *name,
                                    struct facenet_picture **ret_picture,
                                    struct facenet_error *err) {
    struct facenet_picture *picture = NULL;
    size_t capacity = 0;
    do {
        if (!picture || picture->size == capacity) picture = grow(picture, &capacity);
        if (!picture) return fnc_fail(err, FACENET_NO_MEMORY, "%s: no memory", name);
        errno = 0;
        picture->size += fread(picture->bytes + picture->size, 1, capacity - picture->size, stream);
    } while (!feof(stream) && !ferror(stream) && picture->size <= MAX_PICTURE);

    enum facenet_status status = FACENET_OK;
    if (ferror(stream))
        status = fnc_fail(err, FACENET_FILE, "%s: cannot be read: %s", name, strerror(errno));
    else if (picture->size == 0)
        status = fnc_fail(err, FACENET_FILE, "%s: is empty", name);
    else if (picture->size > MAX_PICTURE)
        status = fnc_fail(err, FACENET_FILE, "%s: has more than %zu bytes", name, MAX_PICTURE);
    if (status != FACENET_OK)
        free(picture);
    else
        *ret_picture = picture;
    return status;
}

enum facenet_status facenet_picture_from_stream(FILE *stream, struct facenet_picture **ret_picture,
                                                struct facenet_error *err) {
    if (!stream) return fnc_fail(err, FACENET_BAD_ARGUMENT, "no stream to read a picture from");
    return read_all(stream, "stream", ret_picture, err);
}

enum facenet_status facenet_picture_from_file(const char *path,
                                              struct facenet_picture **ret_picture,
                                              struct facenet_error *err) {
    FILE *file = path ? fopen(path, "rbe") : NULL;
    if (!path) return fnc_fail(err, FACENET_BAD_ARGUMENT, "no path to read a picture from");
    if (!file)
        return fnc_fail(err, FACENET_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    enum facenet_status status = read_all(file, path, ret_picture, err);
    (void)fclose(file);
    return status;
}

const void *facenet_picture_bytes(const struct facenet_picture *picture, size_t *ret_size) {
    if (ret_size) *ret_size = picture->size;
    return picture->bytes;
}

void facenet_picture_free(struct facenet_picture *picture) {
    free(picture);
}
