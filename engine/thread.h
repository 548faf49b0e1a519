/* SPDX-License-Identifier: Apache-2.0
 *
 * thread.h -- threads that leave signals to the main thread, which alone knows what to do then. */
#ifndef FN_THREAD_H
#define FN_THREAD_H

#include <pthread.h>
#include <signal.h>

/* pthread_create() with every signal blocked in the new thread; 0 or an errno. */
static inline int fn_thread_start(pthread_t *ret_thread, void *(*run)(void *), void *context) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(ret_thread, NULL, run, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

#endif
