/* src/cuda over emulated cards (card.h), part by part: cards [SEED]. What is wrong says so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <cublasLt.h>

#include "tests/gpu/card.h"
#include "tests/gpu/launch.h"

extern "C" {
#include "kernels/cuda/host.h"
#include "tensor/device.h"
}

namespace {
const sqn_backend &backend = sqn_cuda_backend;

void *take(int device, size_t bytes) {
    void *p;
    return backend.take(device, bytes, &p) == SQN_OK ? p : nullptr;
}
std::atomic<int> failures;

#define EXPECT(condition, ...)                \
    do {                                      \
        if (!(condition)) {                   \
            printf("not ok %s: ", __func__);  \
            printf(__VA_ARGS__);              \
            printf(" (line %d)\n", __LINE__); \
            failures++;                       \
        }                                     \
    } while (0)

/* ---- values of a type ---- */

double get(sqn_dtype t, const void *p, int64_t i) {
    if (t == SQN_F64) return ((const double *)p)[i];
    if (t == SQN_F32) return ((const float *)p)[i];
    if (t == SQN_F16) return (double)((const _Float16 *)p)[i];
    float f;
    const uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
    memcpy(&f, &u, sizeof f);
    return f;
}

void put(sqn_dtype t, void *p, int64_t i, double v) {
    if (t == SQN_F64)
        ((double *)p)[i] = v;
    else if (t == SQN_F32)
        ((float *)p)[i] = (float)v;
    else if (t == SQN_F16)
        ((_Float16 *)p)[i] = (_Float16)v;
    else {
        const float f = (float)v;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        ((uint16_t *)p)[i] = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    }
}

/* n values on a card, `skew` elements into their block, and on the host. */
struct values {
    values(int device, sqn_dtype type, int64_t n, int64_t skew, std::mt19937 &random)
        : device(device), bytes((size_t)n * sqn_dtype_size(type)),
          offset((size_t)skew * sqn_dtype_size(type)), host(bytes) {
        for (int64_t i = 0; i < n; i++) /* sums of small integers are exact */
            put(type, host.data(), i, (double)((int)(random() % 5) - 2));
        block = (char *)take(device, bytes + offset);
        EXPECT(backend.upload(device, at(), host.data(), bytes) == SQN_OK, "upload");
    }
    values(const values &) = delete;
    ~values() { backend.give(device, block); }
    char *at() const { return block + offset; }
    std::vector<char> fetch() const {
        std::vector<char> out(bytes);
        EXPECT(backend.download(device, out.data(), at(), bytes) == SQN_OK, "download");
        return out;
    }

    int device;
    size_t bytes, offset;
    std::vector<char> host;
    char *block;
};

/* ---- products ---- */

struct shape {
    int64_t m, n, k, batch, more; /* leading dimensions are by `more` longer */
    bool trans_a, trans_b, biased;
    double beta;
    int64_t skew; /* of every pointer, in elements */
};

void product(int device, sqn_dtype type, sqn_dtype c_type, const shape &s, std::mt19937 &random) {
    sqn_gemm g = {};
    g.dtype = type, g.c_dtype = c_type;
    g.m = s.m, g.n = s.n, g.k = s.k, g.batch = s.batch;
    g.trans_a = s.trans_a, g.trans_b = s.trans_b;
    g.lda = (s.trans_a ? s.k : s.m) + s.more, g.ldb = (s.trans_b ? s.n : s.k) + s.more;
    g.ldc = s.m + s.more;
    g.a_batch = g.lda * (s.trans_a ? s.m : s.k), g.b_batch = g.ldb * (s.trans_b ? s.k : s.n);
    g.c_batch = g.ldc * s.n;
    g.beta = s.beta;
    values a(device, type, g.a_batch * s.batch, s.skew, random),
        b(device, type, g.b_batch * s.batch, s.skew, random),
        c(device, c_type, g.c_batch * s.batch, s.skew, random),
        bias(device, c_type, s.m, s.skew, random);
    g.a = a.at(), g.b = b.at(), g.c = c.at();
    g.bias = s.biased ? bias.at() : nullptr;
    backend.select(device);
    const sqn_status status = sqn_cuda_gemm(&g, nullptr);
    EXPECT(status == SQN_OK, "status %d, %s", (int)status, backend.fault());
    if (status != SQN_OK) return;
    const std::vector<char> got = c.fetch();
    std::vector<char> want = c.host;
    for (int64_t z = 0; z < s.batch; z++)
        for (int64_t j = 0; j < s.n; j++)
            for (int64_t i = 0; i < s.m; i++) {
                const int64_t at = z * g.c_batch + j * g.ldc + i;
                double sum = s.beta != 0 ? s.beta * get(c_type, c.host.data(), at) : 0;
                for (int64_t k = 0; k < s.k; k++)
                    sum += get(type, a.host.data(),
                               z * g.a_batch + (s.trans_a ? i * g.lda + k : k * g.lda + i)) *
                           get(type, b.host.data(),
                               z * g.b_batch + (s.trans_b ? k * g.ldb + j : j * g.ldb + k));
                if (s.biased) sum += get(c_type, bias.host.data(), i);
                put(c_type, want.data(), at, sum);
            }
    EXPECT(memcmp(got.data(), want.data(), want.size()) == 0, "%lld x %lld x %lld, %s -> %s",
           (long long)s.m, (long long)s.n, (long long)s.k, sqn_dtype_name(type),
           sqn_dtype_name(c_type));
}

/* Types, transposes, beta, bias, batches, alignments. */
void products_of_all_kinds() {
    std::mt19937 random(1);
    const sqn_dtype types[][2] = {{SQN_F32, SQN_F32}, {SQN_F64, SQN_F64},  {SQN_BF16, SQN_BF16},
                                  {SQN_F16, SQN_F16}, {SQN_BF16, SQN_F32}, {SQN_F16, SQN_F32}};
    for (const auto &type : types)
        for (int kind = 0; kind < 16; kind++)
            for (int64_t batch : {1, 3})
                product(kind & 1, type[0], type[1],
                        {5, 4, 7, batch, kind % 3, (kind & 2) != 0, (kind & 4) != 0,
                         (kind & 8) != 0, (kind % 5) * 0.5, kind % 4},
                        random);
}

/* More shapes than the table of choices has places, twice. */
void products_of_many_shapes(int device, unsigned seed) {
    std::mt19937 random(seed);
    const long before = card_calls("cublasLtMatmulAlgoGetHeuristic");
    for (int round = 0; round < 2; round++)
        for (int64_t m = 1; m <= 30; m++)
            for (int64_t n = 1; n <= 20; n++)
                product(device, SQN_F32, SQN_F32,
                        {m, n, 1 + m % 3, 1, 0, n % 2 == 0, false, false, 0, 0}, random);
    EXPECT(card_calls("cublasLtMatmulAlgoGetHeuristic") - before >= 600, "choices");
    for (int again = 0; again < 2; again++) { /* the table forgets, it does not stop to keep */
        const long asked = card_calls("cublasLtMatmulAlgoGetHeuristic");
        product(device, SQN_F32, SQN_F32, {31, 2, 3, 1, 0, true, false, false, 0, 0}, random);
        EXPECT(card_calls("cublasLtMatmulAlgoGetHeuristic") - asked == (again == 0), "kept");
    }
}

void products_of_threads() {
    const long handles = card_count("handles"), blocks = card_count("blocks"),
               pinned = card_count("pinned");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([t] {
            std::mt19937 random((unsigned)t);
            for (int i = 0; i < 20; i++)
                for (int device : {0, 1})
                    product(device, SQN_F32, SQN_F32,
                            {1 + i, 9, 5, 1, 0, false, t % 2 == 0, false, 1, 0}, random);
        });
    for (std::thread &t : threads) t.join();
    for (int device : {0, 1}) backend.wait(device);
    EXPECT(card_count("handles") == handles, "%ld handles stay", card_count("handles") - handles);
    EXPECT(card_count("blocks") == blocks, "%ld blocks stay", card_count("blocks") - blocks);
    EXPECT(card_count("pinned") == pinned, "%ld pinned stay", card_count("pinned") - pinned);
}

/* A library that refuses is no error; one that fails is. */
void products_refused() {
    std::mt19937 random(3);
    values a(0, SQN_F32, 900, 0, random), c(0, SQN_F32, 900, 0, random);
    sqn_gemm g = {};
    g.dtype = g.c_dtype = SQN_F32;
    g.m = g.n = g.lda = g.ldb = g.ldc = 29;
    g.k = 30, g.batch = 1;
    g.a = g.b = a.at(), g.c = c.at();
    g.ldb = 30;
    const struct {
        const char *function;
        int code;
        sqn_status want;
    } cases[] = {
        {"cublasLtMatmulDescCreate", CUBLAS_STATUS_ALLOC_FAILED, SQN_NOTFOUND},
        {"cublasLtMatrixLayoutCreate", CUBLAS_STATUS_ALLOC_FAILED, SQN_NOTFOUND},
        {"cublasLtMatmulDescSetAttribute", CUBLAS_STATUS_INVALID_VALUE, SQN_NOTFOUND},
        {"cublasLtMatmul", CUBLAS_STATUS_NOT_SUPPORTED, SQN_NOTFOUND},
        {"cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED, SQN_IO},
        {"cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED, SQN_NOTFOUND},
    };
    const long handles = card_count("handles");
    for (const auto &one : cases) {
        g.k--; /* a choice of its own */
        card_fault(one.function, 1, one.code);
        const sqn_status status = sqn_cuda_gemm(&g, nullptr);
        EXPECT(status == one.want, "%s: %d", one.function, (int)status);
        card_fault(one.function, 0, 0);
        EXPECT(card_count("handles") == handles, "%s: descriptors stay", one.function);
    }
}

/* ---- copies ---- */

/* What is uploaded may change on return; nothing of it is seen before the stream is there. */
void copies_of_all_sizes(bool pinned) {
    std::mt19937 random(5);
    if (!pinned) card_fault("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
    std::thread(
        [&] { /* with a ring of its own */
              std::vector<size_t> sizes = {1,       64,      4000,           65536,
                                           65537,   1 << 20, 4 << 20,        4194305,
                                           9 << 20, 3 << 20, (16 << 20) + 7, 100};
              for (size_t size : sizes)
                  for (int device : {0, 1}) {
                      std::vector<char> from(size), to(size);
                      for (char &x : from) x = (char)random();
                      const std::vector<char> kept = from;
                      char *there = (char *)take(device, size);
                      EXPECT(backend.upload(device, there, from.data(), size) == SQN_OK, "up");
                      std::fill(from.begin(), from.end(), (char)1);
                      EXPECT(backend.download(device, to.data(), there, size) == SQN_OK, "down");
                      EXPECT(to == kept, "%zu bytes", size);
                      EXPECT(backend.zero(device, there, size) == SQN_OK, "zero");
                      EXPECT(backend.download(device, to.data(), there, size) == SQN_OK, "down");
                      EXPECT(std::count(to.begin(), to.end(), 0) == (long)size, "%zu zeros", size);
                      backend.give(device, there);
                  }
        })
        .join();
    card_fault("cudaHostAlloc", 0, 0);
}

/* The same without the blocks of the ring after the first. */
void copies_through_one_block() {
    card_fault("cudaHostAlloc", 2, cudaErrorMemoryAllocation);
    std::thread([] {
        const size_t size = (13 << 20) + 5;
        std::vector<char> from(size), to(size);
        std::mt19937 random(9);
        for (char &x : from) x = (char)random();
        char *there = (char *)take(0, size);
        EXPECT(backend.upload(0, there, from.data(), size) == SQN_OK, "up");
        card_fault("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
        EXPECT(backend.download(0, to.data(), there, size) == SQN_OK, "down");
        EXPECT(to == from, "bytes");
        backend.give(0, there);
    }).join();
    card_fault("cudaHostAlloc", 0, 0);
}

/* ---- memory ---- */

/* In the stream's order: a block may go while work that uses it waits. */
void memory_in_order() {
    std::mt19937 random(7);
    const size_t size = 1 << 20;
    std::vector<char> from(size), to(size);
    for (int round = 0; round < 50; round++) {
        const int device = round & 1;
        for (char &x : from) x = (char)random();
        char *a = (char *)take(device, size);
        EXPECT(backend.upload(device, a, from.data(), size) == SQN_OK, "up");
        char *b = (char *)take(device, size);
        backend.give(device, a);
        char *c = (char *)take(device, size); /* may be a's */
        EXPECT(backend.zero(device, c, size) == SQN_OK, "zero");
        EXPECT(backend.upload(device, b, from.data(), size) == SQN_OK, "up");
        EXPECT(backend.download(device, to.data(), b, size) == SQN_OK && to == from, "bytes");
        backend.give(device, b);
        backend.give(device, c);
    }
}

void memory_that_is_full() {
    card_set("memory", 128 << 20); /* 32 MiB of them are the products' */
    std::vector<void *> blocks;
    void *p;
    while (blocks.size() < 100 && (p = take(1, 8 << 20)) != nullptr) blocks.push_back(p);
    EXPECT(blocks.size() >= 8 && blocks.size() < 12, "%zu blocks", blocks.size());
    EXPECT(strstr(backend.fault(), "out of memory"), "%s", backend.fault());
    for (void *q : blocks) backend.give(1, q);
    sqn_device_info info;
    EXPECT(backend.info(1, &info, nullptr) == SQN_OK && info.free_bytes < 16 << 20, "the pool's");
    backend.trim();
    EXPECT(backend.info(1, &info, nullptr) == SQN_OK && info.free_bytes > 80 << 20, "%lld free",
           (long long)info.free_bytes);
    p = take(1, 80 << 20);
    EXPECT(p != nullptr, "after trim");
    backend.give(1, p);
    card_set("memory", 1L << 34);
}

/* ---- controls: what the emulated runtime has to see ---- */

/* Runs fn in a process of its own, which has to die with these words. */
template <class F> void dies(const char *words, F fn) {
    int ends[2];
    char text[4000] = "";
    fflush(stdout);
    EXPECT(pipe(ends) == 0, "pipe");
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        card_set("seed", 1); /* what runs early does not hang on the calls before */
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t got = 0;
    for (ssize_t n; (n = read(ends[0], text + got, sizeof text - 1 - got)) > 0;) got += (size_t)n;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT(status != 0 && strstr(text, words), "not seen: %s (%s)", words, text);
}

/* A kernel of one warp, whose threads do it. */
void kernel(std::function<void()> body, unsigned rows = 1, bool early = false) {
    emu::submit({"a kernel",
                 nullptr,
                 {1, rows, 1},
                 {32, 1, 1},
                 0,
                 emu::shared_default,
                 nullptr,
                 early,
                 std::move(body)});
}

void controls() {
    char *p = (char *)take(0, 100000), *q = (char *)take(1, 1000);
    backend.wait(1);
    backend.wait(0);
#ifndef __SANITIZE_ADDRESS__ /* has words of its own */
    dies("the host reached for a card's memory", [&] { p[0] = 1; });
    dies("reached for another's memory", [&] {
        backend.select(0);
        kernel([=] { q[0] = 1; });
        backend.wait(0);
    });
    dies("did not wait for the one before", [&] {
        backend.select(0);
        kernel([=] { p[0] = 1, emu::previous_has_ended(); }, 1, true);
        backend.wait(0);
    });
    dies("wrote outside its device memory", [&] {
        kernel([=] { p[100000] = 1; });
        backend.give(0, p);
        backend.wait(0);
    });
    dies("written after it was freed", [&] {
        backend.select(0);
        backend.give(0, p);
        kernel([=] { p[5] = 1; });
        take(0, 100000);
        backend.wait(0);
    });
#endif
    dies("a memset leaves the memory", [&] {
        cudaMemsetAsync(p + 50000, 0, 60000, cudaStreamPerThread);
        backend.wait(0);
    });
    dies("pinned memory went before", [&] {
        void *host;
        cudaHostAlloc(&host, 100, 0);
        backend.select(0);
        cudaMemcpyAsync(p, host, 100, cudaMemcpyHostToDevice, cudaStreamPerThread);
        cudaFreeHost(host);
        backend.wait(0);
    });
    dies("in a stream of cuda:1", [&] {
        backend.select(1);
        cudaMemsetAsync(p, 0, 10, cudaStreamPerThread);
    });
    backend.select(0);
    kernel([] {}, 65536);
    EXPECT(cudaGetLastError() == cudaErrorInvalidConfiguration, "a grid that is too tall");
    EXPECT(cudaGetLastError() == cudaSuccess, "told twice");
    std::vector<char> large(90000, 1), got(90000); /* pageable: read when the stream is there */
    cudaMemcpyAsync(p, large.data(), large.size(), cudaMemcpyHostToDevice, cudaStreamPerThread);
    std::fill(large.begin(), large.end(), (char)2);
    EXPECT(backend.download(0, got.data(), p, 90000) == SQN_OK && got == large, "was read early");
    backend.give(0, p);
    backend.give(1, q);
}

/* Cards that are only listed are left alone. */
void listing() {
    sqn_device_info info;
    for (int device : {0, 1}) {
        EXPECT(backend.info(device, &info, nullptr) == SQN_OK && info.free_bytes == -1, "info");
        EXPECT(info.total_bytes == 1L << 34 && info.major >= 8, "what it is");
    }
    EXPECT(card_calls("cudaSetDevice") == 0, "it was made ready");
}

/* ---- recordings ---- */

void recordings() {
    std::vector<char> ones(3000, 1), got(3000);
    char *x = (char *)take(0, 3000), *y = (char *)take(0, 3000);
    const long graphs = card_count("graphs");
    EXPECT(backend.upload(0, x, ones.data(), 3000) == SQN_OK, "up");
    EXPECT(backend.upload(0, y, ones.data(), 3000) == SQN_OK, "up");
    EXPECT(backend.record(0) == SQN_OK, "record");
    char *inside = (char *)take(0, 500);
    void *scratch = sqn_cuda_scratch(100, nullptr);
    EXPECT(inside != nullptr && scratch != nullptr, "memory meanwhile");
    EXPECT(backend.zero(0, inside, 500) == SQN_OK, "zero");
    EXPECT(backend.zero(0, x, 3000) == SQN_OK, "zero");
    sqn_cuda_scratch_release(scratch, nullptr);
    backend.give(0, y); /* older than the recording */
    void *work = nullptr;
    EXPECT(backend.recorded(0, &work) == SQN_OK, "%s", backend.fault());
    EXPECT(backend.download(0, got.data(), x, 3000) == SQN_OK && got == ones, "nothing has run");
    for (int i = 0; i < 3; i++) {
        EXPECT(backend.upload(0, x, ones.data(), 3000) == SQN_OK, "up");
        EXPECT(backend.replay(0, work) == SQN_OK, "replay");
        EXPECT(backend.download(0, got.data(), x, 3000) == SQN_OK, "down");
        EXPECT(std::count(got.begin(), got.end(), 0) == 3000, "replayed");
    }
    backend.forget(0, work);
    EXPECT(backend.record(0) == SQN_OK, "record"); /* what may not be recorded breaks it */
    EXPECT(backend.wait(0) == SQN_IO, "a wait in a recording");
    EXPECT(backend.recorded(0, &work) == SQN_IO, "a broken recording");
    EXPECT(backend.wait(0) == SQN_OK, "after it");
    backend.give(0, x);
    backend.give(0, inside);
    EXPECT(card_count("graphs") == graphs, "%ld graphs stay", card_count("graphs") - graphs);
}
} // namespace

int main(int count, char **argument) {
    card_set("seed", count > 1 ? atol(argument[1]) : 1);
    if (backend.count() != card::cards) return 1;
    listing();
    controls();
    products_of_all_kinds();
    for (int device : {0, 1}) products_of_many_shapes(device, (unsigned)device);
    products_of_threads();
    products_refused();
    copies_of_all_sizes(true);
    copies_of_all_sizes(false);
    copies_through_one_block();
    memory_in_order();
    memory_that_is_full();
    recordings();
    for (int device : {0, 1}) backend.wait(device);
    printf("%d failed\n", failures.load());
    return failures != 0;
}
