/* SPDX-License-Identifier: Apache-2.0
 *
 * torch.c -- see torch.h. The object graph comes from pickle.c as inert data; a tensor in it is the
 * record of a call _rebuild_tensor_v2(storage, offset, shape, strides, ...), and a storage a
 * persistent id ('storage', torch.FloatStorage, key, device, elements). */
#include "model/sources/torch.h"

#include <string.h>

#include "model/sources/pickle.h"
#include "model/sources/zip.h"

#define MAX_STORAGES  8192
#define MAX_NAME      256
#define LEGACY_NUMBER 1001

/* Protocol 2 and the long integer 0x1950a86a20f9469cfc6c. */
static const uint8_t legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                       0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static const struct element {
    const char *storage;
    size_t size;
    enum fn_dtype dtype;
    bool real; /* of a type that weights may have */
} elements[] = {
    {"torch FloatStorage", 4, FN_DTYPE_F32, true},
    {"torch DoubleStorage", 8, FN_DTYPE_F64, true},
    {"torch HalfStorage", 2, FN_DTYPE_F16, true},
    {"torch BFloat16Storage", 2, FN_DTYPE_F16, false},
    {"torch LongStorage", 8, FN_DTYPE_I64, false},
    {"torch IntStorage", 4, FN_DTYPE_I32, false},
    {"torch ShortStorage", 2, FN_DTYPE_F16, false},
    {"torch CharStorage", 1, FN_DTYPE_I8, false},
    {"torch ByteStorage", 1, FN_DTYPE_U8, false},
    {"torch BoolStorage", 1, FN_DTYPE_U8, false},
};
#define BFLOAT16 3 /* index above: refused by name, not passed over */

/* The bytes of one storage in the older layout. */
struct stored {
    const struct fn_pickle_value *key; /* text */
    const struct element *element;
    const uint8_t *data; /* NULL until the stream has been read */
    uint64_t size;
};

struct torch_file {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    struct fn_pickle *object; /* owned */
    struct fn_zip *zip;       /* owned; NULL in the older layout */
    char prefix[MAX_NAME];    /* of the members, "archive/" */
    struct fn_pickle *keys;   /* owned; older layout: the order of the storages */
    struct stored *storages;  /* [n_storages], owned; older layout */
    size_t n_storages;
};

static void done(struct torch_file *file) {
    fn_pickle_free(file->object);
    fn_pickle_free(file->keys);
    fn_zip_close(file->zip);
    free(file->storages);
}

bool fn_torch_recognise(const uint8_t *head, size_t size) {
    return (size >= 4 && memcmp(head, "PK\3\4", 4) == 0) ||
           (size >= sizeof legacy_magic && memcmp(head, legacy_magic, sizeof legacy_magic) == 0);
}

/* ---- storages ------------------------------------------------------------------------------- */

struct storage_id {
    const struct element *element;
    const struct fn_pickle_value *key;
    uint64_t n;           /* elements */
    uint64_t view_offset; /* elements, older layout only */
};

static fn_status bad(const struct torch_file *file, const char *tensor, const char *what,
                     struct fn_error *err) {
    return fn_fail(err, FN_BAD_SOURCE, "%s: %s: %s", file->name, tensor, what);
}

/* ('storage', type, key, device, elements[, view (key, offset, elements) or None]) */
static fn_status read_storage_id(const struct torch_file *file, const char *tensor,
                                 const struct fn_pickle_value *value, struct storage_id *ret,
                                 struct fn_error *err) {
    const struct fn_pickle_value *id = value->kind == FN_PICKLE_PERSISTENT ? value->items[0] : NULL;
    if (!id || id->kind != FN_PICKLE_TUPLE || id->n < 5 || id->n > 6 ||
        !fn_pickle_is_text(id->items[0], "storage") || id->items[1]->kind != FN_PICKLE_GLOBAL ||
        id->items[2]->kind != FN_PICKLE_STRING || id->items[4]->kind != FN_PICKLE_INT ||
        id->items[4]->integer < 0)
        return bad(file, tensor, "its storage is not described as PyTorch does", err);
    *ret = (struct storage_id){.key = id->items[2], .n = (uint64_t)id->items[4]->integer};
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        if (fn_pickle_is_global(id->items[1], elements[i].storage)) ret->element = &elements[i];
    if (!ret->element) return bad(file, tensor, "storage of an unknown type", err);
    if (id->n == 6 && id->items[5]->kind != FN_PICKLE_NONE) {
        const struct fn_pickle_value *view = id->items[5];
        if (view->kind != FN_PICKLE_TUPLE || view->n != 3 ||
            view->items[1]->kind != FN_PICKLE_INT || view->items[1]->integer < 0 ||
            view->items[2]->kind != FN_PICKLE_INT || view->items[2]->integer < 0)
            return bad(file, tensor, "its view of a storage is not described as PyTorch does", err);
        ret->view_offset = (uint64_t)view->items[1]->integer;
        ret->n = (uint64_t)view->items[2]->integer;
    }
    return FN_OK;
}

static struct stored *find_stored(const struct torch_file *file,
                                  const struct fn_pickle_value *key) {
    for (size_t i = 0; i < file->n_storages; i++)
        if (file->storages[i].key->size == key->size &&
            memcmp(file->storages[i].key->text, key->text, key->size) == 0)
            return &file->storages[i];
    return NULL;
}

/* The bytes of a storage; there are at least id->n elements. */
static fn_status find_storage(const struct torch_file *file, const char *tensor,
                              const struct storage_id *id, const uint8_t **ret_data,
                              struct fn_error *err) {
    const uint8_t *data = NULL;
    size_t size = 0;
    if (file->zip) {
        char member[2 * MAX_NAME];
        int length = snprintf(member, sizeof member, "%sdata/%.*s", file->prefix,
                              (int)(id->key->size < MAX_NAME ? id->key->size : 0), id->key->text);
        size_t index = length > 0 ? fn_zip_find(file->zip, member) : fn_zip_count(file->zip);
        if (index == fn_zip_count(file->zip))
            return bad(file, tensor, "its storage is missing", err);
        fn_status status = fn_zip_member(file->zip, index, &data, &size, err);
        if (status != FN_OK) return status;
    } else {
        const struct stored *stored = find_stored(file, id->key);
        if (!stored || !stored->data) return bad(file, tensor, "its storage is missing", err);
        data = stored->data;
        size = (size_t)stored->size;
    }
    uint64_t end;
    if (__builtin_add_overflow(id->n, id->view_offset, &end) || end > size / id->element->size)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s: its storage has %zu bytes; expected %llu numbers of %zu",
                       file->name, tensor, size, (unsigned long long)id->n, id->element->size);
    *ret_data = data + id->view_offset * id->element->size;
    return FN_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static bool read_dimensions(const struct fn_pickle_value *tuple, int rank, int64_t *ret) {
    if (tuple->kind != FN_PICKLE_TUPLE || tuple->n != (size_t)rank) return false;
    for (int i = 0; i < rank; i++) {
        if (tuple->items[i]->kind != FN_PICKLE_INT || tuple->items[i]->integer < 0) return false;
        ret[i] = tuple->items[i]->integer;
    }
    return true;
}

/* The arguments of the call that makes a tensor, through any number of Parameter wrappers; NULL
 * when the value is none. */
static const struct fn_pickle_value *tensor_arguments(const struct fn_pickle_value *value) {
    for (int depth = 0; depth < 4 && value->kind == FN_PICKLE_CALL; depth++) {
        const struct fn_pickle_value *args = value->items[1];
        if (fn_pickle_is_global(value->items[0], "torch._utils _rebuild_tensor_v2") ||
            fn_pickle_is_global(value->items[0], "torch._utils _rebuild_tensor"))
            return args->n >= 4 ? args : NULL;
        if (!fn_pickle_is_global(value->items[0], "torch._utils _rebuild_parameter") || !args->n)
            return NULL;
        value = args->items[0];
    }
    return NULL;
}

static fn_status read_tensor(const struct torch_file *file, const char *name,
                             const struct fn_pickle_value *args, struct fn_raw_tensor *ret,
                             bool *ret_real, struct fn_error *err) {
    struct storage_id id;
    fn_status status = read_storage_id(file, name, args->items[0], &id, err);
    if (status != FN_OK) return status;
    if (id.element == &elements[BFLOAT16])
        return bad(file, name, "bfloat16 numbers; expected float16, float32 or float64", err);
    *ret_real = id.element->real;
    if (!id.element->real) return FN_OK;
    *ret = (struct fn_raw_tensor){.name = name, .dtype = id.element->dtype};
    const struct fn_pickle_value *offset = args->items[1], *shape = args->items[2];
    if (offset->kind != FN_PICKLE_INT || offset->integer < 0 ||
        shape->n > FN_SAFETENSORS_MAX_RANK ||
        !read_dimensions(shape, ret->rank = (int)shape->n, ret->shape) ||
        !read_dimensions(args->items[3], ret->rank, ret->stride))
        return bad(file, name, "its shape, strides or offset are not as PyTorch writes them", err);
    const uint8_t *data = NULL;
    status = find_storage(file, name, &id, &data, err);
    if (status != FN_OK) return status;
    uint64_t start = (uint64_t)offset->integer;
    if (start > id.n || !fn_tensor_fits(ret, id.n - start))
        return bad(file, name, "its shape and strides lead beyond its storage", err);
    ret->data = data + start * id.element->size;
    return FN_OK;
}

/* The dict of tensors: the object itself, or what a training script saved it under. */
static const struct fn_pickle_value *find_state_dict(const struct fn_pickle_value *object) {
    static const char *const keys[] = {"state_dict", "model_state_dict", "model", "net"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct fn_pickle_value *inner = fn_pickle_get(object, keys[i]);
        if (inner && inner->kind == FN_PICKLE_DICT) return inner;
    }
    return object;
}

static fn_status visit_all(const struct torch_file *file, fn_torch_visit visit, void *context,
                           struct fn_error *err) {
    const struct fn_pickle_value *dict = find_state_dict(fn_pickle_root(file->object));
    if (dict->kind != FN_PICKLE_DICT)
        return fn_fail(err, FN_BAD_SOURCE, "%s: holds no dictionary; expected a state dict",
                       file->name);
    for (size_t i = 0; i + 1 < dict->n; i += 2) {
        const struct fn_pickle_value *key = dict->items[i];
        const struct fn_pickle_value *args = tensor_arguments(dict->items[i + 1]);
        if (!args || key->kind != FN_PICKLE_STRING) continue;
        char name[MAX_NAME];
        (void)snprintf(name, sizeof name, "%.*s",
                       (int)(key->size < MAX_NAME ? key->size : MAX_NAME - 1), key->text);
        struct fn_raw_tensor tensor;
        bool real = false;
        fn_status status = read_tensor(file, name, args, &tensor, &real, err);
        if (status == FN_OK && real) status = visit(context, &tensor, err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

/* ---- the two layouts ------------------------------------------------------------------------ */

static fn_status open_zip(struct torch_file *file, struct fn_error *err) {
    fn_status status = fn_zip_open(file->name, file->bytes, file->size, &file->zip, err);
    if (status != FN_OK) return status;
    size_t n = fn_zip_count(file->zip), index = n;
    for (size_t i = 0; i < n && index == n; i++) {
        const char *slash = strchr(fn_zip_name(file->zip, i), '/');
        if (slash && strcmp(slash, "/data.pkl") == 0) index = i;
    }
    if (index == n)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a ZIP file without a data.pkl; expected what torch.save() writes",
                       file->name);
    const char *member = fn_zip_name(file->zip, index);
    (void)snprintf(file->prefix, sizeof file->prefix, "%.*s",
                   (int)(strchr(member, '/') + 1 - member), member);
    const uint8_t *bytes = NULL;
    size_t size = 0, used = 0;
    char order[MAX_NAME + 16];
    (void)snprintf(order, sizeof order, "%sbyteorder", file->prefix);
    size_t at = fn_zip_find(file->zip, order);
    if (at != n) { /* absent before PyTorch 2.1 */
        status = fn_zip_member(file->zip, at, &bytes, &size, err);
        if (status != FN_OK) return status;
        if (size != 6 || memcmp(bytes, "little", 6) != 0)
            return fn_fail(err, FN_BAD_SOURCE, "%s: byte order '%.*s'; expected 'little'",
                           file->name, (int)(size < 16 ? size : 16), (const char *)bytes);
    }
    status = fn_zip_member(file->zip, index, &bytes, &size, err);
    if (status != FN_OK) return status;
    return fn_pickle_read(file->name, bytes, size, &file->object, &used, err);
}

/* {'protocol_version': 1001, 'little_endian': True, ...} */
static fn_status check_system(const struct torch_file *file, const struct fn_pickle_value *system,
                              struct fn_error *err) {
    const struct fn_pickle_value *little = fn_pickle_get(system, "little_endian");
    if (!little || little->kind != FN_PICKLE_BOOL || !little->integer)
        return fn_fail(err, FN_BAD_SOURCE, "%s: written on a big-endian machine, or damaged",
                       file->name);
    return FN_OK;
}

/* The stream says how many numbers a storage has, not of what type: that stands only in the
 * persistent ids of the object. */
static fn_status list_storages(struct torch_file *file, struct fn_error *err) {
    file->storages = calloc(MAX_STORAGES, sizeof *file->storages);
    if (!file->storages) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", file->name);
    for (size_t i = 0; i < fn_pickle_count(file->object); i++) {
        const struct fn_pickle_value *value = fn_pickle_at(file->object, i);
        if (value->kind != FN_PICKLE_PERSISTENT) continue;
        struct storage_id id;
        fn_status status = read_storage_id(file, "a storage", value, &id, err);
        if (status != FN_OK) return status;
        if (find_stored(file, id.key)) continue;
        if (file->n_storages == MAX_STORAGES)
            return fn_fail(err, FN_BAD_SOURCE, "%s: more than %d storages", file->name,
                           MAX_STORAGES);
        file->storages[file->n_storages++] = (struct stored){.key = id.key, .element = id.element};
    }
    return FN_OK;
}

/* For each key: an int64 count, then that many numbers. */
static fn_status read_storages(struct torch_file *file, size_t at, struct fn_error *err) {
    const struct fn_pickle_value *keys = fn_pickle_root(file->keys);
    if (keys->kind != FN_PICKLE_TUPLE)
        return fn_fail(err, FN_BAD_SOURCE, "%s: no list of storages after the object", file->name);
    for (size_t i = 0; i < keys->n; i++) {
        struct stored *stored =
            keys->items[i]->kind == FN_PICKLE_STRING ? find_stored(file, keys->items[i]) : NULL;
        if (!stored || stored->data)
            return fn_fail(err, FN_BAD_SOURCE, "%s: storage %zu is of no tensor, or comes twice",
                           file->name, i);
        uint64_t count = 0, size = 0;
        if (file->size - at >= 8)
            for (int k = 0; k < 8; k++) count |= (uint64_t)file->bytes[at + (size_t)k] << (8 * k);
        if (file->size - at < 8 || __builtin_mul_overflow(count, stored->element->size, &size) ||
            size > file->size - at - 8)
            return fn_fail(err, FN_BAD_SOURCE,
                           "%s: storage %zu of %zu: %llu numbers do not fit the %zu bytes that are "
                           "left (truncated?)",
                           file->name, i, keys->n, (unsigned long long)count, file->size - at);
        stored->data = file->bytes + at + 8;
        stored->size = size;
        at += 8 + (size_t)size;
    }
    return FN_OK;
}

/* Protocol number, system, object, keys: a pickle each, after the magic number's. */
static fn_status open_stream(struct torch_file *file, struct fn_error *err) {
    size_t at = sizeof legacy_magic;
    for (int part = 0; part < 4; part++) {
        FN_CLEANUP(fn_pickle_free) struct fn_pickle *pickle = NULL;
        size_t used = 0;
        fn_status status =
            fn_pickle_read(file->name, file->bytes + at, file->size - at, &pickle, &used, err);
        if (status != FN_OK) return status;
        at += used;
        const struct fn_pickle_value *root = fn_pickle_root(pickle);
        if (part == 0 && (root->kind != FN_PICKLE_INT || root->integer != LEGACY_NUMBER))
            return fn_fail(err, FN_BAD_SOURCE, "%s: not protocol %d of torch.save()", file->name,
                           LEGACY_NUMBER);
        if (part == 1) status = check_system(file, root, err);
        if (status != FN_OK) return status;
        if (part == 2) file->object = FN_TAKE(pickle);
        if (part == 3) file->keys = FN_TAKE(pickle);
    }
    fn_status status = list_storages(file, err);
    return status == FN_OK ? read_storages(file, at, err) : status;
}

fn_status fn_torch_read(const char *name, const uint8_t *bytes, size_t size, fn_torch_visit visit,
                        void *context, struct fn_error *err) {
    struct torch_file file = {.name = name, .bytes = bytes, .size = size};
    bool zip = size >= 2 && memcmp(bytes, "PK", 2) == 0;
    if (!fn_torch_recognise(bytes, size))
        return fn_fail(err, FN_BAD_SOURCE, "%s: not a file of torch.save()", name);
    fn_status status = zip ? open_zip(&file, err) : open_stream(&file, err);
    if (status == FN_OK) status = visit_all(&file, visit, context, err);
    done(&file);
    return status;
}
