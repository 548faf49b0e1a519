/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_metrics.c -- GET /metrics: the counters of the process and the state of what it uses, in
 * the Prometheus text format 0.0.4. docs/metrics.md says what each name means. */
#include <stdlib.h>

#include "daemon/api/routes.h"
#include "daemon/http/reply.h"
#include "daemon/http/tls.h"
#include "engine/version.h"

static void write_connections(const struct fn_http_figures *http, FILE *out) {
    static const char *const phases[] = {"idle", "headers", "body", "reply"};
    int suspended = atomic_load(&http->suspended), all = atomic_load(&http->connections);
    fn_metrics_write_head(out, "connections", "gauge",
                          "Open connections: their request is worked on, or not.");
    (void)fprintf(out,
                  "facenetd_connections{state=\"working\"} %d\n"
                  "facenetd_connections{state=\"other\"} %d\n",
                  suspended, all - suspended);
    fn_metrics_write_one(out, "connections_accepted_total", "counter", "Connections ever accepted.",
                         (double)atomic_load(&http->accepted));
    fn_metrics_write_head(out, "connections_cut_total", "counter",
                          "Connections ended for being slow, by what they were slow at.");
    for (int i = 0; i < FN_CUT_PHASES; i++)
        (void)fprintf(out, "facenetd_connections_cut_total{phase=\"%s\"} %llu\n", phases[i],
                      atomic_load(&http->cut[i]));
    fn_metrics_write_one(out, "inflight_bytes", "gauge", "Bodies in memory.",
                         (double)atomic_load(&http->inflight));
}

static void write_expiry(FILE *out) {
    int64_t expires_s = fn_tls_expires_s();
    if (expires_s)
        fn_metrics_write_one(out, "tls_certificate_expiry_timestamp_seconds", "gauge",
                             "When the certificate shown expires.", (double)expires_s);
}

static void write_state(struct fn_service *service, FILE *out) {
    struct fn_error err;
    struct fn_batcher_stats stats;
    const struct fn_config *config = service->config;
    fn_batcher_get_stats(service->batcher, &stats);
    fn_metrics_write_one(out, "ready", "gauge", "Whether /readyz says yes.",
                         fn_service_check_ready(service, &err) == FN_OK);
    fn_metrics_write_one(out, "draining", "gauge", "Whether the server is shutting down.",
                         atomic_load(&service->server->draining));
    fn_metrics_write_one(out, "requests_in_work", "gauge", "Requests with workers or the device.",
                         (double)atomic_load(&service->server->in_work));
    struct fn_load_ahead ahead = fn_load_ahead(&service->server->load);
    fn_metrics_write_one(out, "decode_ahead_seconds", "gauge",
                         "Estimated work of requests whose pictures are not decoded yet.",
                         ahead.ms / 1000);
    fn_metrics_write_one(out, "queue_depth", "gauge", "Crops that wait for the device.",
                         stats.queued);
    fn_metrics_write_one(out, "queue_pictures", "gauge", "Pictures whose faces wait.",
                         stats.pictures_queued);
    fn_metrics_write_one(out, "queue_slots", "gauge", "Pictures that may wait (max_queue).",
                         (double)config->max_queue);
    fn_metrics_write_one(out, "max_inflight_bytes", "gauge", "Bound of facenetd_inflight_bytes.",
                         (double)config->max_inflight_bytes);
    fn_devices_write_metrics(service->runtime->devices, out);
    fn_metrics_write_head(out, "build_info", "gauge", "What runs; always 1.");
    (void)fprintf(out, "facenetd_build_info{version=\"" FN_VERSION "\",model=\"%s\"} 1\n",
                  service->model->id);
}

void fn_handle_metrics(struct fn_service *service, struct fn_http_request *request) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out) {
        fn_metrics_write(&service->server->metrics, fn_routes_path, out);
        write_connections(&service->server->http, out);
        write_state(service, out);
        write_expiry(out);
    }
    bool whole = out && !ferror(out);
    if (out && fclose(out) != 0) whole = false;
    if (!whole) {
        free(text);
        text = NULL;
    }
    fn_reply_bytes(request, "text/plain; version=0.0.4; charset=utf-8", text, size);
}
