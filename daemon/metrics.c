/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c -- see metrics.h. Plain atomics: a scrape may see one counter a moment before another,
 * never a torn or falling one. */
#include "daemon/metrics.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/clock.h"

static const double bounds[FN_HISTOGRAM_BOUNDS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,    0.25,  0.5,    1,     2.5,  5,     10};

/* Every HTTP status that the daemon gives; anything else counts as the last. */
static const int statuses[] = {200, 204, 400, 401, 403, 404, 405, 409, 413, 415,
                               421, 422, 429, 499, 500, 501, 503, 504, 0};
#define N_STATUSES ((int)(sizeof statuses / sizeof statuses[0]))
_Static_assert(sizeof statuses / sizeof statuses[0] <= FN_METRIC_STATUSES, "room for every status");

static const fn_status reasons[] = {
#define FN_REASON(name, number, http, code, title) name,
    FN_STATUS_LIST(FN_REASON)
#undef FN_REASON
};
#define N_REASONS ((int)(sizeof reasons / sizeof reasons[0]))
_Static_assert(sizeof reasons / sizeof reasons[0] <= 64, "room for every reason");

static const char *const outcomes[FN_OUTCOMES] = {"answered", "refused", "expired", "dropped",
                                                  "failed"};

void fn_histogram_add(struct fn_histogram *histogram, int64_t ns) {
    int bucket = 0;
    double seconds = (double)ns / (double)FN_NS_PER_S;
    while (bucket < FN_HISTOGRAM_BOUNDS && seconds > bounds[bucket]) bucket++;
    atomic_fetch_add(&histogram->buckets[bucket], 1);
    atomic_fetch_add(&histogram->sum_ns, (unsigned long long)(ns > 0 ? ns : 0));
}

void fn_metrics_note_received(struct fn_metrics *metrics) {
    atomic_fetch_add(&metrics->received, 1);
    atomic_fetch_add(&metrics->in_flight, 1);
}

static enum fn_outcome judge(int http_status, fn_status status, bool delivered) {
    if (!delivered) return FN_OUTCOME_DROPPED;
    if (http_status < 300) return FN_OUTCOME_ANSWERED;
    if (http_status == 504) return FN_OUTCOME_EXPIRED;
    if (http_status < 500 || status == FN_OVERLOADED || status == FN_DRAINING ||
        status == FN_NO_MEMORY)
        return FN_OUTCOME_REFUSED;
    return FN_OUTCOME_FAILED;
}

void fn_metrics_note_ended(struct fn_metrics *metrics, int route, int http_status, fn_status status,
                           int delivered, int64_t ns) {
    int slot = 0, reason = 0;
    enum fn_outcome outcome = judge(http_status, status, delivered);
    while (slot < N_STATUSES - 1 && statuses[slot] != http_status) slot++;
    while (reason < N_REASONS - 1 && reasons[reason] != status) reason++;
    if (route < 0 || route >= FN_METRIC_ROUTES) route = FN_METRIC_ROUTES - 1;
    atomic_fetch_add(&metrics->requests[route][slot], 1);
    if (outcome == FN_OUTCOME_REFUSED) atomic_fetch_add(&metrics->refusals[reason], 1);
    atomic_fetch_add(&metrics->outcomes[outcome], 1);
    atomic_fetch_sub(&metrics->in_flight, 1);
    fn_histogram_add(&metrics->request_seconds, ns);
}

/* ---- writing ---- */

void fn_metrics_write_head(FILE *out, const char *name, const char *type, const char *help) {
    (void)fprintf(out, "# HELP facenetd_%s %s\n# TYPE facenetd_%s %s\n", name, help, name, type);
}

void fn_metrics_write_one(FILE *out, const char *name, const char *type, const char *help,
                          double value) {
    fn_metrics_write_head(out, name, type, help);
    (void)fprintf(out, "facenetd_%s %.17g\n", name, value);
}

void fn_metrics_write_label(FILE *out, const char *value) {
    for (; *value; value++) {
        if (*value == '\n')
            (void)fputs("\\n", out);
        else if (*value == '\\' || *value == '"')
            (void)fprintf(out, "\\%c", *value);
        else
            (void)fputc(*value, out);
    }
}

static void write_count(FILE *out, const char *name, const char *help,
                        const atomic_ullong *counter) {
    fn_metrics_write_one(out, name, "counter", help, (double)atomic_load(counter));
}

static void write_histogram(FILE *out, const char *name, const char *help,
                            const struct fn_histogram *histogram) {
    unsigned long long count = 0;
    fn_metrics_write_head(out, name, "histogram", help);
    for (int i = 0; i < FN_HISTOGRAM_BOUNDS; i++) {
        count += atomic_load(&histogram->buckets[i]);
        (void)fprintf(out, "facenetd_%s_bucket{le=\"%g\"} %llu\n", name, bounds[i], count);
    }
    count += atomic_load(&histogram->buckets[FN_HISTOGRAM_BOUNDS]);
    (void)fprintf(out,
                  "facenetd_%s_bucket{le=\"+Inf\"} %llu\nfacenetd_%s_sum %.9f\n"
                  "facenetd_%s_count %llu\n",
                  name, count, name, (double)atomic_load(&histogram->sum_ns) / (double)FN_NS_PER_S,
                  name, count);
}

/* Several statuses may share a code: the first of them stands for all. */
static void write_reason(const struct fn_metrics *metrics, int first, FILE *out) {
    const char *code = fn_status_code(reasons[first]);
    unsigned long long n = 0;
    for (int i = 0; i < N_REASONS; i++) {
        if (strcmp(fn_status_code(reasons[i]), code) != 0) continue;
        if (i < first) return;
        n += atomic_load(&metrics->refusals[i]);
    }
    if (n) (void)fprintf(out, "facenetd_requests_rejected_total{reason=\"%s\"} %llu\n", code, n);
}

static void write_requests(const struct fn_metrics *metrics, const char *(*route_name)(int),
                           FILE *out) {
    write_count(out, "requests_received_total", "Requests whose headers have come.",
                &metrics->received);
    fn_metrics_write_one(out, "requests_in_flight", "gauge", "Requests received and not yet ended.",
                         (double)atomic_load(&metrics->in_flight));
    fn_metrics_write_head(
        out, "requests_total", "counter",
        "Requests ended, by route and HTTP status (499: nobody was left to tell).");
    for (int route = 0; route < FN_METRIC_ROUTES; route++) {
        for (int slot = 0; slot < N_STATUSES; slot++) {
            unsigned long long n = atomic_load(&metrics->requests[route][slot]);
            if (n == 0) continue;
            (void)fprintf(out, "facenetd_requests_total{route=\"%s\",code=\"%d\"} %llu\n",
                          route_name(route) ? route_name(route) : "none", statuses[slot], n);
        }
    }
    fn_metrics_write_head(out, "requests_outcomes_total", "counter",
                          "Requests ended, each in one outcome.");
    for (int i = 0; i < FN_OUTCOMES; i++)
        (void)fprintf(out, "facenetd_requests_outcomes_total{outcome=\"%s\"} %llu\n", outcomes[i],
                      atomic_load(&metrics->outcomes[i]));
    fn_metrics_write_head(out, "requests_rejected_total", "counter",
                          "Requests refused, by the code of the problem.");
    for (int i = 0; i < N_REASONS; i++) write_reason(metrics, i, out);
}

static void write_pictures(const struct fn_metrics *metrics, FILE *out) {
    write_count(out, "pictures_submitted_total", "Crops queued for the device.",
                &metrics->pictures_submitted);
    write_count(out, "pictures_computed_total", "Crops that got their embedding.",
                &metrics->pictures_computed);
    write_count(out, "pictures_expired_total", "Crops dropped before they were computed.",
                &metrics->pictures_expired);
    write_count(out, "pictures_failed_total", "Crops that the device gave no embedding for.",
                &metrics->pictures_failed);
    fn_metrics_write_head(out, "batches_total", "counter",
                          "Batches computed, by pictures in them.");
    for (int i = 1; i <= FN_MAX_BATCH; i++) {
        unsigned long long n = atomic_load(&metrics->batches[i]);
        if (n) (void)fprintf(out, "facenetd_batches_total{size=\"%d\"} %llu\n", i, n);
    }
}

static int count_fds(void) {
    int n = -3; /* ".", ".." and the one that looks */
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return -1;
    while (readdir(dir)) n++;
    (void)closedir(dir);
    return n;
}

static long resident_bytes(void) {
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128];
    if (!file) return 0;
    if (fgets(line, sizeof line, file)) {
        char *end;
        size = strtol(line, &end, 10);
        pages = size ? strtol(end, NULL, 10) : 0;
    }
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void write_process(FILE *out) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    (void)fprintf(out,
                  "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
                  "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %ld\n"
                  "# TYPE process_open_fds gauge\nprocess_open_fds %d\n",
                  cpu, resident_bytes(), count_fds());
}

void fn_metrics_write(const struct fn_metrics *metrics, const char *(*route_name)(int), FILE *out) {
    write_requests(metrics, route_name, out);
    write_pictures(metrics, out);
    write_histogram(out, "request_duration_seconds", "From the headers to the end of the answer.",
                    &metrics->request_seconds);
    write_histogram(out, "decode_duration_seconds", "Decoding one picture.",
                    &metrics->decode_seconds);
    write_histogram(out, "detect_duration_seconds", "Finding and cutting one picture's faces.",
                    &metrics->detect_seconds);
    write_histogram(out, "queue_duration_seconds", "A crop's wait for the device.",
                    &metrics->queue_seconds);
    write_histogram(out, "device_duration_seconds", "One batch on the device.",
                    &metrics->device_seconds);
    write_count(out, "device_failovers_total", "Changes of the device that serves, back ones too.",
                &metrics->failovers);
    write_count(out, "device_stalls_total", "Devices that did not answer in time.",
                &metrics->stalls);
    write_count(out, "selftest_failures_total", "Known-answer tests that a device did not pass.",
                &metrics->selftest_failures);
    fn_metrics_write_head(out, "config_reloads_total", "counter", "Reloads by SIGHUP.");
    (void)fprintf(out,
                  "facenetd_config_reloads_total{result=\"failed\"} %llu\n"
                  "facenetd_config_reloads_total{result=\"succeeded\"} %llu\n",
                  atomic_load(&metrics->reloads[0]), atomic_load(&metrics->reloads[1]));
    fn_metrics_write_one(out, "config_last_reload_success_timestamp_seconds", "gauge",
                         "When the configuration in force was read.",
                         (double)atomic_load(&metrics->last_reload_s));
    write_process(out);
}
