/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupt.h -- Ctrl-C as a flag that long work looks at, so that it ends by the ordinary error
 * path: everything is freed and no partial file stays. */
#ifndef FN_INTERRUPT_H
#define FN_INTERRUPT_H

#include <stdbool.h>

/* Catch SIGINT, SIGTERM and SIGHUP from now on. A second one ends the process at once. */
void fn_interrupt_install(void);
/* Whether one has come. Any thread. */
bool fn_interrupted(void);

#endif
