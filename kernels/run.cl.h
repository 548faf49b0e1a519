/* SPDX-License-Identifier: Apache-2.0
 *
 * run.cl.h -- a whole run in one launch, for CPUs: the cores share the steps' work-items out among
 * themselves.
 *
 * Most steps take 5 to 40 microseconds, and a runtime's thread that has gone to sleep between two
 * launches needs as long to wake. Here each core has one work-item for the whole run. The pictures
 * are divided into shares, one a core where there are as many; each core computes its own share
 * step by step and, where that has nothing to do, items of the others'. An item is claimed by
 * counting; a step is done when all its items are.
 *
 * Nothing depends on how many work-items really run side by side: a claimed item is always being
 * computed by a thread, so a lone one does all of them, and one that comes late finds nothing left.
 * For the same reason one that has waited long (its fellow has no core, as others use them) may
 * leave: those that it waits for go on. x86 keeps loads and stores in order; the atomic functions
 * and fn_fence() keep the compiler from doing otherwise. */

/* Rounds of waiting, 40 to 140 cycles each. */
#define FN_PATIENCE 10000

static inline void fn_fence(void) {
    __asm__ volatile("" ::: "memory");
}

static inline void fn_pause(void) {
    __asm__ volatile("pause" ::: "memory");
}

static inline void fn_run_item(const struct fn_memory *m,
                               __global const struct fn_step_params *step, int item) {
    switch (step->kind) {
    case FN_STEP_CONV:
        conv_item(m, step, item);
        break;
    case FN_STEP_CONV_TAIL:
        conv_tail_item(m, step, item);
        break;
    case FN_STEP_CONV_NARROW:
        conv_narrow_item(m, step, item);
        break;
    case FN_STEP_CONV_SIGNED:
        conv_signed_item(m, step, item);
        break;
    case FN_STEP_CONV_SIGNED_NARROW:
        conv_signed_narrow_item(m, step, item);
        break;
    case FN_STEP_POOL:
        fn_pool_item(m, step, item);
        break;
    case FN_STEP_HEAD_SUM:
        fn_head_sum_item(m, step, item);
        break;
    case FN_STEP_HEAD:
        fn_head_item(m, step, item);
        break;
#if FN_X86 == 2
    case FN_STEP_WINOGRAD:
        fn_winograd_item(m, step, item);
        break;
#endif
    }
}

/* Compute one item of a share. *at: a step before which all are done; moves on to `end`. Whether
 * there was one to claim. */
static inline bool fn_advance(const struct fn_memory *m,
                              __global const struct fn_step_params *steps,
                              __global volatile struct fn_progress *progress, int *at, int end) {
    for (; *at < end; ++*at) {
        __global volatile struct fn_progress *const p = progress + *at;
        const int n = steps[*at].n_items;
        const int item = p->claimed < n ? atomic_inc(&p->claimed) : n;
        if (item < n) {
            fn_run_item(m, steps + *at, item);
            fn_fence();
            (void)atomic_inc(&p->done);
            return true;
        }
        if (p->done < n) return false;
        fn_fence();
    }
    return false;
}

/* Steps from `step` up to `end` of all shares, each of which has n_steps. progress: all zero,
 * [share][step]. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
run(FN_ARGUMENTS, int end, __global volatile struct fn_progress *progress, int n_steps,
    int n_shares) {
    const struct fn_memory memory = FN_MEMORY;
    const int mine = get_global_id(0) % n_shares;
    int at[FN_MAX_SHARES];
    for (int i = 0; i < n_shares; i++) at[i] = step;
    for (int waited = 0; waited < FN_PATIENCE; waited++) {
        bool worked = false, finished = true;
        for (int i = 0; i < n_shares && !worked; i++) {
            const int share = (mine + i) % n_shares, from = share * n_steps;
            worked = fn_advance(&memory, steps + from, progress + from, &at[share], end);
            finished = finished && at[share] == end;
        }
        if (worked)
            waited = -1;
        else if (finished)
            return;
        else
            fn_pause();
    }
}
