/* SPDX-License-Identifier: Apache-2.0
 *
 * dot_bench.cpp -- the packing of fn_dot_two, proved by trying everything under Verilator.
 *
 * VEC 1: every input byte with every two weights, -127 ... 127 (2^24 triples but for the weight
 * -128, which no model file holds). VEC 8: chains of 8, each member at every extreme. */
#include <cstdint>
#include <cstdio>

#include "Vfn_dot_two.h"
#include "verilated.h"

namespace {

Vfn_dot_two top;
long wrong, tried;

struct Pair {
    int32_t sum0, sum1;
};

Pair pending; /* of the operands before: the design answers at the second edge */

void tick(Pair expected) {
    top.clk = 1;
    top.eval();
    if (tried > 0)
        wrong += static_cast<int32_t>(top.sum0) != pending.sum0 ||
                 static_cast<int32_t>(top.sum1) != pending.sum1;
    pending = expected;
    top.clk = 0;
    top.eval();
    tried++;
}

void try_single() {
    for (int x = -128; x < 128; x++)
        for (int w0 = -127; w0 < 128; w0++)
            for (int w1 = -127; w1 < 128; w1++) {
                top.x = static_cast<uint8_t>(x);
                top.w0 = static_cast<uint8_t>(w0);
                top.w1 = static_cast<uint8_t>(w1);
                top.eval();
                tick({x * w0, x * w1});
            }
}

/* Three bits a member choose x from -128 and 127, each weight from -127 and 127. */
void try_chains() {
    for (uint32_t choice = 0; choice < 1U << 24; choice++) {
        uint64_t x = 0, w0 = 0, w1 = 0;
        Pair sums = {0, 0};
        for (int k = 0; k < 8; k++) {
            uint32_t bits = choice >> 3 * k & 7;
            int a = bits & 1 ? 127 : -128, b = bits & 2 ? 127 : -127, c = bits & 4 ? 127 : -127;
            x |= static_cast<uint64_t>(static_cast<uint8_t>(a)) << 8 * k;
            w0 |= static_cast<uint64_t>(static_cast<uint8_t>(b)) << 8 * k;
            w1 |= static_cast<uint64_t>(static_cast<uint8_t>(c)) << 8 * k;
            sums.sum0 += a * b;
            sums.sum1 += a * c;
        }
        top.x = x;
        top.w0 = w0;
        top.w1 = w1;
        top.eval();
        tick(sums);
    }
}

} // namespace

int main() {
    if (VEC == 1) try_single();
    if (VEC == 8) try_chains();
    tick({0, 0});
    std::printf("VEC %d: %ld operands, %ld wrong: %s\n", VEC, tried - 1, wrong,
                wrong || tried < 2 ? "FAILED" : "ok");
    return wrong || tried < 2 ? 1 : 0;
}
