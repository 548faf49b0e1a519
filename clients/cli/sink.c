/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.c -- see sink.h. */
#include "clients/cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/answer_line.h"
#include "clients/cli/table.h"

#define ARRAY_HEADER 128

struct cli_sink {
    enum cli_format format;
    int fd, array; /* array -1: there is none */
    char *path, *array_path;
    off_t size; /* of complete records; unused for stdout */
    size_t embedding_size, n_faces;
    char model[80], crop[80]; /* crop "": not known yet */
    bool to_stdout;
};

/* ---- files ------------------------------------------------------------------------------------
 */

static bool write_at(int fd, const void *bytes, size_t size, off_t at) {
    for (const char *next = bytes; size;) {
        ssize_t n = pwrite(fd, next, size, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        next += n;
        size -= (size_t)n;
        at += n;
    }
    return true;
}

static bool write_stream(int fd, const void *bytes, size_t size) {
    for (const char *next = bytes; size;) {
        ssize_t n = write(fd, next, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        next += n;
        size -= (size_t)n;
    }
    return true;
}

/* One run at a time. */
static int open_locked(const char *path, bool restart) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        (void)cli_fail("%s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        (void)cli_fail("%s: another facenet is writing to it", path);
    else if (restart && ftruncate(fd, 0) != 0)
        (void)cli_fail("%s: cannot be emptied: %s", path, strerror(errno));
    else
        return fd;
    (void)close(fd);
    return -1;
}

static char *read_whole(int fd, const char *path, size_t *ret_size) {
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)cli_fail("%s: is not a file that can be gone on with", path);
        return NULL;
    }
    size_t size = (size_t)about.st_size, used = 0;
    char *text = malloc(size + 1);
    while (text && used < size) {
        ssize_t n = pread(fd, text + used, size - used, (off_t)used);
        if (n > 0)
            used += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    if (!text || used < size) {
        (void)cli_fail("%s: cannot be read", path);
        free(text);
        return NULL;
    }
    text[size] = '\0';
    *ret_size = size;
    return text;
}

/* ---- what is there already --------------------------------------------------------------------
 */

static bool refuse_other(const struct cli_sink *sink, const char *model) {
    (void)cli_fail("%s: was made with model %s, the server has %s; embeddings of two models cannot "
                   "be compared: choose another file, or --restart",
                   sink->path, model, sink->model);
    return false;
}

static bool resume_table(struct cli_sink *sink, const char *text, size_t size,
                         struct cli_names *ret_have) {
    size_t columns = sink->format == CLI_FORMAT_CSV ? sink->embedding_size : 0;
    struct cli_table table;
    if (!cli_table_read(text, size, columns, &table)) {
        (void)cli_fail("%s: is not a table of facenet dir with %zu numbers a face", sink->path,
                       columns);
        return false;
    }
    *ret_have = table.names;
    sink->size = (off_t)table.good_size;
    sink->n_faces = table.n_faces;
    if (table.mixed || (table.model[0] && strcmp(table.model, sink->model) != 0))
        return refuse_other(sink, table.mixed ? "several" : table.model);
    (void)snprintf(sink->crop, sizeof sink->crop, "%s", table.crop);
    return true;
}

/* One line; false: it is not one of ours. */
static bool resume_line(struct cli_sink *sink, const char *line, size_t size,
                        struct cli_names *ret_have) {
    json_t *answer = json_loadb(line, size, 0, NULL);
    const char *file = json_string_value(json_object_get(answer, "file"));
    const char *model = json_string_value(json_object_get(answer, "model"));
    const char *crop = json_string_value(json_object_get(answer, "crop"));
    bool ok = file && model && crop && cli_names_add(ret_have, file);
    if (!ok)
        (void)cli_fail("%s: has a line that is not of facenet dir --jsonl", sink->path);
    else if (strcmp(model, sink->model) != 0 || (sink->crop[0] && strcmp(crop, sink->crop) != 0))
        ok = refuse_other(sink, model);
    else
        (void)snprintf(sink->crop, sizeof sink->crop, "%s", crop);
    json_decref(answer);
    return ok;
}

static bool resume_lines(struct cli_sink *sink, const char *text, size_t size,
                         struct cli_names *ret_have) {
    const char *at = text, *end;
    while ((end = memchr(at, '\n', size - (size_t)(at - text)))) {
        if (!resume_line(sink, at, (size_t)(end - at), ret_have)) return false;
        at = end + 1;
    }
    sink->size = at - text;
    cli_names_sort(ret_have);
    return true;
}

static bool begin_table(struct cli_sink *sink) {
    char *header = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&header, &size);
    bool ok = memory != NULL;
    if (ok) {
        cli_table_write_header(memory, sink->format == CLI_FORMAT_CSV ? sink->embedding_size : 0);
        ok = fclose(memory) == 0;
    }
    if (ok)
        ok = sink->to_stdout ? write_stream(sink->fd, header, size)
                             : write_at(sink->fd, header, size, 0);
    if (!ok) (void)cli_fail("%s: cannot be written: %s", sink->path, strerror(errno));
    sink->size = (off_t)size;
    free(header);
    return ok;
}

/* NumPy's format 1.0, its header padded so that the shape can grow in place. */
static bool write_array_header(const struct cli_sink *sink) {
    static const char magic[10] = "\x93NUMPY\x01\x00\x76"; /* 0x76 bytes follow */
    const char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';
    char header[ARRAY_HEADER], shape[ARRAY_HEADER - sizeof magic];
    int n = snprintf(shape, sizeof shape,
                     "{'descr': '%cf4', 'fortran_order': False, 'shape': (%zu, %zu), }", order,
                     sink->n_faces, sink->embedding_size);
    memset(header, ' ', sizeof header);
    memcpy(header, magic, sizeof magic);
    memcpy(header + sizeof magic, shape, (size_t)n);
    header[ARRAY_HEADER - 1] = '\n';
    return write_at(sink->array, header, sizeof header, 0);
}

static off_t array_size(const struct cli_sink *sink) {
    return ARRAY_HEADER + (off_t)(sink->n_faces * sink->embedding_size * sizeof(float));
}

/* The table is written last: rows beyond it are of a record that was not finished. */
static bool resume_array(struct cli_sink *sink) {
    struct stat about;
    if (fstat(sink->array, &about) != 0 || (sink->n_faces && about.st_size < array_size(sink))) {
        (void)cli_fail("%s: is shorter than %s says; begin again with --restart", sink->array_path,
                       sink->path);
        return false;
    }
    if (ftruncate(sink->array, array_size(sink)) == 0 && write_array_header(sink)) return true;
    (void)cli_fail("%s: cannot be written: %s", sink->array_path, strerror(errno));
    return false;
}

static bool resume(struct cli_sink *sink, struct cli_names *ret_have) {
    size_t size = 0;
    bool ok = true;
    char *text = read_whole(sink->fd, sink->path, &size);
    if (!text) return false;
    if (size == 0)
        ok = sink->format == CLI_FORMAT_JSONL || begin_table(sink);
    else
        ok = sink->format == CLI_FORMAT_JSONL ? resume_lines(sink, text, size, ret_have)
                                              : resume_table(sink, text, size, ret_have);
    free(text);
    if (ok && ftruncate(sink->fd, sink->size) != 0)
        ok = cli_fail("%s: cannot be cut: %s", sink->path, strerror(errno)) == CLI_OK;
    return ok && (sink->array < 0 || resume_array(sink));
}

/* ---- open, write, close -----------------------------------------------------------------------
 */

static bool open_files(struct cli_sink *sink, const struct cli_args *args) {
    char path[PATH_MAX];
    sink->to_stdout = !args->output;
    if (sink->to_stdout) {
        sink->path = strdup("standard output");
        sink->fd = STDOUT_FILENO;
        return sink->path != NULL;
    }
    bool npy = args->format == CLI_FORMAT_NPY;
    (void)snprintf(path, sizeof path, "%s%s", args->output, npy ? ".csv" : "");
    sink->path = strdup(path);
    sink->array_path = strdup(args->output);
    if (!sink->path || !sink->array_path) return false;
    sink->fd = open_locked(path, args->restart);
    if (sink->fd >= 0 && npy) sink->array = open_locked(args->output, args->restart);
    return sink->fd >= 0 && (!npy || sink->array >= 0);
}

struct cli_sink *cli_sink_open(const struct cli_args *args, const char *model,
                               size_t embedding_size, struct cli_names *ret_have) {
    struct cli_sink *sink = calloc(1, sizeof *sink);
    if (!sink) return NULL;
    sink->format = args->format;
    sink->fd = sink->array = -1;
    sink->embedding_size = embedding_size;
    (void)snprintf(sink->model, sizeof sink->model, "%s", model);
    bool ok = open_files(sink, args);
    if (ok && sink->to_stdout)
        ok = args->format == CLI_FORMAT_JSONL || begin_table(sink);
    else if (ok)
        ok = resume(sink, ret_have);
    if (ok) return sink;
    (void)cli_sink_close(sink);
    return NULL;
}

/* The bytes of a record; NULL: stderr says why. */
static char *render(const struct cli_sink *sink, const char *name,
                    const struct facenet_faces *faces, size_t *ret_size) {
    char *text = NULL;
    if (sink->format == CLI_FORMAT_JSONL) {
        text = cli_answer_line(name, facenet_faces_json(faces));
        if (!text)
            (void)cli_fail("%s: the name is not UTF-8, which JSON needs; --csv takes it", name);
        *ret_size = text ? strlen(text) : 0;
        return text;
    }
    FILE *memory = open_memstream(&text, ret_size);
    if (memory) {
        cli_table_write(memory, name, faces, sink->format == CLI_FORMAT_CSV);
        if (fclose(memory) == 0) return text;
    }
    (void)cli_fail("%s: no memory for its record", name);
    free(text);
    return NULL;
}

static bool check_maker(struct cli_sink *sink, const char *name,
                        const struct facenet_faces *faces) {
    const char *model = facenet_faces_model(faces), *crop = facenet_faces_crop(faces);
    size_t length = sink->embedding_size;
    (void)facenet_faces_embedding(faces, 0, &length);
    if (!sink->crop[0]) (void)snprintf(sink->crop, sizeof sink->crop, "%s", crop);
    if (strcmp(model, sink->model) == 0 && strcmp(crop, sink->crop) == 0 &&
        length == sink->embedding_size)
        return true;
    (void)cli_fail("%s: answered by model %s, crop %s, what is written is of %s, %s; embeddings of "
                   "two cannot be compared",
                   name, model, crop, sink->model, sink->crop);
    return false;
}

static bool write_rows(struct cli_sink *sink, const struct facenet_faces *faces) {
    size_t n = facenet_faces_count(faces), row = sink->embedding_size * sizeof(float);
    const float *values = facenet_faces_embedding(faces, 0, NULL); /* rows follow each other */
    if (n && !write_at(sink->array, values, n * row, array_size(sink))) return false;
    sink->n_faces += n;
    if (write_array_header(sink)) return true;
    sink->n_faces -= n;
    return false;
}

bool cli_sink_write(struct cli_sink *sink, const char *name, const struct facenet_faces *faces) {
    size_t size = 0;
    if (!check_maker(sink, name, faces)) return false;
    char *text = render(sink, name, faces, &size);
    if (!text) return false;
    bool ok = sink->array < 0 || write_rows(sink, faces);
    if (ok)
        ok = sink->to_stdout ? write_stream(sink->fd, text, size)
                             : write_at(sink->fd, text, size, sink->size);
    if (!ok) {
        (void)cli_fail("%s: cannot be written: %s", sink->path, strerror(errno));
        /* The next run would cut it off as well; readers before that should not see it. */
        if (!sink->to_stdout && ftruncate(sink->fd, sink->size) != 0)
            (void)cli_fail("%s: ends in half a record", sink->path);
    }
    if (ok) sink->size += (off_t)size;
    free(text);
    return ok;
}

bool cli_sink_close(struct cli_sink *sink) {
    bool ok = true;
    if (!sink) return true;
    if (!sink->to_stdout && sink->fd >= 0) ok = fsync(sink->fd) == 0 && close(sink->fd) == 0;
    if (sink->array >= 0) ok = fsync(sink->array) == 0 && close(sink->array) == 0 && ok;
    if (!ok) (void)cli_fail("%s: cannot be brought to disk: %s", sink->path, strerror(errno));
    free(sink->path);
    free(sink->array_path);
    free(sink);
    return ok;
}
