/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_engine.c -- how fast the engine runs a model, and where the time goes.
 *
 * Usage: bench_engine --model FILE [--device NAME] [--kernels FAMILY] [--cache DIR]
 *                     [--batch N,N...] [--seconds S] [--json] [--layers] [--serve] [--cpu-time]
 * Times are medians over runs of random pictures; more runs, with the profile on, give the share of
 * time by kind of layer. --json prints one object and nothing else, --layers each
 * layer's time before its row. --serve reads lines
 * "<batch> <runs>" from standard input and answers each with the seconds of every run, so that
 * bench.py can interleave us with others. --cpu-time counts the process's CPU time in place of the
 * wall's. Threads are the device's business: for pocl, taskset and
 * POCL_MAX_PTHREAD_COUNT. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/cleanup.h"
#include "engine/engine.h"
#include "engine/prng.h"

#define MAX_BATCHES  8
#define MAX_RUNS     10000
#define WARM_UP      3 /* runs before the clock */
#define PROFILE_RUNS 20

struct settings {
    const char *model, *device, *kernels, *cache;
    int batches[MAX_BATCHES], n_batches;
    double seconds; /* at least so long for each batch size */
    bool json, layers, serve;
};

/* Kinds of layer in the order of the table. */
enum kind { KIND_3X3, KIND_3X3_STRIDE_2, KIND_1X1, KIND_1D, KIND_POOL, KIND_HEAD, N_KINDS };
static const char *const kind_names[N_KINDS] = {"3x3",  "3x3 stride 2", "1x1", "1x7/7x1/1x3/3x1",
                                                "pool", "head"};

static float
    *embeddings; /* borrowed from main(): [FN_MAX_BATCH][embedding_size], where runs write */

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(struct fn_engine *, fn_engine_close)

static enum kind kind_of(const struct fn_layer *layer) {
    if (layer->op == FN_OP_POOL) return KIND_POOL;
    if (layer->op == FN_OP_HEAD) return KIND_HEAD;
    if (layer->kernel_h == 1 && layer->kernel_w == 1) return KIND_1X1;
    if (layer->kernel_h != layer->kernel_w) return KIND_1D;
    return layer->stride == 1 ? KIND_3X3 : KIND_3X3_STRIDE_2;
}

static clockid_t clock_used = CLOCK_MONOTONIC;

static double now(void) {
    struct timespec t;
    (void)clock_gettime(clock_used, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int64_t count_macs(const struct fn_network *network) {
    int64_t macs = 0;
    for (int i = 0; i < network->n_layers; i++) macs += fn_layer_macs(network, &network->layers[i]);
    return macs;
}

/* One run of n pictures; its seconds, or a negative number. */
static double run_once(struct fn_engine *engine, const uint8_t *crops, int n) {
    struct fn_error err;
    double start = now();
    fn_status status = fn_engine_run(engine, crops, n, embeddings, NULL, &err);
    if (status == FN_OK) return now() - start;
    (void)fprintf(stderr, "bench_engine: %s\n", err.text);
    return -1;
}

/* Median seconds of one run of n pictures, or a negative number. */
static double measure(struct fn_engine *engine, const uint8_t *crops, int n, double seconds) {
    static double times[MAX_RUNS];
    int runs = 0;
    for (int i = 0; i < WARM_UP; i++)
        if (run_once(engine, crops, n) < 0) return -1;
    for (double end = now() + seconds; runs < MAX_RUNS && (runs < 3 || now() < end); runs++)
        if ((times[runs] = run_once(engine, crops, n)) < 0) return -1;
    qsort(times, (size_t)runs, sizeof times[0], compare);
    return times[runs / 2];
}

/* Share of device time by kind of layer, each layer's time being the least of PROFILE_RUNS. */
static bool profile(const struct fn_model *model, struct fn_engine *engine, const uint8_t *crops,
                    int n, bool layers, double ret_shares[N_KINDS]) {
    double by_kind[N_KINDS] = {0}, total = 0, least[FN_MAX_LAYERS] = {0};
    const struct fn_network *network = &model->network;
    for (int run = 0; run < PROFILE_RUNS; run++) {
        if (run_once(engine, crops, n) < 0) return false;
        const double *seconds = fn_engine_profile(engine);
        if (!seconds) return false;
        for (int i = 0; i < network->n_layers; i++)
            if (run == 0 || seconds[i] < least[i]) least[i] = seconds[i];
    }
    for (int i = 0; i < network->n_layers; i++) {
        by_kind[kind_of(&network->layers[i])] += least[i];
        total += least[i];
        if (layers)
            (void)printf("%-60s %9.1f us %7.1f GMAC/s\n", network->layers[i].name, 1e6 * least[i],
                         1e-9 * (double)n * (double)fn_layer_macs(network, &network->layers[i]) /
                             least[i]);
    }
    for (int k = 0; k < N_KINDS; k++) ret_shares[k] = by_kind[k] / total;
    return true;
}

static int serve(struct fn_engine *engine, const uint8_t *crops, int max_batch) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        char *rest;
        long n = strtol(line, &rest, 10), runs = strtol(rest, NULL, 10);
        if (n < 1 || n > max_batch || runs < 1) return 1;
        for (long i = 0; i < runs; i++) {
            double seconds = run_once(engine, crops, (int)n);
            if (seconds < 0) return 1;
            (void)printf("%.9f%c", seconds, i + 1 < runs ? ' ' : '\n');
        }
        (void)fflush(stdout);
    }
    return 0;
}

static void print_row(bool json, bool first, int n, double seconds, double macs,
                      const double *shares) {
    double rate = n / seconds;
    if (json)
        (void)printf("%s{\"batch\": %d, \"ms_per_image\": %.4f, \"images_per_second\": %.2f, "
                     "\"gmac_per_second\": %.2f, \"share\": {",
                     first ? "" : ", ", n, 1e3 / rate, rate, 1e-9 * rate * macs);
    else
        (void)printf("batch %2d: %7.2f ms/image %8.1f images/s %7.1f GMAC/s |", n, 1e3 / rate, rate,
                     1e-9 * rate * macs);
    for (int k = 0; k < N_KINDS; k++)
        (void)printf(json ? "%s\"%s\": %.4f" : "%s %s %.1f%%",
                     k == 0 ? ""
                     : json ? ", "
                            : ",",
                     kind_names[k], json ? shares[k] : 100 * shares[k]);
    (void)printf(json ? "}}" : "\n");
}

static bool parse_batches(const char *text, struct settings *ret) {
    ret->n_batches = 0;
    while (*text) {
        char *end;
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > FN_MAX_BATCH || ret->n_batches == MAX_BATCHES) return false;
        ret->batches[ret->n_batches++] = (int)n;
        text = *end == ',' ? end + 1 : end;
    }
    return ret->n_batches > 0;
}

static bool parse(int argc, char **argv, struct settings *ret) {
    static const struct option options[] = {
        {"model", required_argument, NULL, 'm'},
        {"device", required_argument, NULL, 'd'},
        {"batch", required_argument, NULL, 'b'},
        {"seconds", required_argument, NULL, 't'},
        {"kernels", required_argument, NULL, 'k'},
        {"cache", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"layers", no_argument, NULL, 'l'},
        {"serve", no_argument, NULL, 's'},
        {"cpu-time", no_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'm')
            ret->model = optarg;
        else if (c == 'd')
            ret->device = optarg;
        else if (c == 'k')
            ret->kernels = optarg;
        else if (c == 'c')
            ret->cache = optarg;
        else if (c == 't')
            ret->seconds = strtod(optarg, NULL);
        else if (c == 'j')
            ret->json = true;
        else if (c == 'l')
            ret->layers = true;
        else if (c == 's')
            ret->serve = true;
        else if (c == 'u')
            clock_used = CLOCK_PROCESS_CPUTIME_ID;
        else if (c != 'b' || !parse_batches(optarg, ret))
            return false;
    }
    return optind == argc;
}

static fn_status open_engine(const struct fn_model *model, const struct settings *settings,
                             bool profiled, struct fn_engine **ret_engine, struct fn_error *err) {
    int max_batch = 1;
    for (int i = 0; i < settings->n_batches; i++)
        if (settings->batches[i] > max_batch) max_batch = settings->batches[i];
    const struct fn_engine_options options = {.device = settings->device,
                                              .kernel_family = settings->kernels,
                                              .cache_dir = settings->cache,
                                              .max_batch = max_batch,
                                              .profile = profiled};
    return fn_engine_open(model, &options, ret_engine, err);
}

int main(int argc, char **argv) {
    struct settings settings = {.batches = {1, 8}, .n_batches = 2, .seconds = 3};
    struct fn_error err;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_engine_close) struct fn_engine *engine = NULL, *profiled = NULL;
    if (!parse(argc, argv, &settings) || !settings.model) {
        (void)fprintf(stderr, "usage: bench_engine --model FILE [--device NAME] [--kernels FAMILY] "
                              "[--cache DIR] [--batch N,N...] [--seconds S] [--json] [--layers] "
                              "[--serve] [--cpu-time]\n");
        return 2;
    }
    double start = now();
    if (fn_model_open(settings.model, &model, &err) != FN_OK ||
        open_engine(model, &settings, false, &engine, &err) != FN_OK) {
        (void)fprintf(stderr, "bench_engine: %s\n", err.text);
        return 1;
    }
    FN_CLEANUP_FREE uint8_t *crops = malloc((size_t)FN_MAX_BATCH * FN_CROP_SIZE);
    FN_CLEANUP_FREE float *outputs =
        calloc(FN_MAX_BATCH, (size_t)model->network.embedding_size * sizeof *outputs);
    if (!crops || !outputs) return 1;
    embeddings = outputs;
    struct fn_prng prng = {.state = 1};
    fn_prng_fill(&prng, crops, (size_t)FN_MAX_BATCH * FN_CROP_SIZE);
    if (settings.serve) return serve(engine, crops, settings.batches[settings.n_batches - 1]);
    if (open_engine(model, &settings, true, &profiled, &err) != FN_OK) return 1;
    struct fn_engine_description d;
    fn_engine_describe(engine, &d);
    double macs = (double)count_macs(&model->network);
    if (settings.json)
        (void)printf("{\"model\": \"%s\", \"label\": \"%s\", \"family\": \"%s\", "
                     "\"driver\": \"%s\", \"macs\": %.0f, \"rows\": [",
                     model->id, d.label, d.kernel_family, d.driver, macs);
    else
        (void)printf("%s, %s, %s, opened in %.2f s\n", model->id, d.label, d.driver, now() - start);
    for (int i = 0; i < settings.n_batches; i++) {
        double shares[N_KINDS] = {0};
        double seconds = measure(engine, crops, settings.batches[i], settings.seconds);
        if (seconds < 0) return 1;
        (void)profile(model, profiled, crops, settings.batches[i], settings.layers, shares);
        print_row(settings.json, i == 0, settings.batches[i], seconds, macs, shares);
    }
    if (settings.json) (void)printf("]}\n");
    return 0;
}
