/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h -- structured lines ("key=value ...") to stderr, one write each.
 *
 * What may be logged: our own words, numbers, request ids, route names. Never: bytes of pictures,
 * numbers of embeddings, paths or headers as a client sent them. */
#ifndef FN_LOG_H
#define FN_LOG_H

#include "engine/status.h"

enum fn_log_level { FN_LOG_ERROR, FN_LOG_WARNING, FN_LOG_INFO, FN_LOG_DEBUG };

/* What is written from now on. Any thread. */
void fn_log_set_level(enum fn_log_level level);

/* `format` makes the fields after time and level: "event=request id=%s ...". */
void fn_log(enum fn_log_level level, const char *format, ...) FN_PRINTF(2, 3);

#endif
