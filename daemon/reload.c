/* SPDX-License-Identifier: Apache-2.0
 *
 * reload.c -- see reload.h. */
#include "daemon/reload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "engine/thread.h"

FN_DEFINE_CLEANUP(struct fn_config *, fn_config_free)

struct fn_reloader {
    const struct fn_flags *flags;
    struct fn_server *server;
    struct fn_front *front;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool asked, stopping; /* guarded by lock */
};

static fn_status check_fixed(const struct fn_config *now, const struct fn_config *wanted,
                             struct fn_error *err) {
    const struct {
        const char *key;
        bool same;
    } fixed[] = {
        {"lanes", now->lanes == wanted->lanes},
        {"workers", now->workers == wanted->workers},
        {"max_connections", now->max_connections == wanted->max_connections},
        {"tls_certificate", !now->tls_certificate == !wanted->tls_certificate},
    };
    bool same_listen = now->n_listen == wanted->n_listen;
    for (int i = 0; same_listen && i < now->n_listen; i++)
        same_listen = strcmp(now->listen[i], wanted->listen[i]) == 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (!fixed[i].same)
            return fn_fail(err, FN_USAGE, "\"%s\" cannot change while the server runs: restart it",
                           fixed[i].key);
    if (same_listen) return FN_OK;
    return fn_fail(err, FN_USAGE, "\"listen\" cannot change while the server runs: restart it");
}

/* Everything that can fail, then everything that cannot. */
static fn_status reload(struct fn_reloader *r, struct fn_service *before, struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = NULL;
    FN_CLEANUP(fn_tls_free) struct fn_tls *tls = NULL;
    struct fn_service *service = NULL;
    fn_status status = fn_flags_load_config(r->flags, &config, err);
    if (status == FN_OK) status = check_fixed(before->config, config, err);
    if (status == FN_OK) status = fn_front_check(r->front, config, err);
    if (status == FN_OK) status = fn_front_load_tls(config, &tls, err);
    if (status == FN_OK) status = fn_service_open(r->server, config, before, &service, err);
    if (status != FN_OK) return status;
    (void)FN_TAKE(config);
    if (tls) fn_tls_use(FN_TAKE(tls));
    fn_log_set_level(service->config->log_level);
    fn_front_set_limits(r->front, service->config);
    (void)fn_server_replace(r->server, service);
    return FN_OK;
}

static void reload_and_tell(struct fn_reloader *r) {
    struct fn_metrics *metrics = &r->server->metrics;
    struct fn_service *before = fn_server_acquire(r->server);
    struct fn_error err;
    fn_notify_reloading();
    fn_status status = reload(r, before, &err);
    fn_service_release(before);
    struct fn_service *now = fn_server_acquire(r->server);
    atomic_fetch_add(&metrics->reloads[status == FN_OK], 1);
    if (status == FN_OK) {
        atomic_store(&metrics->last_reload_s, (long long)time(NULL));
        fn_log(FN_LOG_INFO, "event=reload result=succeeded model=%s backend=\"%s\" same_device=%s",
               now->model->id, fn_service_backend(now),
               now->runtime == before->runtime ? "yes" : "no");
    } else {
        fn_log(FN_LOG_ERROR, "event=reload result=failed code=%s detail=\"%s\"",
               fn_status_code(status), err.text);
    }
    fn_notify("READY=1\nSTATUS=Model %s on %s%s", now->model->id, fn_service_backend(now),
              status == FN_OK ? "" : "; the last reload failed and changed nothing");
    fn_service_release(now);
    if (status == FN_OK) fn_server_retire(r->server, before);
}

static void *reload_when_asked(void *arg) {
    struct fn_reloader *r = arg;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->asked && !r->stopping) pthread_cond_wait(&r->changed, &r->lock);
        if (r->stopping) break;
        r->asked = false;
        pthread_mutex_unlock(&r->lock);
        reload_and_tell(r);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

fn_status fn_reloader_start(const struct fn_flags *flags, struct fn_server *server,
                            struct fn_front *front, struct fn_reloader **ret_reloader,
                            struct fn_error *err) {
    struct fn_reloader *r = calloc(1, sizeof *r);
    if (!r) return fn_fail(err, FN_NO_MEMORY, "no memory for a thread");
    r->flags = flags;
    r->server = server;
    r->front = front;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    if (fn_thread_start(&r->thread, reload_when_asked, r) != 0) {
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
        return fn_fail(err, FN_IO, "cannot start the thread that reloads");
    }
    *ret_reloader = r;
    return FN_OK;
}

void fn_reloader_ask(struct fn_reloader *r) {
    pthread_mutex_lock(&r->lock);
    r->asked = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void fn_reloader_stop(struct fn_reloader *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
