/* Fibres, barriers, warps and memory of the host's CUDA: see emulate.h. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <deque>
#include <map>

#include "tests/gpu/fibres.h"

/* AddressSanitizer is told of each change of stacks. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(kept, bottom, size) \
    ((void)(kept), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(kept, bottom, size) \
    ((void)(kept), (void)(bottom), (void)(size))
#endif

namespace emu {
place now;
uint64_t seed = 1;
site dropped{"", 0};
std::set<site> barriers, warp_sites;
std::vector<fibre> fibres;
array dynamic;
fibre *current;

namespace {
constexpr size_t stack_bytes = 128 << 10, fence = 64;
constexpr unsigned char fresh = 0xff, canary = 0xa5;

struct warp_meeting {
    unsigned mask, arrived, phase;
    unsigned unread[2]; /* lanes that have yet to read that buffer */
    size_t bytes;
    site where;
    alignas(16) char value[2][warp][value_bytes];
};

std::vector<warp_meeting> warps;
std::map<const void *, array> statics;
jmp_buf scheduler;
void *scheduler_shadow; /* for AddressSanitizer */
const void *scheduler_stack;
size_t scheduler_bytes;
const std::function<void()> *kernel_body;
const char *kernel_name;
size_t shared_room;
uint64_t random_state;
} // namespace

[[noreturn]] void fail(const char *what, const site &at) {
    fprintf(stderr, "emulation: %s: %s (%s:%d), block %u,%u,%u thread %u,%u,%u\n", kernel_name,
            what, at.first, at.second, now.block.x, now.block.y, now.block.z, now.thread.x,
            now.thread.y, now.thread.z);
    abort();
}

uint64_t random_next() { /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void yield() { /* to the scheduler; comes back when it is this fibre's turn */
    if (_setjmp(current->stack->at) == 0) {
        __sanitizer_start_switch_fiber(&current->stack->shadow, scheduler_stack, scheduler_bytes);
        _longjmp(scheduler, 1);
    }
    __sanitizer_finish_switch_fiber(current->stack->shadow, &scheduler_stack, &scheduler_bytes);
}

namespace {
array fenced(size_t bytes) {
    array a = {(char *)aligned_alloc(128, (bytes + 2 * 128 + 127) / 128 * 128), bytes};
    if (a.memory == nullptr) abort();
    memset(a.memory, canary, 128);
    memset(a.memory + 128, fresh, bytes);
    memset(a.memory + 128 + bytes, canary, fence);
    a.memory += 128;
    return a;
}
void free_fenced(const array &a) { free(a.memory - 128); }
bool whole(const array &a) {
    for (size_t i = 0; i < fence; i++)
        if ((unsigned char)a.memory[-1 - (ptrdiff_t)i] != canary ||
            (unsigned char)a.memory[a.bytes + i] != canary)
            return false;
    return true;
}

[[noreturn]] void entry() { /* the thread of one block after that of another */
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_bytes);
    for (;;) {
        (*kernel_body)();
        thread_ends();
        current->is = state::done;
        yield();
    }
}

void resume(fibre &f) {
    current = &f;
    now = f.here;
    if (_setjmp(scheduler) != 0) {
        __sanitizer_finish_switch_fiber(scheduler_shadow, nullptr, nullptr);
        return;
    }
    __sanitizer_start_switch_fiber(&scheduler_shadow, f.stack->memory, stack_bytes);
    if (f.stack->entered) _longjmp(f.stack->at, 1);
    f.stack->entered = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack->memory;
    context.uc_stack.ss_size = stack_bytes;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
    setcontext(&context);
}

/* Every thread of [first, end) that can run gets a turn, in random order; false when none can. */
bool round_of_turns(size_t first, size_t end) {
    static std::vector<fibre *> ready;
    ready.clear();
    for (size_t i = first; i < end; i++)
        if (fibres[i].is == state::ready) ready.push_back(&fibres[i]);
    for (size_t i = ready.size(); i > 1; i--) std::swap(ready[i - 1], ready[random_next() % i]);
    for (fibre *f : ready) {
        resume(*f);
        work_now_and_then();
    }
    return !ready.empty();
}

/* From one barrier to the next: all threads in turns, or one warp after the other as far as it
 * gets. */
void run_interval() {
    if (random_next() & 1) {
        while (round_of_turns(0, fibres.size())) {
        }
        return;
    }
    static std::vector<size_t> order;
    order.resize(warps.size());
    for (size_t i = 0; i < order.size(); i++) order[i] = i;
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_next() % i]);
    for (size_t w : order)
        while (round_of_turns(w * warp, (w + 1) * warp)) {
        }
}

bool any_ready() {
    for (const fibre &f : fibres)
        if (f.is == state::ready) return true;
    return false;
}

/* All threads wait at one barrier, or have ended. Gives the number of threads let through. */
size_t open_barrier() {
    const fibre *first = nullptr;
    size_t waiting = 0;
    for (fibre &f : fibres) {
        if (f.is == state::done) continue;
        now = f.here;
        if (f.is == state::at_warp)
            fail("lanes of a warp wait for lanes that do not come", f.where);
        if (f.is == state::at_barrier)
            fail("threads wait at a barrier that nobody completes", f.where);
        if (first != nullptr && f.where != first->where)
            fail("threads of a block wait at different barriers", f.where);
        first = &f;
        waiting++;
    }
    if (waiting > 0 && waiting < fibres.size())
        fail("some threads ended before a barrier", first->where);
    for (fibre &f : fibres)
        if (f.is == state::at_block) f.is = state::ready;
    return waiting;
}

void run_block(dim3 block_index, dim3 grid, dim3 block) {
    unsigned count = block.x * block.y * block.z;
    warps.assign(count / warp, warp_meeting{});
    for (auto &a : statics) free_fenced(a.second);
    statics.clear();
    memset(dynamic.memory, fresh, dynamic.bytes);
    for (unsigned i = 0; i < count; i++) {
        fibre &f = fibres[i];
        f.is = state::ready;
        f.copies.clear();
        f.group = 0;
        f.stores.clear();
        f.product_group = 0;
        f.products_fenced = false;
        f.here = {dim3(i % block.x, i / block.x % block.y, i / block.x / block.y), block_index,
                  block, grid, i % warp};
    }
    start_asynchronous(warps.size());
    do run_interval();
    while (any_ready() || work_asynchronously() || open_barrier() > 0);
    if (!whole(dynamic)) fail("wrote outside the dynamic shared memory", {"", 0});
    for (auto &a : statics)
        if (!whole(a.second)) fail("wrote outside a shared array", {"", 0});
}

std::map<char *, size_t> &device_blocks() {
    static std::map<char *, size_t> blocks;
    return blocks;
}
} // namespace

bool is_refused(const launch_order &l, size_t allowed) {
    const uint64_t threads = (uint64_t)l.block[0] * l.block[1] * l.block[2];
    return l.grid[0] == 0 || l.grid[1] == 0 || l.grid[2] == 0 || l.grid[0] > 0x7fffffffu ||
           l.grid[1] > 65535 || l.grid[2] > 65535 || threads == 0 || threads > 1024 ||
           l.block[2] > 64 || l.shared > allowed;
}

void run(const launch_order &l) {
    const dim3 grid(l.grid[0], l.grid[1], l.grid[2]), block(l.block[0], l.block[1], l.block[2]);
    const unsigned count = block.x * block.y * block.z;
    kernel_name = l.name, kernel_body = &l.body, shared_room = l.room;
    random_state = seed;
    if (count % warp != 0) fail("a block has a multiple of 32 threads", {"", 0});
    fibres.resize(count);
    static std::deque<stack> stacks;
    while (stacks.size() < count) {
        void *p = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) fail("no memory for a thread's stack", {"", 0});
        stacks.push_back({(char *)p, false, {}, nullptr});
    }
    for (unsigned i = 0; i < count; i++) fibres[i].stack = &stacks[i];
    dynamic = fenced(l.shared);
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    for (uint64_t b = 0; b < blocks; b++)
        run_block(dim3((unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                       (unsigned)(b / grid.x / grid.y)),
                  grid, block);
    free_fenced(dynamic);
}

void sync_block(const char *file, int line) {
    site at{file, line};
    barriers.insert(at);
    if (at == dropped) return;
    current->is = state::at_block;
    current->where = at;
    yield();
}

void sync_warp(unsigned mask, const char *file, int line) {
    site at{file, line};
    warp_sites.insert(at);
    if (at == dropped) return;
    char nothing = 0;
    exchange(mask, &nothing, 1, file, line);
}

const char (*exchange(unsigned mask, const void *value, size_t bytes, const char *file,
                      int line))[value_bytes] {
    site at{file, line};
    fibre &me = *current;
    unsigned lane = now.lane, bit = 1u << lane;
    warp_meeting &w = warps[(size_t)(&me - fibres.data()) / warp];
    if (!(mask & bit)) fail("a lane is not in its own mask", at);
    while (w.unread[w.phase & 1] != 0 && w.arrived == 0)
        yield(); /* the buffer is still being read */
    if (w.arrived == 0) {
        w.mask = mask, w.where = at, w.bytes = bytes;
        memset(w.value[w.phase & 1], fresh, sizeof w.value[0]);
    } else if (w.mask != mask || w.where != at || w.bytes != bytes) {
        fail("lanes of a warp meet at different instructions", at);
    }
    unsigned buffer = w.phase & 1;
    memcpy(w.value[buffer][lane], value, bytes);
    w.arrived |= bit;
    if (w.arrived == mask) {
        w.arrived = 0;
        w.phase++;
        w.unread[buffer] = mask;
        fibre *first = &me - lane;
        for (int i = 0; i < warp; i++)
            if ((mask >> i & 1) && first[i].is == state::at_warp) first[i].is = state::ready;
    } else {
        me.is = state::at_warp;
        me.where = at;
        yield();
    }
    w.unread[buffer] &= ~bit;
    return w.value[buffer];
}

void *dynamic_shared() { return dynamic.memory; }

void *static_shared(const void *key, size_t bytes) {
    auto found = statics.find(key);
    if (found == statics.end()) {
        found = statics.emplace(key, fenced(bytes)).first;
        size_t sum = 0;
        for (auto &a : statics) sum += a.second.bytes;
        if (sum > shared_default || sum + dynamic.bytes > shared_room)
            fail("a block has no more shared memory", {"", 0});
    }
    return found->second.memory;
}

void *allocate(size_t bytes) {
    array a = fenced(bytes);
    device_blocks()[a.memory] = bytes;
    return a.memory;
}

void release(void *p) {
    if (p == nullptr) return;
    check_canaries();
    auto found = device_blocks().find((char *)p);
    if (found == device_blocks().end()) fail("released what was not allocated", {"", 0});
    free_fenced({found->first, found->second});
    device_blocks().erase(found);
}

void check_canaries() {
    for (auto &b : device_blocks())
        if (!whole({b.first, b.second})) fail("wrote outside its device memory", {"", 0});
}

namespace {
void perform(const copy &c) {
    memcpy(c.to, c.from, c.bytes);
    memset((char *)c.to + c.bytes, 0, c.zero_bytes);
}
} // namespace

void copy_async(void *to, const void *from, size_t bytes, size_t zero_bytes) {
    copy c = {to, from, bytes, zero_bytes, current->group};
    if (random_next() & 1)
        perform(c);
    else
        current->copies.push_back(c);
}
void commit_async() { current->group++; }
void wait_async(int groups_left) {
    std::vector<copy> later;
    for (const copy &c : current->copies)
        if (c.group < current->group - groups_left)
            perform(c);
        else
            later.push_back(c);
    current->copies = later;
}
} // namespace emu
