/* SPDX-License-Identifier: Apache-2.0
 *
 * bin.c -- see bin.h. Scaling by a power of two is exact, so every step here is. */
#include "model/inspect/bin.h"

#include <math.h>
#include <string.h>

#define MAGNITUDE_BITS (FN_BIN_BITS - 1)
#define MAGNITUDE_MAX  127

static fn_status check_n(int n, struct fn_error *err) {
    if (n >= 0 && n <= MAGNITUDE_BITS) return FN_OK;
    return fn_fail(err, FN_USAGE, "%d fractional bits; expected 0...%d", n, MAGNITUDE_BITS);
}

fn_status fn_float_to_bin(double x, int n, char ret_bits[FN_BIN_SIZE], struct fn_error *err) {
    fn_status status = check_n(n, err);
    if (status != FN_OK) return status;
    if (isnan(x)) return fn_fail(err, FN_USAGE, "the value is not a number (NaN)");
    int magnitude = (int)fmin(fmax(ldexp(fabs(x), n), 1), MAGNITUDE_MAX);
    ret_bits[0] = x < 0 ? '1' : '0';
    for (int i = 0; i < MAGNITUDE_BITS; i++)
        ret_bits[1 + i] = magnitude >> (MAGNITUDE_BITS - 1 - i) & 1 ? '1' : '0';
    ret_bits[FN_BIN_BITS] = '\0';
    return FN_OK;
}

fn_status fn_xiaoshu(double f, int n, char *ret_bits, struct fn_error *err) {
    if (n < 1) return fn_fail(err, FN_USAGE, "%d bits of fraction; expected at least 1", n);
    if (!(f <= 1)) return fn_fail(err, FN_USAGE, "%g is no fraction; expected at most 1", f);
    double rest = f < 0 ? 0 : f;
    for (int i = 0; i < n; i++) {
        rest *= 2;
        ret_bits[i] = rest >= 1 ? '1' : '0';
        if (rest >= 1) rest -= 1;
    }
    ret_bits[n] = '\0';
    return FN_OK;
}

fn_status fn_bin_to_float(const char *bits, int n, double *ret_x, struct fn_error *err) {
    fn_status status = check_n(n, err);
    if (status != FN_OK) return status;
    if (strlen(bits) != FN_BIN_BITS || strspn(bits, "01") != FN_BIN_BITS)
        return fn_fail(err, FN_USAGE, "'%.40s' is not a number in bits; expected eight of 0 and 1",
                       bits);
    int magnitude = 0;
    for (int i = 1; i < FN_BIN_BITS; i++) magnitude = 2 * magnitude + (bits[i] - '0');
    double x = ldexp(magnitude, -n);
    *ret_x = bits[0] == '1' ? -x : x;
    return FN_OK;
}
