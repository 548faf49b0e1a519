/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of the real producers (tests/model/producers), all of one set of weights: every
 * source gives the same network, and so does what is extracted from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/fixed.h"
#include "model/inspect/extract.h"
#include "model/sources/source.h"

#define FIXTURES "tests/model/fixtures"

static char folder[] = P_tmpdir "/facenetd-sources.XXXXXX";

/* Unpack one .gz of the fixtures, making the folders on the way. */
static void unpack(const char *from, const char *to) {
    char buffer[65536];
    gzFile in = gzopen(from, "rb");
    assert_non_null(in);
    FILE *out = fopen(to, "wb");
    assert_non_null(out);
    for (int n; (n = gzread(in, buffer, sizeof buffer)) != 0;) {
        assert_true(n > 0);
        assert_int_equal(fwrite(buffer, 1, (size_t)n, out), n);
    }
    assert_int_equal(gzclose(in), Z_OK);
    assert_int_equal(fclose(out), 0);
}

static void unpack_folder(const char *from, const char *to) {
    DIR *dir = opendir(from);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char source[PATH_MAX], target[PATH_MAX];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        (void)snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        size_t length = strlen(target);
        if (length > 3 && strcmp(target + length - 3, ".gz") == 0) {
            target[length - 3] = '\0';
            unpack(source, target);
        } else {
            assert_int_equal(mkdir(target, 0777), 0);
            unpack_folder(source, target);
        }
    }
    (void)closedir(dir);
}

static int unpack_fixtures(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    unpack_folder(FIXTURES, folder);
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int remove_fixtures(void **state) {
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *fixture(const char *name) {
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- a whole network in double -------------------------------------------------------------- */

struct folded {
    struct fn_network network;
    double *weights[FN_MAX_LAYERS], *bias[FN_MAX_LAYERS];
};

static size_t n_weights(const struct fn_layer *l) {
    return (size_t)l->kernel_h * (size_t)l->kernel_w * (size_t)l->in_channels *
           (size_t)l->out_channels;
}

static void fold_all(struct fn_source *source, struct folded *ret) {
    struct fn_error err = {0};
    if (fn_source_network(source, &ret->network, &err) != FN_OK) fail_msg("%s", err.text);
    for (int i = 0; i < ret->network.n_layers; i++) {
        const struct fn_layer *layer = &ret->network.layers[i];
        ret->weights[i] = ret->bias[i] = NULL;
        if (layer->op == FN_OP_POOL) continue;
        ret->weights[i] = malloc(n_weights(layer) * sizeof(double));
        ret->bias[i] = malloc((size_t)layer->out_channels * sizeof(double));
        if (fn_source_fold(source, layer, ret->weights[i], ret->bias[i], &err) != FN_OK)
            fail_msg("%s", err.text);
    }
}

static struct fn_source *open_source(const char *path, bool averages) {
    const struct fn_source_options options = {.use_averages = averages};
    struct fn_source *source = NULL;
    struct fn_error err = {0};
    if (fn_source_open_with(path, &options, &source, &err) != FN_OK) fail_msg("%s", err.text);
    return source;
}

static void load(const char *name, struct folded *ret) {
    struct fn_source *source = open_source(fixture(name), false);
    fold_all(source, ret);
    fn_source_free(source);
}

static void release(struct folded *f) {
    for (int i = 0; i < f->network.n_layers; i++) {
        free(f->weights[i]);
        free(f->bias[i]);
    }
}

static void assert_same(const struct folded *a, const struct folded *b) {
    assert_int_equal(a->network.n_layers, b->network.n_layers);
    for (int i = 0; i < a->network.n_layers; i++) {
        const struct fn_layer *layer = &a->network.layers[i];
        if (layer->op == FN_OP_POOL) continue;
        assert_string_equal(layer->name, b->network.layers[i].name);
        assert_memory_equal(a->weights[i], b->weights[i], n_weights(layer) * sizeof(double));
        assert_memory_equal(a->bias[i], b->bias[i], (size_t)layer->out_channels * sizeof(double));
    }
}

/* Sources with BatchNorm in parts: bit for bit the same. */
static const char *const in_parts[] = {
    "tf-checkpoint",     "tf-checkpoint/model-small.ckpt-7",
    "tf-sharded",        "tf-meta/model.ckpt.meta",
    "frozen.pb",         "frozen-fused.pb",
    "torch-legacy.pt",   "torch-zip.pt",
    "torch-views.pt",    "torch-bn.onnx",
    "keras-weights.h5",  "keras-model.h5",
    "keras3.weights.h5",
};
/* The same for a network of 128 floats. */
static const char *const in_parts_128[] = {
    "128d/20170512-110547",
    "128d/20170512-110547/model-20170512-110547.meta",
    "128d/20170512-110547/20170512-110547.pb",
    "128d/facenet_weights.h5",
    "128d/facenet.keras",
    "128d/deepface_weights.pth",
    "128d/facenet-pytorch.safetensors",
    "128d/dynamo-plain.onnx",
};
/* Sources whose producer folded BatchNorm in float32. */
static const char *const folded_by_producer[] = {"torch-folded.onnx", "keras-frozen.pb"};
static const char *const folded_by_producer_128[] = {"128d/dynamo.onnx", "128d/optimized.pb"};

static void assert_all_same(const char *reference, const char *const *names, size_t n) {
    static struct folded expected, found;
    load(reference, &expected);
    for (size_t i = 0; i < n; i++) {
        print_message("%s\n", names[i]);
        load(names[i], &found);
        assert_same(&expected, &found);
        release(&found);
    }
    release(&expected);
}

static void every_source_gives_the_same_network_bit_for_bit(void **state) {
    (void)state;
    assert_all_same("slim.safetensors", in_parts, sizeof in_parts / sizeof in_parts[0]);
    assert_all_same("128d/slim.safetensors", in_parts_128,
                    sizeof in_parts_128 / sizeof in_parts_128[0]);
}

/* Least-squares fractional bits of one channel, as the quantizer chooses them. */
static int best_frac_bits(const double *w, size_t n) {
    int best = FN_FRAC_W_MIN;
    double least = INFINITY;
    for (int f = FN_FRAC_W_MIN; f <= FN_FRAC_W_MAX; f++) {
        double error = 0;
        for (size_t i = 0; i < n; i++) {
            double q = fmin(fmax(fn_quantize_real(w[i], f), -127), 127);
            double e = ldexp(q, -f) - w[i];
            error += e * e;
        }
        if (error < least) {
            least = error;
            best = f;
        }
    }
    return best;
}

static void assert_nearly_same(const struct folded *parts, const struct folded *folded) {
    size_t total = 0, different = 0;
    for (int i = 0; i < parts->network.n_layers; i++) {
        const struct fn_layer *layer = &parts->network.layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t per_channel = n_weights(layer) / (size_t)layer->out_channels;
        for (size_t oc = 0; oc < (size_t)layer->out_channels; oc++) {
            const double *a = parts->weights[i] + oc * per_channel;
            const double *b = folded->weights[i] + oc * per_channel;
            int f = best_frac_bits(a, per_channel);
            assert_int_equal(f, best_frac_bits(b, per_channel));
            for (size_t k = 0; k < per_channel; k++, total++) {
                double step = fn_quantize_real(a[k], f) - fn_quantize_real(b[k], f);
                assert_true(fabs(step) <= 1);
                different += step != 0;
            }
        }
    }
    assert_true(total > 50000);
    assert_true(different * 1000 <= total);
}

static void assert_all_nearly_same(const char *reference, const char *const *names, size_t n) {
    static struct folded parts, folded;
    load(reference, &parts);
    for (size_t i = 0; i < n; i++) {
        print_message("%s\n", names[i]);
        load(names[i], &folded);
        assert_nearly_same(&parts, &folded);
        release(&folded);
    }
    release(&parts);
}

static void a_folded_source_differs_in_one_weight_of_a_thousand_by_one_step(void **state) {
    (void)state;
    assert_all_nearly_same("slim.safetensors", folded_by_producer,
                           sizeof folded_by_producer / sizeof folded_by_producer[0]);
    assert_all_nearly_same("128d/slim.safetensors", folded_by_producer_128,
                           sizeof folded_by_producer_128 / sizeof folded_by_producer_128[0]);
}

static void what_is_extracted_is_the_source_bit_for_bit(void **state) {
    (void)state;
    static const char *const names[] = {"tf-checkpoint", "torch-views.pt",    "torch-folded.onnx",
                                        "frozen.pb",     "keras3.weights.h5", "slim.safetensors"};
    static struct folded expected, found;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fn_error err = {0};
        char target[PATH_MAX];
        (void)snprintf(target, sizeof target, "%s/extracted-%zu", folder, i);
        struct fn_source *source = open_source(fixture(names[i]), false);
        fold_all(source, &expected);
        if (fn_extract_write(source, &expected.network, target, &err) != FN_OK)
            fail_msg("%s", err.text);
        fn_source_free(source);
        source = open_source(target, false);
        assert_string_equal(source->reader->format, "extract");
        fold_all(source, &found);
        fn_source_free(source);
        assert_same(&expected, &found);
        release(&expected);
        release(&found);
    }
}

static void an_extraction_never_writes_into_a_folder_with_something_in_it(void **state) {
    (void)state;
    static struct fn_network network;
    struct fn_error err = {0};
    struct fn_source *source = open_source(fixture("slim.safetensors"), false);
    assert_int_equal(fn_source_network(source, &network, &err), FN_OK);
    assert_int_equal(fn_extract_write(source, &network, fixture("tf-sharded"), &err), FN_USAGE);
    assert_non_null(strstr(err.text, "no empty folder"));
    fn_source_free(source);
}

static void moving_averages_are_used_when_asked_for(void **state) {
    (void)state;
    struct fn_error err = {0};
    struct fn_source *plain = open_source(fixture("tf-checkpoint"), false);
    struct fn_source *average = open_source(fixture("tf-checkpoint"), true);
    for (size_t i = 0; i < plain->n_scopes; i++) {
        const struct fn_source_scope *a = &plain->scopes[i];
        const struct fn_source_scope *b = fn_source_find(average, a->name);
        float weight, shadow;
        memcpy(&weight, a->part[FN_PART_KERNEL].data, sizeof weight);
        memcpy(&shadow, b->part[FN_PART_KERNEL].data, sizeof shadow);
        assert_true(shadow == weight * 1.5F); /* as the fixture was made */
    }
    assert_non_null(strstr(plain->note, "optimizer slots left out"));
    fn_source_free(plain);
    fn_source_free(average);
    const struct fn_source_options options = {.use_averages = true};
    struct fn_source *none = NULL;
    assert_int_equal(fn_source_open_with(fixture("tf-sharded"), &options, &none, &err), FN_USAGE);
    assert_null(none);
}

static void what_cannot_be_used_is_refused_in_one_line(void **state) {
    (void)state;
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"tf-partitioned", "partitioned into slices"},
        {"tf2-object", "object-based checkpoint"},
        {"nothing-here", "No such file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fn_source *source = NULL;
        struct fn_error err = {0};
        assert_int_not_equal(fn_source_open(fixture(cases[i].name), &source, &err), FN_OK);
        assert_non_null(strstr(err.text, cases[i].words));
        assert_null(strchr(err.text, '\n'));
        assert_null(source);
    }
}

/* Rewrite a fixture with `change` applied and try to use it. */
static fn_status open_changed(const char *name, void (*change)(uint8_t *, size_t *),
                              struct fn_error *err) {
    char path[PATH_MAX];
    FILE *file = fopen(fixture(name), "rb");
    assert_non_null(file);
    static uint8_t bytes[4 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    change(bytes, &size);
    (void)snprintf(path, sizeof path, "%s/changed", folder);
    file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    struct fn_source *source = NULL;
    static struct fn_network network;
    fn_status status = fn_source_open(path, &source, err);
    if (status == FN_OK) status = fn_source_network(source, &network, err);
    fn_source_free(source);
    return status;
}

/* NOLINTBEGIN(readability-non-const-parameter): they share a type */
static void cut_in_half(uint8_t *bytes, size_t *size) {
    (void)bytes;
    *size /= 2;
}

static void cut_the_last_byte(uint8_t *bytes, size_t *size) {
    (void)bytes;
    *size -= 1;
}

/* One letter of a name within data.pkl. */
static void change_a_name(uint8_t *bytes, size_t *size) {
    static const char name[] = "mixed_6a.branch0.conv.weight";
    uint8_t *found = memmem(bytes, *size, name, strlen(name));
    assert_non_null(found);
    found[6] ^= 1;
}
/* NOLINTEND(readability-non-const-parameter) */

static void a_truncated_source_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"frozen.pb",       "torch-legacy.pt", "torch-zip.pt",
                                        "torch-bn.onnx",   "keras-model.h5",  "keras3.weights.h5",
                                        "slim.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fn_error err = {0};
        assert_int_equal(open_changed(names[i], cut_in_half, &err), FN_BAD_SOURCE);
        assert_int_not_equal(strlen(err.text), 0);
        if (strstr(names[i], ".h5")) continue; /* the last byte of these is padding */
        assert_int_equal(open_changed(names[i], cut_the_last_byte, &err), FN_BAD_SOURCE);
    }
}

static void a_flipped_bit_under_a_checksum_is_found(void **state) {
    (void)state;
    struct fn_error err = {0};
    assert_int_equal(open_changed("torch-zip.pt", change_a_name, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "CRC-32"));

    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s",
                   fixture("tf-checkpoint/model-small.ckpt-7.data-00000-of-00001"));
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    static float zeros[100000];
    uint8_t *whole = (uint8_t *)zeros;
    size_t size = fread(whole, 1, sizeof zeros, file);
    for (size_t i = 0; i < size; i += 64) whole[i] ^= 1; /* whichever tensor lies there */
    rewind(file);
    assert_int_equal(fwrite(whole, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    struct fn_source *source = NULL;
    assert_int_equal(fn_source_open(fixture("tf-checkpoint"), &source, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "crc32c"));
    for (size_t i = 0; i < size; i += 64) whole[i] ^= 1;
    file = fopen(path, "r+b");
    assert_int_equal(fwrite(whole, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_memory_limit_is_kept(void **state) {
    (void)state;
    static const char *const names[] = {"frozen.pb",        "torch-legacy.pt",   "torch-zip.pt",
                                        "torch-bn.onnx",    "keras3.weights.h5", "tf-checkpoint",
                                        "slim.safetensors", "128d/facenet.keras"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct fn_source_options options = {.memory_limit = 200000};
        struct fn_source *source = NULL;
        struct fn_error err = {0};
        assert_int_equal(fn_source_open_with(fixture(names[i]), &options, &source, &err),
                         FN_BAD_SOURCE);
        assert_non_null(strstr(err.text, "limit"));
    }
}

static void batch_counters_of_pytorch_are_not_called_superfluous(void **state) {
    (void)state;
    static struct fn_network network;
    struct fn_error err = {0};
    struct fn_source *source = open_source(fixture("128d/facenet-pytorch.safetensors"), false);
    assert_int_equal(fn_source_network(source, &network, &err), FN_OK);
    assert_int_equal(source->n_unused, 2);
    assert_string_equal(source->unused[0], "logits.bias");
    assert_string_equal(source->unused[1], "logits.weight");
    fn_source_free(source);
}

/* Opening a pipe waits for its other end: no reader may. */
static void what_is_no_file_is_refused_at_once(void **state) {
    (void)state;
    char pipe[PATH_MAX], within[PATH_MAX];
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    (void)snprintf(within, sizeof within, "%s/pipes", folder);
    assert_int_equal(mkdir(within, 0700), 0);
    (void)snprintf(within, sizeof within, "%s/pipes/manifest.json", folder);
    assert_int_equal(mkfifo(within, 0600), 0);
    (void)snprintf(within, sizeof within, "%s/pipes/Conv2d_1a_3x3_kernel.npy", folder);
    assert_int_equal(mkfifo(within, 0600), 0);
    (void)snprintf(within, sizeof within, "%s/pipes", folder);
    const char *const paths[] = {pipe, within, "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct fn_source *source = NULL;
        struct fn_error err = {0};
        assert_int_equal(fn_source_open(paths[i], &source, &err), FN_IO);
        assert_non_null(strstr(err.text, "regular file"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_source_gives_the_same_network_bit_for_bit),
        cmocka_unit_test(a_folded_source_differs_in_one_weight_of_a_thousand_by_one_step),
        cmocka_unit_test(what_is_extracted_is_the_source_bit_for_bit),
        cmocka_unit_test(an_extraction_never_writes_into_a_folder_with_something_in_it),
        cmocka_unit_test(moving_averages_are_used_when_asked_for),
        cmocka_unit_test(what_cannot_be_used_is_refused_in_one_line),
        cmocka_unit_test(a_truncated_source_is_refused),
        cmocka_unit_test(a_flipped_bit_under_a_checksum_is_found),
        cmocka_unit_test(a_memory_limit_is_kept),
        cmocka_unit_test(batch_counters_of_pytorch_are_not_called_superfluous),
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, unpack_fixtures, remove_fixtures);
}
