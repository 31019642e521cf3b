/* Barriers, copies and products that do not wait: see emulate_async.h. PTX ISA 8.x: mbarrier,
 * cp.async.bulk.tensor with the 128-byte swizzle, wgmma and its matrix descriptors. */
#include "tests/gpu/emulate_async.h"

#include <deque>

#include "tests/gpu/fibres.h"

namespace emu {
namespace {
constexpr uint32_t window = 1024 + 384; /* address of the first byte of dynamic shared memory */
constexpr int row_bytes = 128, unit = 16, pattern = 1024; /* of the swizzle */

struct pending_copy {
    char *to;
    tensor_map from;
    int column, head, row;
    uint64_t *done;
    site where;
};
struct pending_product {
    float *d[warp];
    const uint32_t *a[warp];
    product what;
    unsigned first_row;
    int group;
    site where;
};
struct named {
    unsigned arrived, count;
};

std::vector<pending_copy> copies;
std::vector<std::deque<pending_product>> queues; /* of each warp */
named barrier_of[16];
uint64_t laziness; /* 0: units work when threads wait for them, n: with chance 1/n at any time */

bool drop(const char *file, int line) {
    barriers.insert({file, line});
    return site{file, line} == dropped;
}

char *at_address(uint32_t address, size_t bytes, const site &where) {
    if (address < window || address - window + bytes > dynamic.bytes)
        fail("an operand lies outside the dynamic shared memory", where);
    return dynamic.memory + (address - window);
}

/* 16 bytes at an address of a swizzled operand: bits 4 to 6 are exchanged by bits 7 to 9. */
char *swizzled(uint32_t address, const site &where) {
    return at_address(address ^ (address >> 7 & 7) << 4, unit, where);
}

/* ---- barriers ---- */

struct phases { /* mbarrier: what one phase waits for, and which phase it is */
    uint64_t count : 12, missing : 12, parity : 1, valid : 7;
    int64_t bytes : 32;
};
static_assert(sizeof(phases) == sizeof(uint64_t), "a barrier has 8 bytes");
constexpr unsigned mark = 0x35;

phases get(const uint64_t *b, const site &where) {
    phases p;
    memcpy(&p, b, sizeof p);
    if (p.valid != mark) fail("a barrier that was not initialised", where);
    return p;
}

void wake(const void *barrier) {
    for (fibre &f : fibres)
        if (f.is == state::at_barrier && f.waits_for == barrier) f.is = state::ready;
}

void put(uint64_t *b, phases p) {
    const bool complete = p.missing == 0 && p.bytes == 0;
    if (complete) p.missing = p.count, p.parity ^= 1;
    memcpy(b, &p, sizeof p);
    if (complete) wake(b);
}

void sleep_at(const void *barrier, const site &where) {
    current->is = state::at_barrier;
    current->waits_for = barrier;
    current->where = where;
    yield();
}

/* ---- copies and products ---- */

void perform(const pending_copy &c) {
    const int64_t pitch = c.from.heads * c.from.dim;
    for (int r = 0; r < c.from.box; r++) {
        const int64_t row = (int64_t)c.row + r;
        const bool there = row >= 0 && row < c.from.rows;
        const char *from = c.from.base + 2 * (row * pitch + c.head * c.from.dim + c.column);
        for (int chunk = 0; chunk < row_bytes / unit; chunk++) {
            char *to =
                swizzled(shared_address(c.to) + (uint32_t)(r * row_bytes + chunk * unit), c.where);
            if (there)
                memcpy(to, from + chunk * unit, unit);
            else
                memset(to, 0, unit);
        }
    }
    phases p = get(c.done, c.where);
    p.bytes -= (int64_t)c.from.box * row_bytes;
    put(c.done, p);
}

float value(uint16_t bits, bool half) {
    if (half) {
        _Float16 h;
        memcpy(&h, &bits, sizeof h);
        return (float)h;
    }
    return __uint_as_float((uint32_t)bits << 16);
}

struct operand { /* a matrix descriptor */
    uint32_t start, leading, stride;
};
operand decode(uint64_t d, const site &where) {
    if (d >> 62 != 1 || (d >> 46 & 0xffff) != 0 || (d >> 14 & 3) != 0 || (d >> 30 & 3) != 0)
        fail("a matrix descriptor of another layout than the 128-byte swizzle", where);
    return {(uint32_t)(d & 0x3fff) << 4, (uint32_t)(d >> 16 & 0x3fff) << 4,
            (uint32_t)(d >> 32 & 0x3fff) << 4};
}

/* Rows [first, first + 16) and columns [0, 16) of an operand whose rows are contiguous. */
template <class F> void rows_of(uint64_t desc, int first, int rows, const site &where, F f) {
    const operand o = decode(desc, where);
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 2; half++) {
            const int row = first + r;
            const uint32_t at = o.start + (uint32_t)row / 8 * o.stride +
                                (uint32_t)(row % 8 * row_bytes + half * unit);
            uint16_t chunk[8];
            memcpy(chunk, swizzled(at, where), unit);
            for (int k = 0; k < 8; k++) f(r, 8 * half + k, chunk[k]);
        }
}

void perform(const pending_product &p) {
    static float a[16][16], b[16][256], sum[16][256];
    const product &w = p.what;
    if (w.a == nullptr)
        rows_of(w.desc_a, (int)p.first_row, 16, p.where,
                [&](int r, int k, uint16_t v) { a[r][k] = value(v, w.half); });
    else
        for (int lane = 0; lane < warp; lane++)
            for (int i = 0; i < 8; i++) {
                const int reg = i / 2;
                const uint16_t v = (uint16_t)(p.a[lane][reg] >> 16 * (i & 1));
                a[lane / 4 + 8 * (reg & 1)][lane % 4 * 2 + 8 * (reg >> 1) + (i & 1)] =
                    value(v, w.half);
            }
    if (!w.b_by_columns)
        rows_of(w.desc_b, 0, w.n, p.where,
                [&](int r, int k, uint16_t v) { b[k][r] = value(v, w.half); });
    else {
        const operand o = decode(w.desc_b, p.where);
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < w.n; n += 8) {
                const uint32_t at = o.start + (uint32_t)(n / 64) * o.leading +
                                    (uint32_t)(k / 8) * o.stride +
                                    (uint32_t)(k % 8 * row_bytes + n % 64 * 2);
                uint16_t chunk[8];
                memcpy(chunk, swizzled(at, p.where), unit);
                for (int i = 0; i < 8; i++) b[k][n + i] = value(chunk[i], w.half);
            }
    }
    for (int r = 0; r < 16; r++) {
        for (int n = 0; n < w.n; n++) sum[r][n] = 0;
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < w.n; n++) sum[r][n] += a[r][k] * b[k][n];
    }
    for (int lane = 0; lane < warp; lane++)
        for (int i = 0; i < w.n / 2; i++) {
            const float v = sum[lane / 4 + 8 * (i >> 1 & 1)][i / 4 * 8 + lane % 4 * 2 + (i & 1)];
            p.d[lane][i] = w.add ? p.d[lane][i] + v : v;
        }
}

void perform_first(size_t w) {
    pending_product p = queues[w].front();
    queues[w].pop_front();
    perform(p);
}

size_t my_warp() { return (size_t)(current - fibres.data()) / warp; }
} // namespace

void start_asynchronous(size_t warps) {
    copies.clear();
    queues.assign(warps, {});
    for (named &b : barrier_of) b = {0, 0};
    laziness = (uint64_t[]){0, 8, 64, 512}[random_next() & 3];
}

void work_now_and_then() {
    if (laziness > 0 && random_next() % laziness == 0) work_asynchronously();
}

bool work_asynchronously() {
    std::vector<size_t> busy;
    for (size_t w = 0; w < queues.size(); w++)
        if (!queues[w].empty()) busy.push_back(w);
    if (busy.empty() && copies.empty()) return false;
    const size_t choices = busy.size() + copies.size();
    const size_t chosen = random_next() % choices;
    if (chosen < busy.size()) {
        for (uint64_t n = 1 + random_next() % 12; n > 0 && !queues[busy[chosen]].empty(); n--)
            perform_first(busy[chosen]);
    } else {
        const pending_copy c = copies[chosen - busy.size()];
        copies.erase(copies.begin() + (ptrdiff_t)(chosen - busy.size()));
        perform(c);
    }
    return true;
}

void thread_ends() {
    if (!queues[my_warp()].empty())
        fail("a thread ends while its warp multiplies", queues[my_warp()].front().where);
}

uint32_t shared_address(const void *p) {
    const ptrdiff_t at = (const char *)p - dynamic.memory;
    if (at < 0 || (size_t)at > dynamic.bytes)
        fail("not an address of dynamic shared memory", {"", 0});
    return window + (uint32_t)at;
}

void barrier_new(uint64_t *b, unsigned count) {
    phases p = {};
    p.count = count & 0xfff, p.missing = count & 0xfff, p.valid = mark;
    memcpy(b, &p, sizeof p);
}

void barrier_arrive(uint64_t *b, uint32_t bytes, const char *file, int line) {
    if (drop(file, line)) return;
    phases p = get(b, {file, line});
    if (p.missing == 0) fail("more threads arrive at a barrier than it counts", {file, line});
    p.bytes += bytes;
    p.missing = (p.missing - 1u) & 0xfff;
    put(b, p);
}

void barrier_wait(uint64_t *b, unsigned parity, const char *file, int line) {
    if (drop(file, line)) return;
    while (get(b, {file, line}).parity == parity) sleep_at(b, {file, line});
}

void named_sync(int id, unsigned count, bool ordered, const char *file, int line) {
    if (!ordered && drop(file, line)) return;
    named &b = barrier_of[id];
    if (b.arrived > 0 && b.count != count)
        fail("threads count a barrier differently", {file, line});
    b.count = count;
    if (++b.arrived == count) {
        b.arrived = 0;
        wake(&b);
    } else {
        sleep_at(&b, {file, line});
    }
}

void named_arrive(int id, unsigned count) {
    named &b = barrier_of[id];
    b.count = count;
    if (++b.arrived < count) return;
    b.arrived = 0;
    wake(&b);
}

void copy_tensor(void *to, const tensor_map &from, int column, int head, int row, uint64_t *done) {
    if (shared_address(to) % pattern != 0)
        fail("a tile begins at no multiple of 1024", {"copy_tensor", 0});
    copies.push_back({(char *)to, from, column, head, row, done, {"copy_tensor", 0}});
}

void store_for_units(void *to, const void *value16) {
    store16 s = {to, {}};
    memcpy(s.bytes, value16, sizeof s.bytes);
    current->stores.push_back(s);
}

void units_fence(const char *file, int line) {
    if (drop(file, line)) return;
    for (const store16 &s : current->stores) memcpy(s.to, s.bytes, sizeof s.bytes);
    current->stores.clear();
}

void products_fence(const char *file, int line) {
    if (!drop(file, line)) current->products_fenced = true;
}

void multiply(const product &p, const char *file, int line) {
    const site where{file, line};
    if (!current->products_fenced) fail("a product without a fence before it", where);
    const char(*all)[value_bytes] = exchange(0xffffffffu, &p, sizeof p, file, line);
    if (now.lane != 0) return;
    pending_product q = {{}, {}, p, (unsigned)(my_warp() % 4) * 16, current->product_group, where};
    for (int lane = 0; lane < warp; lane++) {
        product of;
        memcpy(&of, all[lane], sizeof of);
        if (of.desc_a != p.desc_a || of.desc_b != p.desc_b || of.add != p.add)
            fail("lanes of a warp multiply different operands", where);
        q.d[lane] = of.d, q.a[lane] = of.a;
    }
    queues[my_warp()].push_back(q);
    if (laziness > 0 && random_next() % laziness == 0) perform_first(my_warp());
}

void products_commit() { current->product_group++; }

void products_wait(int groups_left, const char *file, int line) {
    char nothing = 0;
    exchange(0xffffffffu, &nothing, 1, file, line);
    current->products_fenced = false;
    if (drop(file, line)) return;
    std::deque<pending_product> &q = queues[my_warp()];
    while (!q.empty() && q.front().group < current->product_group - groups_left)
        perform_first(my_warp());
}
} // namespace emu
