/* SPDX-License-Identifier: Apache-2.0
 *
 * hdf5.c -- see hdf5.h; the only file that knows libhdf5.
 *
 * A record, as the child writes it: kind ('t' tensor, 'c' configuration), element size, rank,
 * length of the name, size of the data, eight dimensions, name, data. The parent trusts it as
 * little as a file. */
#include "model/sources/hdf5.h"

#include <errno.h>
#include <hdf5.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_NAME       512
#define CPU_SECONDS    1 /* of the process, and one more for each CPU_BYTES of the file: */
#define CPU_BYTES      ((uint64_t)4 << 20)   /* some fifty times what a full network takes */
#define IMAGE_STEP     65536                 /* bytes by which libhdf5 would let an image grow */
#define NOWHERE        "/dev/null/image"     /* libhdf5 wants no file of an image's name */
#define LIBRARY_MEMORY ((uint64_t)512 << 20) /* of the process beside the numbers */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

struct record {
    char kind;
    uint8_t element, rank, unused;
    uint32_t name_size;
    uint64_t size;
    int64_t shape[FN_SAFETENSORS_MAX_RANK];
};

/* How the child ends. */
enum { CHILD_OK, CHILD_NOT_HDF5, CHILD_DAMAGED, CHILD_TOO_LARGE, CHILD_WRITE };

/* ---- the child ------------------------------------------------------------------------------ */

struct child {
    int fd;
    uint64_t left; /* bytes that may still be handed over */
    int result;
};

static bool write_all(struct child *child, const void *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t n = write(child->fd, (const char *)bytes + at, size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            child->result = CHILD_WRITE;
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static bool hand_over(struct child *child, struct record record, const char *name,
                      const void *data) {
    record.name_size = (uint32_t)strlen(name);
    return write_all(child, &record, sizeof record) && write_all(child, name, record.name_size) &&
           write_all(child, data, record.size);
}

/* A text attribute of fixed or variable length, to be free()d; NULL when there is none. */
static char *read_text(hid_t object, const char *attribute) {
    if (H5Aexists(object, attribute) <= 0) return NULL;
    hid_t attr = H5Aopen(object, attribute, H5P_DEFAULT);
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
    char *text = NULL;
    if (H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1) {
        if (H5Tis_variable_str(type) > 0) {
            hid_t memory = H5Tcopy(H5T_C_S1);
            (void)H5Tset_size(memory, H5T_VARIABLE);
            (void)H5Tset_cset(memory, H5Tget_cset(type));
            char *read = NULL;
            if (H5Aread(attr, memory, (void *)&read) >= 0 && read) text = strdup(read);
        } else {
            size_t size = H5Tget_size(type);
            text = calloc(1, size + 1);
            if (text && H5Aread(attr, type, text) < 0) text[0] = '\0';
        }
    }
    return text;
}

/* Whether the numbers are in the file itself. */
static bool is_local(hid_t dataset) {
    hid_t list = H5Dget_create_plist(dataset);
    return H5Pget_layout(list) != H5D_VIRTUAL && H5Pget_external_count(list) == 0;
}

/* The path, with "<...>/<place>/vars/0" become "vars/<layer's name>/0", or "vars:<place>/0" in a
 * file that does not name its layers. */
static bool public_name(hid_t file, const char *path, char *ret_name, size_t size) {
    const char *vars = strstr(path, "/vars/");
    if (!vars || strchr(vars + 6, '/')) return snprintf(ret_name, size, "%s", path) < (int)size;
    char folder[MAX_NAME];
    if ((size_t)(vars - path) + 5 >= sizeof folder) return false;
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(vars - path) + 5, path);
    hid_t group = H5Gopen2(file, folder, H5P_DEFAULT);
    char *layer = group >= 0 ? read_text(group, "name") : NULL;
    const char *place = vars;
    while (place > path && place[-1] != '/') place--;
    int length =
        layer ? snprintf(ret_name, size, "vars/%s/%s", layer, vars + 6)
              : snprintf(ret_name, size, "vars:%.*s/%s", (int)(vars - place), place, vars + 6);
    free(layer);
    return length > 0 && (size_t)length < size;
}

static herr_t visit_object(hid_t file, const char *path, const H5O_info_t *info, void *context) {
    struct child *child = context;
    char name[MAX_NAME];
    if (info->type != H5O_TYPE_DATASET) return 0;
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (dataset < 0) return child->result = CHILD_DAMAGED, -1;
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > FN_SAFETENSORS_MAX_RANK || H5Tget_class(type) != H5T_FLOAT ||
        !is_local(dataset) || !public_name(file, path, name, sizeof name))
        return 0;
    bool wide = H5Tget_size(type) == 8;
    struct record record = {.kind = 't', .element = wide ? 8 : 4, .rank = (uint8_t)rank};
    hsize_t shape[FN_SAFETENSORS_MAX_RANK];
    (void)H5Sget_simple_extent_dims(space, shape, NULL);
    record.size = record.element;
    for (int i = 0; i < rank; i++) {
        record.shape[i] = (int64_t)shape[i];
        if (__builtin_mul_overflow(record.size, shape[i], &record.size)) record.size = UINT64_MAX;
    }
    if (record.size > child->left) return child->result = CHILD_TOO_LARGE, -1;
    child->left -= record.size;
    void *data = malloc(record.size ? record.size : 1);
    if (!data) return child->result = CHILD_TOO_LARGE, -1;
    hid_t memory = wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    bool done = H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    if (!done) child->result = CHILD_DAMAGED;
    done = done && hand_over(child, record, name, data);
    free(data);
    (void)H5Tclose(type);
    (void)H5Sclose(space);
    (void)H5Dclose(dataset);
    return done ? 0 : -1;
}

static void limit(int what, uint64_t value) {
    const struct rlimit wanted = {value, value};
    (void)setrlimit((__rlimit_resource_t)what, &wanted);
}

static uint64_t file_size(const struct fn_hdf5_input *input) {
    struct stat info;
    if (input->image) return input->size;
    return stat(input->path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static int read_in_child(const struct fn_hdf5_input *input, int fd, uint64_t memory_limit) {
    struct child child = {.fd = fd, .left = memory_limit, .result = CHILD_OK};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) (void)signal(deadly[i], SIG_DFL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CPU_SECONDS + file_size(input) / CPU_BYTES);
#ifndef SANITIZED /* sanitizers map terabytes */
    limit(RLIMIT_AS, memory_limit + 2 * input->size + LIBRARY_MEMORY);
#endif
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5PLset_loading_state(0);
    hid_t access = H5P_DEFAULT;
    if (input->image) { /* an image's own name plays no part */
        access = H5Pcreate(H5P_FILE_ACCESS);
        if (H5Pset_fapl_core(access, IMAGE_STEP, false) < 0 ||
            H5Pset_file_image(access, (void *)(uintptr_t)input->image, input->size) < 0)
            return CHILD_TOO_LARGE;
    }
    hid_t file = H5Fopen(input->image ? NOWHERE : input->path, H5F_ACC_RDONLY, access);
    if (file < 0)
        return input->image || H5Fis_hdf5(input->path) > 0 ? CHILD_DAMAGED : CHILD_NOT_HDF5;
    char *config = read_text(file, "model_config");
    if (config) {
        const struct record record = {.kind = 'c', .size = strlen(config)};
        if (record.size <= child.left && !hand_over(&child, record, "", config))
            return child.result;
        free(config);
    }
    if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit_object, &child) < 0 &&
        child.result == CHILD_OK)
        child.result = CHILD_DAMAGED;
    return child.result;
}

/* ---- the parent ----------------------------------------------------------------------------- */

static void close_fd(const int *fd) {
    if (*fd >= 0) (void)close(*fd);
}

static fn_status explain(const char *path, int wait_status, struct fn_error *err) {
    if (WIFSIGNALED(wait_status))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: damaged HDF5 file: libhdf5 came to signal %d (%s) over it", path,
                       WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    switch (WEXITSTATUS(wait_status)) {
    case CHILD_OK:
        return FN_OK;
    case CHILD_NOT_HDF5:
        return fn_fail(err, FN_BAD_SOURCE, "%s: not an HDF5 file that libhdf5 can open", path);
    case CHILD_TOO_LARGE:
        return fn_fail(err, FN_BAD_SOURCE, "%s: its numbers need more memory than the limit", path);
    case CHILD_WRITE:
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory for its numbers", path);
    default:
        return fn_fail(err, FN_BAD_SOURCE, "%s: damaged HDF5 file: libhdf5 cannot read it", path);
    }
}

static fn_status run_child(const char *name, const struct fn_hdf5_input *input, int fd,
                           uint64_t memory_limit, struct fn_error *err) {
    pid_t pid = fork();
    if (pid < 0)
        return fn_fail(err, FN_IO, "%s: no process to read it in: %s", name, strerror(errno));
    if (pid == 0) _exit(read_in_child(input, fd, memory_limit));
    int wait_status;
    while (waitpid(pid, &wait_status, 0) < 0)
        if (errno != EINTR) return fn_fail(err, FN_INTERNAL, "%s: %s", name, strerror(errno));
    return explain(name, wait_status, err);
}

/* The records as one piece of memory of the source. */
static fn_status collect(struct fn_source *source, int fd, const uint8_t **ret_bytes,
                         size_t *ret_size, struct fn_error *err) {
    struct stat info;
    void *bytes;
    if (fstat(fd, &info) != 0) return fn_fail(err, FN_IO, "%s: %s", source->path, strerror(errno));
    fn_status status = fn_source_allocate(source, (uint64_t)info.st_size, &bytes, err);
    if (status != FN_OK) return status;
    for (size_t at = 0; at < (size_t)info.st_size;) {
        ssize_t n = pread(fd, (char *)bytes + at, (size_t)info.st_size - at, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fn_fail(err, FN_IO, "%s: its numbers got lost on the way", source->path);
        at += (size_t)n;
    }
    *ret_bytes = bytes;
    *ret_size = (size_t)info.st_size;
    return FN_OK;
}

static fn_status lost(const struct fn_source *source, struct fn_error *err) {
    return fn_fail(err, FN_INTERNAL, "%s: its numbers got lost on the way", source->path);
}

static fn_status visit_records(struct fn_source *source, const uint8_t *bytes, size_t size,
                               fn_hdf5_visit visit, void *context, const char **ret_config,
                               struct fn_error *err) {
    for (size_t at = 0; at < size;) {
        struct record record;
        char name[MAX_NAME + 1];
        if (size - at < sizeof record) return lost(source, err);
        memcpy(&record, bytes + at, sizeof record);
        at += sizeof record;
        if (record.name_size > MAX_NAME || record.name_size > size - at ||
            record.size > size - at - record.name_size || record.rank > FN_SAFETENSORS_MAX_RANK)
            return lost(source, err);
        (void)snprintf(name, sizeof name, "%.*s", (int)record.name_size, (const char *)bytes + at);
        const uint8_t *data = bytes + at + record.name_size;
        at += record.name_size + record.size;
        if (record.kind == 'c') {
            void *text;
            fn_status status = fn_source_allocate(source, record.size + 1, &text, err);
            if (status != FN_OK) return status;
            memcpy(text, data, record.size);
            ((char *)text)[record.size] = '\0';
            *ret_config = text;
            continue;
        }
        struct fn_raw_tensor tensor = {.name = name,
                                       .dtype = record.element == 8 ? FN_DTYPE_F64 : FN_DTYPE_F32,
                                       .rank = record.rank,
                                       .data = data};
        int64_t count;
        memcpy(tensor.shape, record.shape, sizeof tensor.shape);
        if (!fn_tensor_pack(&tensor, &count) ||
            (uint64_t)count * fn_dtype_size(tensor.dtype) != record.size)
            return lost(source, err);
        fn_status status = visit(context, &tensor, err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

fn_status fn_hdf5_read(struct fn_source *source, const struct fn_hdf5_input *input,
                       fn_hdf5_visit visit, void *context, const char **ret_config,
                       struct fn_error *err) {
    *ret_config = NULL;
    __attribute__((cleanup(close_fd))) int fd = memfd_create("hdf5", MFD_CLOEXEC);
    if (fd < 0) return fn_fail(err, FN_IO, "%s: %s", source->path, strerror(errno));
    fn_status status =
        run_child(source->path, input, fd, source->memory_limit - source->memory_used, err);
    if (status != FN_OK) return status;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    status = collect(source, fd, &bytes, &size, err);
    return status == FN_OK ? visit_records(source, bytes, size, visit, context, ret_config, err)
                           : status;
}
