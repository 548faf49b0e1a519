/* SPDX-License-Identifier: Apache-2.0
 *
 * transport.c -- see transport.h. libcurl's multi interface, also for a single request: one path.
 */
#include "clients/c/transport.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/c/error.h"

#define CONNECT_TIMEOUT_MS 3000
#define MAX_IDLE_SESSIONS  16
#define DEFAULT_MAX_ANSWER ((size_t)16 << 20)

struct fnc_transport {
    char *base, *socket_path;        /* socket_path NULL: TCP */
    char *api_key, *ca_file, *proxy; /* NULL: none */
    size_t max_answer;
    pthread_mutex_t lock; /* guards what follows */
    struct fnc_session *idle;
    int n_idle;
};

struct slot {
    CURL *easy; /* kept for the next request */
    bool busy;
    curl_mime *form;
    struct curl_slist *headers;
    char *body;
    size_t size, capacity, most;
    bool too_large, starved;
    char detail[CURL_ERROR_SIZE];
};

struct fnc_session {
    struct fnc_transport *transport;
    struct fnc_session *next;
    CURLM *multi;
    sigset_t signals; /* the thread's mask of before */
    bool blocked;     /* SIGPIPE was not blocked before */
    struct slot slots[FNC_MAX_SLOTS];
};

/* ---- transport --------------------------------------------------------------------------------
 */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void init_curl(void) {
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum facenet_status fnc_transport_new(const struct fnc_server *server,
                                      struct fnc_transport **ret_transport,
                                      struct facenet_error *err) {
    (void)pthread_once(&once, init_curl);
    if (global != CURLE_OK)
        return fnc_fail(err, FACENET_NO_MEMORY, "libcurl: %s", curl_easy_strerror(global));
    struct fnc_transport *transport = calloc(1, sizeof *transport);
    if (transport) {
        (void)pthread_mutex_init(&transport->lock, NULL);
        transport->max_answer = DEFAULT_MAX_ANSWER;
        transport->base = strdup(server->base);
        transport->socket_path = server->socket_path ? strdup(server->socket_path) : NULL;
    }
    if (!transport || !transport->base || (server->socket_path && !transport->socket_path)) {
        fnc_transport_free(transport);
        return fnc_fail(err, FACENET_NO_MEMORY, "no memory for a client");
    }
    *ret_transport = transport;
    return FACENET_OK;
}

static void free_session(struct fnc_session *session) {
    for (int i = 0; i < FNC_MAX_SLOTS; i++) curl_easy_cleanup(session->slots[i].easy);
    (void)curl_multi_cleanup(session->multi);
    free(session);
}

void fnc_transport_free(struct fnc_transport *transport) {
    if (!transport) return;
    while (transport->idle) {
        struct fnc_session *session = transport->idle;
        transport->idle = session->next;
        free_session(session);
    }
    (void)pthread_mutex_destroy(&transport->lock);
    free(transport->base);
    free(transport->socket_path);
    free(transport->api_key);
    free(transport->ca_file);
    free(transport->proxy);
    free(transport);
}

static bool replace(char **text, const char *value) {
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy) return false;
    free(*text);
    *text = copy;
    return true;
}

bool fnc_transport_set_api_key(struct fnc_transport *transport, const char *key) {
    return replace(&transport->api_key, key);
}

bool fnc_transport_set_ca_file(struct fnc_transport *transport, const char *path) {
    return replace(&transport->ca_file, path);
}

bool fnc_transport_set_proxy(struct fnc_transport *transport, const char *url) {
    return replace(&transport->proxy, url);
}

void fnc_transport_set_max_answer(struct fnc_transport *transport, size_t bytes) {
    transport->max_answer = bytes;
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

static void block_sigpipe(struct fnc_session *session) {
    sigset_t pipes;
    (void)sigemptyset(&pipes);
    (void)sigaddset(&pipes, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipes, &session->signals);
    session->blocked = sigismember(&session->signals, SIGPIPE) == 0;
}

/* One that our own writes raised must not arrive when it is let through again. */
static void unblock_sigpipe(const struct fnc_session *session) {
    const struct timespec now = {0, 0};
    sigset_t pipes;
    if (!session->blocked) return;
    (void)sigemptyset(&pipes);
    (void)sigaddset(&pipes, SIGPIPE);
    (void)sigtimedwait(&pipes, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &session->signals, NULL);
}

struct fnc_session *fnc_session_take(struct fnc_transport *transport) {
    (void)pthread_mutex_lock(&transport->lock);
    struct fnc_session *session = transport->idle;
    if (session) {
        transport->idle = session->next;
        transport->n_idle--;
    }
    (void)pthread_mutex_unlock(&transport->lock);
    if (!session) {
        session = calloc(1, sizeof *session);
        if (!session) return NULL;
        session->transport = transport;
        session->multi = curl_multi_init();
        if (!session->multi) {
            free(session);
            return NULL;
        }
    }
    block_sigpipe(session);
    return session;
}

static void clear(struct fnc_session *session, struct slot *slot) {
    if (slot->busy) (void)curl_multi_remove_handle(session->multi, slot->easy);
    CURL *easy = slot->easy;
    curl_slist_free_all(slot->headers);
    if (easy) curl_easy_reset(easy);
    curl_mime_free(slot->form);
    free(slot->body);
    memset(slot, 0, sizeof *slot);
    slot->easy = easy;
}

void fnc_session_give(struct fnc_session *session) {
    struct fnc_transport *transport = session->transport;
    for (int i = 0; i < FNC_MAX_SLOTS; i++) clear(session, &session->slots[i]);
    unblock_sigpipe(session);
    (void)pthread_mutex_lock(&transport->lock);
    bool keep = transport->n_idle < MAX_IDLE_SESSIONS;
    if (keep) {
        session->next = transport->idle;
        transport->idle = session;
        transport->n_idle++;
    }
    (void)pthread_mutex_unlock(&transport->lock);
    if (!keep) free_session(session);
}

/* ---- one request ------------------------------------------------------------------------------
 */

static size_t collect(char *bytes, size_t one, size_t n, void *context) {
    struct slot *slot = context;
    size_t wanted = slot->size + n;
    (void)one; /* always 1 */
    slot->too_large = wanted > slot->most;
    if (slot->too_large) return CURL_WRITEFUNC_ERROR;
    if (wanted + 1 > slot->capacity) {
        size_t capacity = wanted + 1 > 2 * slot->capacity ? wanted + 1 : 2 * slot->capacity;
        char *grown = realloc(slot->body, capacity);
        slot->starved = !grown;
        if (!grown) return CURL_WRITEFUNC_ERROR;
        slot->body = grown;
        slot->capacity = capacity;
    }
    memcpy(slot->body + slot->size, bytes, n);
    slot->size = wanted;
    return n;
}

static bool add_header(struct slot *slot, const char *name, const char *value) {
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    struct curl_slist *grown = NULL;
    if (line) {
        (void)snprintf(line, size, "%s: %s", name, value);
        grown = curl_slist_append(slot->headers, line);
    }
    free(line);
    if (grown) slot->headers = grown;
    return grown != NULL;
}

static bool set_body(struct slot *slot, const struct fnc_request *request) {
    bool ok = true;
    if (request->n_parts > 0) {
        ok = (slot->form = curl_mime_init(slot->easy)) != NULL;
        for (int i = 0; ok && i < request->n_parts; i++) {
            const struct fnc_part *part = &request->parts[i];
            curl_mimepart *field = curl_mime_addpart(slot->form);
            ok = field && !curl_mime_name(field, part->name) &&
                 !curl_mime_filename(field, part->name) &&
                 !curl_mime_data(field, part->bytes, part->size);
        }
        return ok && !curl_easy_setopt(slot->easy, CURLOPT_MIMEPOST, slot->form);
    }
    if (!request->body.bytes) return true;
    return !curl_easy_setopt(slot->easy, CURLOPT_POST, 1L) &&
           !curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, request->body.bytes) &&
           !curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                             (curl_off_t)request->body.size) &&
           add_header(slot, "Content-Type", request->content_type);
}

static bool set_headers(struct slot *slot, const struct fnc_transport *transport,
                        int64_t timeout_ms) {
    char number[24], bearer[1100];
    (void)snprintf(number, sizeof number, "%lld", (long long)timeout_ms);
    bool ok =
        add_header(slot, "Accept", "application/json") && add_header(slot, "X-Timeout-Ms", number);
    if (ok && transport->api_key) {
        (void)snprintf(bearer, sizeof bearer, "Bearer %s", transport->api_key);
        ok = add_header(slot, "Authorization", bearer);
        explicit_bzero(bearer, sizeof bearer);
    }
    return ok && !curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
}

/* What cannot fail but for memory, or is only about being careful. */
static bool set_connection(struct slot *slot, const struct fnc_transport *transport,
                           int64_t timeout_ms) {
    CURL *easy = slot->easy;
    long most = (long)timeout_ms;
    bool ok =
        !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->detail) &&
        !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect) &&
        !curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) &&
        !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) &&
        !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
        !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
        !curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
        !curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, most) &&
        !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                          most < CONNECT_TIMEOUT_MS ? most : (long)CONNECT_TIMEOUT_MS) &&
        !curl_easy_setopt(easy, CURLOPT_USERAGENT, "libfacenet-client/" FACENET_CLIENT_VERSION) &&
        /* Pictures of people do not go to a proxy because a variable is set. */
        !curl_easy_setopt(easy, CURLOPT_PROXY, transport->proxy ? transport->proxy : "");
    if (ok && transport->socket_path)
        ok = !curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, transport->socket_path);
    if (ok && transport->ca_file) ok = !curl_easy_setopt(easy, CURLOPT_CAINFO, transport->ca_file);
    return ok;
}

static bool set_url(struct slot *slot, const char *base, const char *target) {
    size_t size = strlen(base) + strlen(target) + 1;
    char *url = malloc(size);
    if (!url) return false;
    (void)snprintf(url, size, "%s%s", base, target);
    bool ok = !curl_easy_setopt(slot->easy, CURLOPT_URL, url);
    free(url);
    return ok;
}

bool fnc_session_begin(struct fnc_session *session, int number, const struct fnc_request *request,
                       int64_t timeout_ms) {
    const struct fnc_transport *transport = session->transport;
    struct slot *slot = &session->slots[number];
    if (!slot->easy) slot->easy = curl_easy_init();
    slot->most = transport->max_answer;
    bool ok = slot->easy && set_connection(slot, transport, timeout_ms) &&
              set_url(slot, transport->base, request->target) && set_body(slot, request) &&
              set_headers(slot, transport, timeout_ms) &&
              curl_multi_add_handle(session->multi, slot->easy) == CURLM_OK;
    if (ok)
        slot->busy = true;
    else
        clear(session, slot);
    return ok;
}

static enum fnc_outcome judge(CURLcode result, const struct slot *slot) {
    switch (result) {
    case CURLE_OK:
        return FNC_ANSWERED;
    case CURLE_OPERATION_TIMEDOUT:
        return FNC_LATE;
    case CURLE_OUT_OF_MEMORY:
        return FNC_STARVED;
    case CURLE_WRITE_ERROR:
        return slot->too_large ? FNC_TOO_LARGE : slot->starved ? FNC_STARVED : FNC_HOPELESS;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return FNC_BROKEN;
    default:
        return FNC_HOPELESS;
    }
}

static void finish(struct fnc_session *session, struct slot *slot, CURLcode result,
                   struct fnc_response *ret_response) {
    struct fnc_response response = {.outcome = judge(result, slot), .retry_after_ms = -1};
    curl_off_t retry_after_s = 0;
    if (response.outcome == FNC_ANSWERED) {
        (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &response.http_status);
        (void)curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        if (retry_after_s > 0 && retry_after_s < INT_MAX)
            response.retry_after_ms = 1000 * (int64_t)retry_after_s;
        response.size = slot->size;
        response.body = slot->body ? slot->body : calloc(1, 1);
        if (response.body)
            response.body[response.size] = '\0';
        else
            response.outcome = FNC_STARVED;
        slot->body = NULL;
    }
    (void)snprintf(response.detail, sizeof response.detail, "%s",
                   slot->detail[0] ? slot->detail : curl_easy_strerror(result));
    clear(session, slot);
    *ret_response = response;
}

static int take_finished(struct fnc_session *session, struct fnc_response *ret_response) {
    int left;
    for (const CURLMsg *message; (message = curl_multi_info_read(session->multi, &left));) {
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        for (int i = 0; i < FNC_MAX_SLOTS; i++) {
            struct slot *slot = &session->slots[i];
            if (!slot->busy || slot->easy != message->easy_handle) continue;
            finish(session, slot, result, ret_response);
            return i;
        }
    }
    return -1;
}

int fnc_session_wait(struct fnc_session *session, int64_t wait_ms,
                     struct fnc_response *ret_response) {
    int running = 0;
    int slot = take_finished(session, ret_response);
    if (slot >= 0) return slot;
    (void)curl_multi_perform(session->multi, &running);
    slot = take_finished(session, ret_response);
    if (slot >= 0 || wait_ms <= 0) return slot;
    (void)curl_multi_poll(session->multi, NULL, 0, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms,
                          NULL);
    (void)curl_multi_perform(session->multi, &running);
    return take_finished(session, ret_response);
}
