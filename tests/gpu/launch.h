/* How a kernel's launch reaches its threads under emulation; it knows neither CUDA's headers nor
 * emulate.h, which stand in for each other.
 *
 * Rules: a launch holds its arguments, as CUDA's does, so it may run late. host.cpp runs it at
 * once, runtime_stream.cpp when its stream comes to it.
 */
#ifndef SQN_TESTS_GPU_LAUNCH_H
#define SQN_TESTS_GPU_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include <functional>

namespace emu {
constexpr size_t shared_default = 48 << 10, shared_most = 227 << 10; /* bytes a block, sm_90 */

struct launch_order {
    const char *name;   /* and where it is launched */
    const void *kernel; /* its address */
    unsigned grid[3], block[3];
    size_t shared; /* dynamic, bytes */
    size_t room;   /* for all shared memory of a block; filled in by submit */
    void *stream;
    bool early;                 /* it may start before the one before it has ended */
    std::function<void()> body; /* one thread's work */
};

extern uint64_t seed;            /* of the order of threads; set before a launch */
void run(const launch_order &l); /* every block, now */
void submit(launch_order l);
/* A thread of a kernel that started early has waited for the one before: memory is open to it. */
void previous_has_ended();
int set_shared_limit(const void *kernel, int bytes); /* 0, or CUDA's error */
/* What a card would refuse: dimensions, or more dynamic shared memory than `allowed` (more than
 * shared_default has to be asked for). */
bool is_refused(const launch_order &l, size_t allowed);
} // namespace emu

#endif
