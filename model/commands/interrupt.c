/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupt.c -- see interrupt.h. */
#include "model/commands/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void note(int signal_number) {
    (void)signal_number;
    caught = 1;
}

void fn_interrupt_install(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    (void)sigemptyset(&action.sa_mask);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)sigaction(signals[i], &action, NULL);
}

bool fn_interrupted(void) {
    return caught != 0;
}
