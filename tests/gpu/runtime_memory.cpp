/* The emulated cards' memory: see card.h.
 *
 * Rules: a card's memory is one mapping, open only while that card works, so that neither the
 * host nor the other card reaches its bytes without a fault. There are two views of it: `asked`
 * changes with the calls, `there` when the stream comes to them. Blocks start as NaN between
 * canaries; blocks that went become NaN again, and stay so until they are taken.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/gpu/card.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#endif

namespace card {
namespace {
constexpr size_t mapping = (size_t)1 << 36, fence = 256;
constexpr size_t huge = (size_t)2 << 20; /* a page: opening and closing costs by their number */
constexpr unsigned char fresh = 0xff, canary = 0xa5;
size_t room = (size_t)1 << 34;

struct idle_block {
    char *p;
    bool held; /* its pages are still the card's, and NaN */
};

struct memory {
    char *base;
    size_t used, committed; /* of addresses; of bytes */
    std::map<char *, size_t> asked, there;
    std::multimap<size_t, idle_block> idle; /* by whole size */
};
memory of[cards];
int opened = -1;
uint64_t serial;
std::map<char *, size_t> pinned;

size_t whole(size_t bytes) { return (bytes + 2 * fence + 4095) / 4096 * 4096; }

void say(const char *text) {
    if (write(2, text, strlen(text)) < 0) return;
}

void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    for (const memory &m : of)
        if (m.base && (char *)info->si_addr >= m.base && (char *)info->si_addr < m.base + mapping)
            say(opened >= 0    ? "emulation: work of one card reached for another's memory, or for "
                                 "what is not memory\n"
                : running >= 0 ? "emulation: a kernel that starts early did not wait for the one "
                                 "before\n"
                               : "emulation: the host reached for a card's memory\n");
    signal(number, SIG_DFL);
}

void map(memory &m) {
    if (m.base != nullptr) return;
    void *p = mmap(nullptr, mapping + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) fail("no address space for a card");
    m.base = (char *)(((uintptr_t)p + huge - 1) / huge * huge);
    madvise(m.base, mapping, MADV_HUGEPAGE);
    struct sigaction old = {}, mine = {};
    if (sigaction(SIGSEGV, nullptr, &old) == 0 && old.sa_handler == SIG_DFL) {
        mine.sa_sigaction = on_fault;
        mine.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &mine, nullptr);
    }
}

void protect(const memory &m, int how) {
    if (m.used > 0 && mprotect(m.base, (m.used + huge - 1) / huge * huge, how) != 0) abort();
}

/* Room for `size` more bytes, which idle blocks may have to make. */
bool commit(memory &m, size_t size) {
    if (m.committed + size > room) trim((int)(&m - of));
    if (m.committed + size > room) return false;
    m.committed += size;
    return true;
}

/* An address for a block; *held: it is NaN already. */
char *place(memory &m, size_t bytes, bool *held) {
    const size_t size = whole(bytes);
    map(m);
    auto found = m.idle.find(size);
    for (auto i = found; i != m.idle.end() && i->first == size; ++i)
        if (i->second.held) found = i;
    *held = found != m.idle.end() && found->second.held;
    if (!*held && !commit(m, size)) return nullptr;
    if (!*held) found = m.idle.find(size); /* commit may have trimmed */
    char *p;
    if (found != m.idle.end()) {
        p = found->second.p;
        m.idle.erase(found);
    } else {
        if (size > mapping - m.used) return nullptr;
        p = m.base + m.used;
        m.used += size;
        if (opened == (int)(&m - of)) protect(m, PROT_READ | PROT_WRITE);
    }
    return p + fence;
}

void appear(int device, char *p, size_t bytes, bool held) {
    memory &m = of[device];
    open_memory(device);
    ASAN_UNPOISON_MEMORY_REGION(p - fence, whole(bytes));
    if (held) {
        for (size_t i = 0; i < bytes; i++)
            if ((unsigned char)p[i] != fresh) fail("cuda:%d: written after it was freed", device);
    } else
        memset(p, fresh, bytes);
    memset(p - fence, canary, fence);
    memset(p + bytes, canary, whole(bytes) - fence - bytes);
    ASAN_POISON_MEMORY_REGION(p - fence, fence);
    ASAN_POISON_MEMORY_REGION(p + bytes, whole(bytes) - fence - bytes);
    m.there[p] = bytes;
}

void vanish(int device, char *p) {
    memory &m = of[device];
    auto found = m.there.find(p);
    if (found == m.there.end()) fail("cuda:%d: freed before it was allocated", device);
    const size_t bytes = found->second, size = whole(bytes);
    open_memory(device);
    ASAN_UNPOISON_MEMORY_REGION(p - fence, size);
    for (size_t i = 0; i < fence; i++)
        if ((unsigned char)p[-1 - (ptrdiff_t)i] != canary || (unsigned char)p[bytes + i] != canary)
            fail("a kernel wrote outside its device memory");
    memset(p - fence, fresh, size);
    ASAN_POISON_MEMORY_REGION(p - fence, size);
    m.there.erase(found);
}
} // namespace

void open_memory(int device) {
    if (opened == device) return;
    close_memory();
    protect(of[device], PROT_READ | PROT_WRITE);
    opened = device;
}

void close_memory() {
    if (opened >= 0) protect(of[opened], PROT_NONE);
    opened = -1;
}

void *take(int device, size_t bytes) {
    bool held;
    char *p = place(of[device], bytes, &held);
    if (p == nullptr) return nullptr;
    of[device].asked[p] = bytes;
    appear(device, p, bytes, held);
    return p;
}

/* A block that the same stream gave back may be taken at once, as the card's pool does. */
void *take_in_order(stream *s, size_t bytes) {
    const int device = s->device;
    auto own = s->leaving.find(whole(bytes));
    bool held = true;
    char *p;
    if (own != s->leaving.end()) {
        p = own->second.first;
        s->leaving.erase(own);
    } else
        p = place(of[device], bytes, &held);
    if (p == nullptr && !s->queue.empty()) { /* sizes that do not match, but the order is theirs */
        drain(s);
        p = place(of[device], bytes, &held);
    }
    if (p == nullptr) return nullptr;
    of[device].asked[p] = bytes;
    ask(
        s, "cudaMallocAsync", [=] { appear(device, p, bytes, held); }, true);
    return p;
}

bool give_in_order(stream *s, void *address) {
    char *p = (char *)address;
    const int device = device_of(p);
    if (device < 0) return false;
    auto found = of[device].asked.find(p);
    if (found == of[device].asked.end()) return false;
    if (device != s->device)
        fail("memory of cuda:%d freed in a stream of cuda:%d", device, s->device);
    const size_t size = whole(found->second);
    const uint64_t mine = ++serial;
    of[device].asked.erase(found);
    s->leaving.insert({size, {p, mine}});
    ask(
        s, "cudaFreeAsync",
        [=] {
            vanish(device, p);
            auto all = s->leaving.equal_range(size);
            for (auto i = all.first; i != all.second; ++i)
                if (i->second.second == mine) {
                    s->leaving.erase(i);
                    of[device].idle.insert({size, {p - fence, true}});
                    break;
                }
        },
        true);
    return true;
}

void *take_in_graph(graph *g, size_t bytes) {
    bool held;
    const int device = g->device;
    char *p = place(of[device], bytes, &held);
    if (p == nullptr) return nullptr;
    g->owned[p] = g->taken[p] = bytes;
    g->list.push_back(
        {"cudaMallocAsync", [=] { appear(device, p, bytes, false); }, true, nullptr, nullptr});
    return p;
}

bool give_in_graph(graph *g, void *address) {
    char *p = (char *)address;
    if (g->taken.erase(p) == 0) return false;
    const int device = g->device;
    g->list.push_back({"cudaFreeAsync", [=] { vanish(device, p); }, true, nullptr, nullptr});
    return true;
}

graph::~graph() {
    for (auto &o : owned) of[device].idle.insert({whole(o.second), {o.first - fence, false}});
    for (auto &o : owned) of[device].committed -= whole(o.second);
}

bool give(void *address) {
    char *p = (char *)address;
    const int device = device_of(p);
    if (device < 0 || of[device].asked.find(p) == of[device].asked.end()) return false;
    const size_t size = whole(of[device].asked[p]);
    of[device].asked.erase(p);
    vanish(device, p);
    of[device].idle.insert({size, {p - fence, true}});
    return true;
}

int device_of(const void *p) {
    for (int d = 0; d < cards; d++)
        if (of[d].base && (const char *)p >= of[d].base && (const char *)p < of[d].base + mapping)
            return d;
    return -1;
}

/* The bytes must lie in one block, now that the stream is there. */
void check_inside(int device, const void *address, size_t bytes, const char *what) {
    const memory &m = of[device];
    auto next = m.there.upper_bound((char *)address);
    if (next != m.there.begin()) {
        auto block = std::prev(next);
        if ((const char *)address + bytes <= block->first + block->second) return;
    }
    fail("%s leaves the memory of cuda:%d", what, device);
}

void room_of(int device, size_t *left, size_t *total) {
    *total = room;
    *left = room - of[device].committed;
}

void trim(int device) {
    memory &m = of[device];
    for (auto &i : m.idle) {
        if (!i.second.held) continue;
        madvise(i.second.p, i.first, MADV_DONTNEED);
        m.committed -= i.first;
        i.second.held = false;
    }
}

void set_room(size_t bytes) { room = bytes; }

void *pin(size_t bytes) {
    void *p = mmap(nullptr, (bytes + 4095) / 4096 * 4096, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    memset(p, fresh, bytes);
    pinned[(char *)p] = bytes;
    return p;
}

bool unpin(void *p) {
    auto found = pinned.find((char *)p);
    if (found == pinned.end()) return false;
    munmap(p, (found->second + 4095) / 4096 * 4096);
    pinned.erase(found);
    return true;
}

bool is_pinned(const void *p, size_t bytes) {
    auto next = pinned.upper_bound((char *)p);
    if (next == pinned.begin()) return false;
    auto block = std::prev(next);
    if ((const char *)p >= block->first + block->second) return false;
    if ((const char *)p + bytes > block->first + block->second)
        fail("a copy leaves its pinned memory");
    return true;
}

void forget_order(stream *s) {
    for (auto &l : s->leaving) of[s->device].idle.insert({l.first, {l.second.first - fence, true}});
    s->leaving.clear();
}

long live_blocks() {
    long sum = 0;
    for (const memory &m : of) sum += (long)m.asked.size();
    return sum;
}
long pinned_blocks() { return (long)pinned.size(); }
} // namespace card
