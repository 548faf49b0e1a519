/* SPDX-License-Identifier: Apache-2.0
 *
 * source_tf_checkpoint.c -- a TensorFlow V2 checkpoint (tensorflow/core/protobuf/
 * tensor_bundle.proto): `<prefix>.index`, a table from variable names to BundleEntryProto, and
 * `<prefix>.data-00000-of-00001` and so on with the numbers. Only wanted tensors are read, each
 * checked against its crc32c. Given as the prefix, its .index, its .meta, or a folder that holds
 * one.
 *
 * What training adds is recognised by its names and left out: optimizer slots stand below the
 * variable they belong to (`.../weights/Adam`), as do moving averages
 * (`.../weights/ExponentialMovingAverage`), which --ema puts in the variables' place. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/sha256.h"
#include "model/commands/paths.h"
#include "model/sources/crc32c.h"
#include "model/sources/graph.h"
#include "model/sources/naming.h"
#include "model/sources/sstable.h"
#include "model/sources/tensorflow.h"

#define MAX_ENTRIES 65536
#define MAX_SHARDS  1024
#define AVERAGE     "/ExponentialMovingAverage"

FN_DEFINE_CLEANUP(DIR *, closedir)

struct entry {
    char *name; /* owned */
    struct fn_raw_tensor tensor;
    int tf_dtype;
    bool sliced; /* one of the parts of a partitioned variable */
    uint64_t shard, offset, size;
    uint32_t crc;
};

struct bundle {
    struct fn_source *source;
    char prefix[PATH_MAX - 64];
    struct entry *entries; /* [n], sorted by name; owned */
    size_t n, capacity;
    uint64_t n_shards;
    int n_slots, n_averages, n_others;
};

static void bundle_done(struct bundle *bundle) {
    for (size_t i = 0; i < bundle->n; i++) free(bundle->entries[i].name);
    free(bundle->entries);
}

static void close_fd(const int *fd) {
    if (*fd >= 0) (void)close(*fd);
}

/* ---- the index ------------------------------------------------------------------------------ */

static fn_status damaged(const struct bundle *bundle, const char *key, struct fn_error *err) {
    return fn_fail(err, FN_BAD_SOURCE, "%s.index: the entry of %s cannot be read", bundle->prefix,
                   key[0] ? key : "the header");
}

static fn_status read_header(struct bundle *bundle, struct fn_wire message, struct fn_error *err) {
    struct fn_wire_field field;
    uint64_t big_endian = 0;
    while (fn_wire_next(&message, &field)) {
        if (field.number == 1 && field.type == 0) bundle->n_shards = field.value;
        if (field.number == 2 && field.type == 0) big_endian = field.value;
    }
    if (message.damaged) return damaged(bundle, "", err);
    if (big_endian)
        return fn_fail(err, FN_BAD_SOURCE, "%s: a checkpoint of a big-endian machine",
                       bundle->prefix);
    if (bundle->n_shards < 1 || bundle->n_shards > MAX_SHARDS)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %llu data files; expected 1...%d", bundle->prefix,
                       (unsigned long long)bundle->n_shards, MAX_SHARDS);
    return FN_OK;
}

static bool read_entry(struct fn_wire message, struct entry *entry) {
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number == 2 && field.type == 2 &&
            !fn_tensorflow_shape(field.bytes, &entry->tensor))
            return false;
        if (field.number == 7) entry->sliced = true;
        if (field.type == 0 && field.number == 1) entry->tf_dtype = (int)(field.value & 0xffff);
        if (field.type == 0 && field.number == 3) entry->shard = field.value;
        if (field.type == 0 && field.number == 4) entry->offset = field.value;
        if (field.type == 0 && field.number == 5) entry->size = field.value;
        if (field.type == 5 && field.number == 6) entry->crc = (uint32_t)field.value;
    }
    return !message.damaged;
}

static fn_status visit_entry(void *context, const char *key, size_t key_size, const uint8_t *value,
                             size_t value_size, struct fn_error *err) {
    struct bundle *bundle = context;
    struct fn_wire message = fn_wire_of(value, value_size);
    if (key_size == 0) return read_header(bundle, message, err);
    if (strlen(key) != key_size)
        return FN_OK; /* a slice's own key, named by its variable's entry */
    if (bundle->n == MAX_ENTRIES)
        return fn_fail(err, FN_BAD_SOURCE, "%s: more than %d variables", bundle->prefix,
                       MAX_ENTRIES);
    if (bundle->n > 0 && strcmp(bundle->entries[bundle->n - 1].name, key) >= 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s.index: %s is out of order", bundle->prefix, key);
    if (bundle->n == bundle->capacity) {
        size_t more = bundle->capacity ? 2 * bundle->capacity : 1024;
        struct entry *grown = reallocarray(bundle->entries, more, sizeof *grown);
        if (!grown) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", bundle->prefix);
        bundle->entries = grown;
        bundle->capacity = more;
    }
    struct entry *entry = &bundle->entries[bundle->n];
    *entry = (struct entry){.name = strdup(key)};
    if (!entry->name) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", bundle->prefix);
    bundle->n++;
    return read_entry(message, entry) ? FN_OK : damaged(bundle, key, err);
}

static struct entry *find_entry(const struct bundle *bundle, const char *name) {
    size_t low = 0, high = bundle->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(bundle->entries[middle].name, name);
        if (order == 0) return &bundle->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- the data ------------------------------------------------------------------------------- */

static void shard_path(const struct bundle *bundle, uint64_t shard, char *ret_path, size_t size) {
    (void)snprintf(ret_path, size, "%s.data-%05u-of-%05u", bundle->prefix, (unsigned)shard,
                   (unsigned)bundle->n_shards);
}

static fn_status read_at(const char *path, uint64_t offset, void *ret_bytes, size_t size,
                         struct fn_error *err) {
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    if (offset > INT64_MAX - size)
        return fn_fail(err, FN_BAD_SOURCE, "%s: an offset beyond any file", path);
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, (char *)ret_bytes + at, size - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
        if (n == 0)
            return fn_fail(err, FN_BAD_SOURCE, "%s: ends at byte %llu; expected %llu (truncated?)",
                           path, (unsigned long long)(offset + at),
                           (unsigned long long)(offset + size));
        at += (size_t)n;
    }
    return FN_OK;
}

/* Check what the entry claims, then read the numbers and check them too. */
static fn_status load(struct bundle *bundle, struct entry *entry, struct fn_error *err) {
    int64_t count;
    entry->tensor.name = entry->name;
    if (entry->sliced)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s is partitioned into slices, which is not supported; save it whole "
                       "(without a partitioner)",
                       bundle->prefix, entry->name);
    if (!fn_tensorflow_dtype(entry->tf_dtype, &entry->tensor.dtype))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s has numbers of type %d; expected float (1), double (2) or half (19)",
                       bundle->prefix, entry->name, entry->tf_dtype);
    size_t element = fn_dtype_size(entry->tensor.dtype);
    if (!fn_tensor_pack(&entry->tensor, &count) || (uint64_t)count * element != entry->size ||
        entry->shard >= bundle->n_shards)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s has %llu bytes in data file %llu; its shape or the number of files "
                       "says otherwise",
                       bundle->prefix, entry->name, (unsigned long long)entry->size,
                       (unsigned long long)entry->shard);
    char path[PATH_MAX];
    shard_path(bundle, entry->shard, path, sizeof path);
    struct stat info;
    if (stat(path, &info) == 0 && (uint64_t)info.st_size < entry->size)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %lld bytes, but %s alone has %llu (truncated?)",
                       path, (long long)info.st_size, entry->name, (unsigned long long)entry->size);
    void *bytes;
    fn_status status = fn_source_allocate(bundle->source, entry->size, &bytes, err);
    if (status == FN_OK) status = read_at(path, entry->offset, bytes, (size_t)entry->size, err);
    if (status != FN_OK) return status;
    uint32_t crc = fn_crc32c_mask(fn_crc32c(0, bytes, (size_t)entry->size));
    if (crc != entry->crc)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s is damaged: crc32c %08x, expected %08x", path,
                       entry->name, crc, entry->crc);
    entry->tensor.data = bytes;
    return FN_OK;
}

/* ---- which is what -------------------------------------------------------------------------- */

/* Whether a variable stands below another one, as slots and averages do. */
static bool is_below_another(const struct bundle *bundle, const char *name) {
    char parent[FN_SSTABLE_MAX_KEY];
    (void)snprintf(parent, sizeof parent, "%s", name);
    char *slash = strrchr(parent, '/');
    if (!slash) return false;
    *slash = '\0';
    return find_entry(bundle, parent) != NULL;
}

static bool is_bookkeeping(const char *name) {
    static const char *const names[] = {"global_step", "beta1_power", "beta2_power",
                                        "learning_rate", "save_counter"};
    const char *base = fn_path_base(name);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(base, names[i]) == 0) return true;
    return false;
}

static bool is_average(const char *name) {
    size_t length = strlen(name), end = strlen(AVERAGE);
    return length > end && strcmp(name + length - end, AVERAGE) == 0;
}

static fn_status add_variable(struct bundle *bundle, struct entry *entry, struct fn_error *err) {
    if (is_average(entry->name)) return bundle->n_averages++, FN_OK;
    if (is_below_another(bundle, entry->name)) return bundle->n_slots++, FN_OK;
    if (is_bookkeeping(entry->name)) return bundle->n_others++, FN_OK;
    char scope[FN_NAME_SIZE], average[FN_SSTABLE_MAX_KEY + sizeof AVERAGE];
    enum fn_part part;
    if (!fn_naming_slim(entry->name, scope, &part))
        return fn_source_skip(bundle->source, entry->name, err);
    struct entry *from = entry;
    (void)snprintf(average, sizeof average, "%s%s", entry->name, AVERAGE);
    if (bundle->source->use_averages && find_entry(bundle, average))
        from = find_entry(bundle, average);
    fn_status status = load(bundle, from, err);
    if (status != FN_OK) return status;
    return fn_tensor_add(bundle->source, scope, part, FN_LAYOUT_HWIO, &from->tensor, err);
}

static fn_status add_all(struct bundle *bundle, struct fn_error *err) {
    struct fn_source *source = bundle->source;
    if (find_entry(bundle, "_CHECKPOINTABLE_OBJECT_GRAPH"))
        return fn_fail(
            err, FN_BAD_SOURCE,
            "%s: an object-based checkpoint of TensorFlow 2 (tf.train.Checkpoint); "
            "expected one with the variables' names, as tf.compat.v1.train.Saver writes, "
            "or a Keras .h5",
            bundle->prefix);
    for (size_t i = 0; i < bundle->n; i++) {
        fn_status status = add_variable(bundle, &bundle->entries[i], err);
        if (status != FN_OK) return status;
    }
    if (source->use_averages && bundle->n_averages == 0)
        return fn_fail(err, FN_USAGE, "%s: --ema, but the checkpoint has no moving averages",
                       bundle->prefix);
    if (source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a checkpoint, but no variable in it has a name of FaceNet, such as "
                       "InceptionResnetV1/Conv2d_1a_3x3/weights",
                       bundle->prefix);
    (void)snprintf(source->note, sizeof source->note,
                   "%d optimizer slots left out, %d moving averages %s, %d counters left out",
                   bundle->n_slots, bundle->n_averages, source->use_averages ? "used" : "left out",
                   bundle->n_others);
    return FN_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* The digest is over the lines `<sha256>  <name>\n` of the index and the data files, in this order:
 * `sha256sum <prefix>.index <prefix>.data-* | sha256sum` in their folder. */
static fn_status digest_files(const struct bundle *bundle, struct fn_error *err) {
    struct fn_sha256 *sha = fn_sha256_new();
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", bundle->prefix);
    fn_status status = FN_OK;
    for (uint64_t i = 0; i <= bundle->n_shards && status == FN_OK; i++) {
        char path[PATH_MAX], hex[FN_SHA256_HEX_SIZE];
        if (i == 0)
            (void)snprintf(path, sizeof path, "%s.index", bundle->prefix);
        else
            shard_path(bundle, i - 1, path, sizeof path);
        status = fn_source_file_digest(path, hex, err);
        if (status != FN_OK) break;
        fn_sha256_add(sha, hex, strlen(hex));
        fn_sha256_add(sha, "  ", 2);
        fn_sha256_add(sha, fn_path_base(path), strlen(fn_path_base(path)));
        fn_sha256_add(sha, "\n", 1);
    }
    fn_sha256_finish(sha, bundle->source->sha256);
    return status;
}

static bool strip(char *path, const char *suffix) {
    size_t length = strlen(path), end = strlen(suffix);
    if (length <= end || strcmp(path + length - end, suffix) != 0) return false;
    path[length - end] = '\0';
    return true;
}

static bool is_table(const char *index_path) {
    uint8_t tail[8];
    struct stat info;
    if (stat(index_path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 48) return false;
    struct fn_error ignored;
    return read_at(index_path, (uint64_t)info.st_size - 8, tail, 8, &ignored) == FN_OK &&
           fn_sstable_recognise(tail, sizeof tail);
}

/* The prefix of the one checkpoint in a folder whose name begins with `stem`; false when there is
 * none, or several. */
static bool find_in_folder(const char *folder, const char *stem, char *ret_prefix, size_t size) {
    FN_CLEANUP(closedir) DIR *stream = opendir(folder);
    int found = 0;
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, stem, strlen(stem)) != 0) continue;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (length < 0 || (size_t)length >= size || !is_table(path)) continue;
        if (!strip(path, ".index")) continue;
        found++;
        memcpy(ret_prefix, path, strlen(path) + 1); /* shorter than size, see above */
    }
    return found == 1;
}

/* The graph beside a checkpoint has its prefix, or the prefix without `.ckpt-<step>`: so facenet's
 * training names it, once for all its steps. */
static bool find_prefix(const char *path, char *ret_prefix, size_t size) {
    char index[PATH_MAX];
    struct stat info;
    if (strlen(path) >= size) return false;
    (void)snprintf(ret_prefix, size, "%s", path);
    bool is_meta = strip(ret_prefix, ".meta");
    if (!is_meta && !strip(ret_prefix, ".index") && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return find_in_folder(path, "", ret_prefix, size);
    (void)snprintf(index, sizeof index, "%s.index", ret_prefix);
    if (is_table(index) || !is_meta) return is_table(index);
    char folder[PATH_MAX], stem[PATH_MAX + 8];
    const char *base = fn_path_base(path);
    (void)snprintf(folder, sizeof folder, "%.*s.", (int)(base - path), path);
    (void)snprintf(stem, sizeof stem, "%.*s.ckpt-", (int)(strlen(base) - strlen(".meta")), base);
    return find_in_folder(folder, stem, ret_prefix, size);
}

static bool recognise(const char *path) {
    char prefix[PATH_MAX - 64];
    return find_prefix(path, prefix, sizeof prefix);
}

static fn_status read_meta(const struct bundle *bundle, struct fn_error *err) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s.meta", bundle->prefix);
    const char *step = strstr(fn_path_base(bundle->prefix), ".ckpt-");
    if (access(path, R_OK) != 0 && step)
        (void)snprintf(path, sizeof path, "%.*s.meta", (int)(step - bundle->prefix),
                       bundle->prefix);
    return access(path, R_OK) == 0 ? fn_graph_read_meta(bundle->source, path, err) : FN_OK;
}

static fn_status read_checkpoint(const char *path, struct fn_source *source, struct fn_error *err) {
    struct bundle bundle = {.source = source};
    if (!find_prefix(path, bundle.prefix, sizeof bundle.prefix))
        return fn_fail(err, FN_BAD_SOURCE, "%s: no checkpoint here any more", path);
    char index[PATH_MAX];
    (void)snprintf(index, sizeof index, "%s.index", bundle.prefix);
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, index, &bytes, &size, err);
    if (status == FN_OK) status = fn_sstable_read(index, bytes, size, visit_entry, &bundle, err);
    if (status == FN_OK && bundle.n_shards == 0)
        status = fn_fail(err, FN_BAD_SOURCE, "%s: a table, but not of a checkpoint", index);
    if (status == FN_OK) status = add_all(&bundle, err);
    if (status == FN_OK) status = read_meta(&bundle, err);
    if (status == FN_OK) status = digest_files(&bundle, err);
    bundle_done(&bundle);
    return status;
}

const struct fn_source_reader fn_source_tf_checkpoint = {
    .format = "tensorflow-checkpoint",
    .about = "a TensorFlow checkpoint",
    .recognise = recognise,
    .read = read_checkpoint,
    .name_part = fn_naming_slim_part,
};
