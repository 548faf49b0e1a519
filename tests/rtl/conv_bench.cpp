/* SPDX-License-Identifier: Apache-2.0
 *
 * conv_bench.cpp -- fn_conv under Verilator against layers of dump_layers.c. The memories around the
 * design answer one clock after their address; positions outside the picture get rubbish, so that
 * the design has to know them.
 *
 *   conv_bench FILE...    one line a file: clocks taken, clocks of the formula, wrong bytes
 *
 * Exit status 1 when a byte is wrong, an output is missing or the clocks are not the formula's. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "Vfn_conv.h"
#include "verilated.h"

namespace {

/* Clocks from the last vector of the last window to its output, and the start. */
constexpr long PIPELINE_CLOCKS = 9;

struct Layer {
    int32_t in_height, in_width, in_channels, out_height, out_width, out_channels;
    int32_t kernel_h, kernel_w, stride, pad_h, pad_w, relu, has_residual;
    std::vector<int32_t> bias, s, r;
    std::vector<int8_t> input, weights, residual, expected;
};

template <typename T> std::vector<T> take(std::ifstream &from, size_t n) {
    std::vector<T> values(n);
    from.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(n * sizeof(T)));
    return values;
}

bool load(const char *path, Layer &layer) {
    std::ifstream from(path, std::ios::binary);
    from.read(reinterpret_cast<char *>(&layer.in_height), 13 * sizeof(int32_t));
    if (!from) return false;
    auto channels = static_cast<size_t>(layer.out_channels);
    auto outputs = static_cast<size_t>(layer.out_height * layer.out_width) * channels;
    layer.bias = take<int32_t>(from, channels);
    layer.s = take<int32_t>(from, channels);
    layer.r = take<int32_t>(from, channels);
    layer.input = take<int8_t>(
        from, static_cast<size_t>(layer.in_height * layer.in_width * layer.in_channels));
    layer.weights = take<int8_t>(from, static_cast<size_t>(layer.kernel_h * layer.kernel_w *
                                                           layer.in_channels) *
                                           channels);
    layer.residual = take<int8_t>(from, layer.has_residual ? outputs : 0);
    layer.expected = take<int8_t>(from, outputs);
    return static_cast<bool>(from);
}

/* Byte or bit fields of Verilator's wide words. */
template <typename W> void put(W &wide, int at, int bits, uint32_t value) {
    auto *words = reinterpret_cast<uint32_t *>(&wide);
    for (int b = 0; b < bits; b++) {
        uint32_t mask = 1U << ((at + b) % 32);
        uint32_t &word = words[(at + b) / 32];
        word = (value >> b & 1) ? word | mask : word & ~mask;
    }
}

template <typename W> int8_t byte_of(const W &wide, int k) {
    return reinterpret_cast<const int8_t *>(&wide)[k]; /* little-endian hosts */
}

class Bench {
  public:
    explicit Bench(const Layer &l)
        : layer(l), vectors((l.in_channels + VEC - 1) / VEC),
          blocks((l.out_channels + LANE - 1) / LANE) {}

    bool run(const char *name) {
        describe();
        top.reset = 1;
        tick();
        top.reset = 0;
        top.start = 1;
        tick();
        top.start = 0;
        long formula = static_cast<long>(blocks) * layer.out_height * layer.out_width *
                       layer.kernel_h * layer.kernel_w * vectors;
        long clocks = 1, wrong = 0, seen = 0;
        bool done = false;
        for (; !done && clocks < formula + 1000; clocks++) {
            if (top.out_valid) wrong += compare(seen++);
            done = top.done;
            tick();
        }
        long expected = static_cast<long>(blocks) * layer.out_height * layer.out_width;
        bool good = done && wrong == 0 && seen == expected && clocks - formula == PIPELINE_CLOCKS;
        std::printf("%s: %ld clocks, formula %ld + %ld, %ld of %ld outputs, %ld wrong bytes: %s\n",
                    name, clocks, formula, clocks - formula, seen, expected, wrong,
                    good ? "ok" : "FAILED");
        return good;
    }

  private:
    void describe() {
        top.in_height = layer.in_height;
        top.in_width = layer.in_width;
        top.out_height = layer.out_height;
        top.out_width = layer.out_width;
        top.kernel_h = layer.kernel_h;
        top.kernel_w = layer.kernel_w;
        top.stride = layer.stride;
        top.pad_h = layer.pad_h;
        top.pad_w = layer.pad_w;
        top.vectors = vectors;
        top.blocks = blocks;
        top.row_words = layer.in_width * vectors;
        top.pixel_step = layer.stride * vectors;
        top.row_step = layer.stride * layer.in_width * vectors;
        top.corner = -(layer.pad_h * layer.in_width * vectors + layer.pad_w * vectors);
        top.block_pixels = layer.out_height * layer.out_width;
        top.block_weights = layer.kernel_h * layer.kernel_w * vectors;
        top.total_pixels = blocks * layer.out_height * layer.out_width;
        top.relu = layer.relu;
        top.has_residual = layer.has_residual;
    }

    /* One clock: the memories see the addresses that stand before the edge. */
    void tick() {
        auto x = static_cast<int32_t>(top.x_address);
        uint32_t weight = top.weight_address, number = top.number_address,
                 residual = top.residual_address;
        top.clk = 1;
        top.eval();
        answer_input(x);
        answer_weights(weight);
        answer_numbers(static_cast<int>(number));
        answer_residual(residual);
        top.clk = 0;
        top.eval();
    }

    void answer_input(int32_t address) {
        bool inside = address >= 0 && address < layer.in_height * layer.in_width * vectors;
        for (int k = 0; k < VEC; k++) {
            int c = inside ? address % vectors * VEC + k : 0;
            uint8_t value = 0xa5;
            if (inside)
                value = c < layer.in_channels
                            ? static_cast<uint8_t>(
                                  layer.input[static_cast<size_t>(address / vectors) *
                                                  static_cast<size_t>(layer.in_channels) +
                                              static_cast<size_t>(c)])
                            : 0;
            put(top.x_data, 8 * k, 8, value);
        }
    }

    void answer_weights(uint32_t address) {
        int window = layer.kernel_h * layer.kernel_w * vectors;
        int block = static_cast<int>(address) / window, at = static_cast<int>(address) % window;
        for (int lane = 0; lane < LANE; lane++)
            for (int k = 0; k < VEC; k++) {
                int oc = block * LANE + lane, ic = at % vectors * VEC + k, tap = at / vectors;
                uint8_t value = 0;
                if (oc < layer.out_channels && ic < layer.in_channels)
                    value = static_cast<uint8_t>(
                        layer.weights[static_cast<size_t>(
                            (oc * layer.kernel_h * layer.kernel_w + tap) * layer.in_channels +
                            ic)]);
                put(top.weight_data, 8 * (lane * VEC + k), 8, value);
            }
    }

    void answer_numbers(int block) {
        for (int lane = 0; lane < LANE; lane++) {
            int oc = block * LANE + lane;
            bool real = oc < layer.out_channels;
            auto at = static_cast<size_t>(oc);
            put(top.bias_data, 32 * lane, 32, real ? static_cast<uint32_t>(layer.bias[at]) : 0);
            put(top.s_data, 5 * lane, 5, real ? static_cast<uint32_t>(layer.s[at]) : 0);
            put(top.r_data, 5 * lane, 5, real ? static_cast<uint32_t>(layer.r[at]) : 0);
        }
    }

    /* Value of the [y][x][oc] array for a word of [block][y][x] and a lane; 0 beyond it. */
    int8_t value_at(const std::vector<int8_t> &values, long word, int lane) const {
        long pixels = static_cast<long>(layer.out_height) * layer.out_width;
        long oc = word / pixels * LANE + lane;
        if (oc >= layer.out_channels || word / pixels >= blocks) return 0;
        return values[static_cast<size_t>(word % pixels * layer.out_channels + oc)];
    }

    void answer_residual(uint32_t address) {
        if (!layer.has_residual) return;
        for (int lane = 0; lane < LANE; lane++)
            put(top.residual_data, 8 * lane, 8,
                static_cast<uint8_t>(value_at(layer.residual, address, lane)));
    }

    long compare(long word) {
        long wrong = top.out_address != static_cast<uint32_t>(word);
        long pixels = static_cast<long>(layer.out_height) * layer.out_width;
        for (int lane = 0; lane < LANE; lane++)
            if (word / pixels * LANE + lane < layer.out_channels)
                wrong += byte_of(top.out_data, lane) != value_at(layer.expected, word, lane);
        return wrong;
    }

    const Layer &layer;
    const int vectors, blocks;
    Vfn_conv top;
};

} // namespace

int main(int argc, char **argv) {
    bool good = argc > 1;
    for (int i = 1; i < argc; i++) {
        Layer layer;
        if (!load(argv[i], layer)) {
            std::fprintf(stderr, "%s: not a file of dump_layers\n", argv[i]);
            return 2;
        }
        Bench bench(layer);
        good = bench.run(argv[i]) && good;
    }
    return good ? 0 : 1;
}
