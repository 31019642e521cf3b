/* What the parts of the emulation share: the threads of the block that runs, and its scheduler.
 *
 * Rules: a thread that waits sets its state, then yields; whoever ends the wait makes it ready.
 */
#ifndef SQN_TESTS_GPU_FIBRES_H
#define SQN_TESTS_GPU_FIBRES_H

#include <setjmp.h>

#include <vector>

#include "tests/gpu/emulate.h"

namespace emu {
enum class state { ready, at_block, at_warp, at_barrier, done };

struct copy {
    void *to;
    const void *from;
    size_t bytes, zero_bytes;
    int group;
};

struct store16 { /* an ordinary write that the asynchronous units do not see yet */
    void *to;
    char bytes[16];
};

struct stack { /* of the thread with that number, block after block */
    char *memory;
    bool entered;
    jmp_buf at;   /* where its thread waits, for its turn or for the next block */
    void *shadow; /* for AddressSanitizer */
};

struct fibre {
    emu::stack *stack;
    state is;
    site where;
    place here;
    std::vector<copy> copies;
    int group; /* of cp.async that is open */
    std::vector<store16> stores;
    int product_group; /* of wgmma that is open */
    bool products_fenced;
    const void *waits_for; /* at_barrier: its barrier */
};

struct array {
    char *memory;
    size_t bytes;
};

extern std::vector<fibre> fibres; /* of the block that runs */
extern fibre *current;
extern array dynamic; /* the block's dynamic shared memory */

uint64_t random_next();
void yield();
[[noreturn]] void fail(const char *what, const site &at);

/* emulate_async.cpp */
void start_asynchronous(size_t warps); /* a block begins */
bool work_asynchronously();            /* one random copy or product; false: there is none */
void work_now_and_then();              /* the same, at the block's chance */
void thread_ends();
} // namespace emu

#endif
