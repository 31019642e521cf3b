/* A card for the whole program, made of the host: `cuda:0` under emulation.
 *
 * Rules: its memory is one mapping that is closed but while a kernel runs or a copy is made, so
 * that the host's code cannot look at a card's bytes without a fault. Blocks start as NaN, between
 * canaries that are looked at when they go.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <functional>
#include <map>
#include <vector>

#include "tests/gpu/emulate.h"

extern "C" {
#include "tensor/device.h"
#define KERNEL(name) sqn_status sqn_cuda_##name(const sqn_k_##name *args, void *stream);
SQN_KERNELS(KERNEL)
#undef KERNEL
}

namespace {
constexpr size_t room = (size_t)1 << 34, fence = 128, cards = 2;
constexpr unsigned char fresh = 0xff, canary = 0xa5;
char *memory;
size_t used;                   /* bytes from the start that were ever given out */
std::map<char *, size_t> live; /* block -> bytes, without fences */
std::multimap<size_t, char *> idle;
int open_depth;

class opened { /* the card's memory can be reached */
  public:
    opened() {
        if (open_depth++ == 0) protect(PROT_READ | PROT_WRITE);
    }
    ~opened() {
        if (--open_depth == 0) protect(PROT_NONE);
    }

  private:
    static void protect(int how) {
        if (used > 0 && mprotect(memory, used, how) != 0) abort();
    }
};

size_t whole(size_t bytes) { return (bytes + 2 * fence + 4095) / 4096 * 4096; }

int count() { return (int)cards; }

sqn_status info(int device, sqn_device_info *out, sqn_err *e) {
    (void)device, (void)e;
    snprintf(out->name, sizeof out->name, "emulated card");
    out->total_bytes = out->free_bytes = (int64_t)room;
    out->major = 8, out->minor = 0;
    return SQN_OK;
}

sqn_status choose(int device) {
    (void)device;
    emu::seed = 2; /* the products are the library's, not the plain kernel's */
    return SQN_OK;
}

void *take(int device, size_t bytes) {
    (void)device;
    if (memory == nullptr)
        memory = (char *)mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                              -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    const size_t size = whole(bytes);
    char *p;
    auto found = idle.find(size);
    if (found != idle.end()) {
        p = found->second;
        idle.erase(found);
    } else {
        if (size > room - used) return nullptr;
        p = memory + used;
        used += size;
        if (open_depth == 0 && mprotect(p, size, PROT_NONE) != 0) abort();
    }
    opened now;
    memset(p, canary, size);
    memset(p + fence, fresh, bytes);
    live[p + fence] = bytes;
    return p + fence;
}

void give(int device, void *address) {
    (void)device;
    opened now;
    char *p = (char *)address;
    auto found = live.find(p);
    if (found == live.end()) abort();
    const size_t bytes = found->second;
    for (size_t i = 0; i < fence; i++)
        if ((unsigned char)p[-1 - (ptrdiff_t)i] != canary ||
            (unsigned char)p[bytes + i] != canary) {
            fprintf(stderr, "emulation: a kernel wrote outside its device memory\n");
            abort();
        }
    live.erase(found);
    idle.emplace(whole(bytes), p - fence);
}

/* The bytes must lie in one block. */
void check_inside(const void *address, size_t bytes) {
    auto next = live.upper_bound((char *)address);
    if (next != live.begin()) {
        auto block = std::prev(next);
        if ((const char *)address + bytes <= block->first + block->second) return;
    }
    fprintf(stderr, "emulation: a copy leaves the card's memory\n");
    abort();
}

sqn_status upload(int device, void *to, const void *from, size_t bytes) {
    (void)device;
    opened now;
    check_inside(to, bytes);
    memcpy(to, from, bytes);
    return SQN_OK;
}

sqn_status download(int device, void *to, const void *from, size_t bytes) {
    (void)device;
    opened now;
    check_inside(from, bytes);
    memcpy(to, from, bytes);
    return SQN_OK;
}

sqn_status zero(int device, void *p, size_t bytes) {
    (void)device;
    opened now;
    check_inside(p, bytes);
    memset(p, 0, bytes);
    return SQN_OK;
}

sqn_status finish(int device) {
    (void)device;
    return SQN_OK;
}

void trim() {}
const char *fault() { return "the emulated card has no faults"; }

/* A recording: the kernels' calls with their arguments. */
using calls = std::vector<std::function<sqn_status()>>;
calls *written;

sqn_status record(int device) {
    (void)device;
    written = new calls;
    return SQN_OK;
}

sqn_status recorded(int device, void **work) {
    (void)device;
    *work = written;
    written = nullptr;
    return SQN_OK;
}

sqn_status replay(int device, void *work) {
    (void)device;
    opened now;
    for (auto &call : *(calls *)work) SQN_TRY(call());
    return SQN_OK;
}

void forget(int device, void *work) {
    (void)device;
    delete (calls *)work;
}

sqn_status zero_or_write(int device, void *p, size_t bytes) {
    if (written == nullptr) return zero(device, p, bytes);
    written->push_back([=] { return zero(device, p, bytes); });
    return SQN_OK;
}

#define KERNEL(name)                                                            \
    sqn_status run_##name(const sqn_k_##name *arguments, void *stream) {        \
        if (written != nullptr) {                                               \
            const sqn_k_##name kept = *arguments;                               \
            written->push_back([=] { return sqn_cuda_##name(&kept, stream); }); \
            return SQN_OK;                                                      \
        }                                                                       \
        opened now;                                                             \
        return sqn_cuda_##name(arguments, stream);                              \
    }
SQN_KERNELS(KERNEL)
#undef KERNEL
const sqn_kernel_table kernels = {
#define KERNEL(name) run_##name,
    SQN_KERNELS(KERNEL)
#undef KERNEL
};
} // namespace

extern "C" const sqn_backend sqn_cuda_backend = {
    &kernels,      count,  info, choose, take,     give,   upload, download,
    zero_or_write, finish, trim, record, recorded, replay, forget, fault};
