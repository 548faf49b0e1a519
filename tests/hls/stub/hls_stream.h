/* SPDX-License-Identifier: Apache-2.0
 *
 * hls_stream.h -- as much of Vitis HLS's stream as the kernels use, for C simulation. Reading from
 * an empty stream, which would wait for ever on hardware, ends the program. */
#ifndef FN_TESTS_HLS_STREAM_H
#define FN_TESTS_HLS_STREAM_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>

namespace hls {

template <typename T> class stream {
    std::deque<T> tokens;

  public:
    stream() = default;
    stream(const stream &) = delete;

    T read() {
        if (tokens.empty()) {
            std::fputs("hls::stream: read from an empty stream\n", stderr);
            std::abort();
        }
        T token = tokens.front();
        tokens.pop_front();
        return token;
    }
    void write(const T &token) {
        tokens.push_back(token);
    }
    bool empty() const {
        return tokens.empty();
    }
};

} // namespace hls

#endif
