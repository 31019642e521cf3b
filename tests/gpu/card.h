/* Two cards that the host plays under the CUDA runtime's own functions: what runtime*.cpp and
 * cublaslt.cpp share, and what tests may set.
 *
 * Rules: one lock, held by every call (`call`). What is asked of a stream waits in its queue and
 * runs late: when somebody waits for it, or at a random call before that. Nothing of CUDA is
 * forgiven: what a card would answer with an error gets it, and what it would leave undefined ends
 * the program with a message ("emulation: ...").
 */
#ifndef SQN_TESTS_GPU_CARD_H
#define SQN_TESTS_GPU_CARD_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#ifndef __CUDART_API_PER_THREAD_DEFAULT_STREAM
#error "src/cuda is compiled with per-thread default streams"
#endif

namespace card {
constexpr int cards = 2; /* one of Hopper, one of Ampere with the least shared memory */
extern int capability_of[cards];
extern int running; /* the card that runs a kernel now, or -1 */
inline size_t most_shared(int device) {
    return (size_t)(capability_of[device] >= 90   ? 227
                    : capability_of[device] == 80 ? 163
                                                  : 99)
           << 10;
}

[[noreturn]] void fail(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* ---- a call of the library ---- */

/* Holds the lock; the first call of a thread's nest also lets some of the queued work happen. */
class call {
  public:
    explicit call(const char *name);
    ~call();
    call(const call &) = delete;
    /* What the call must answer at once: a fault that a test asked for, a card that is lost. */
    cudaError_t refusal() const;
    /* Notes the thread's last error, gives it back. */
    static cudaError_t says(cudaError_t code);
    /* The same where a capture forbids the call, which the capture does not survive. */
    cudaError_t unsafe_refusal() const;

  private:
    const char *name;
};
/* The code that a test asked this call of `function` to fail with; counts the calls. */
int asked_fault(const char *function);
int current_device(); /* the thread's */
void set_device(int device);
cudaError_t &last_error(); /* the thread's */
void lose(int device, cudaError_t code);
bool is_sticky(cudaError_t code);

/* ---- memory (runtime_memory.cpp) ---- */

struct stream;
struct graph;
void *take(int device, size_t bytes); /* at once; NULL: full */
void *take_in_order(stream *s, size_t bytes);
bool give_in_order(stream *s, void *p); /* false: no block */
bool give(void *p);                     /* at once; false: no block */
int device_of(const void *p);           /* -1: not a card's */
void check_inside(int device, const void *p, size_t bytes, const char *what);
void room_of(int device, size_t *left, size_t *total);
void trim(int device);
void open_memory(int device); /* until the outermost call ends, or another card's is opened */
void close_memory();
bool is_pinned(const void *p, size_t bytes);
void *pin(size_t bytes);
bool unpin(void *p);
void *take_in_graph(graph *g, size_t bytes); /* what the graph does each time */
bool give_in_graph(graph *g, void *p);
void forget_order(stream *s); /* the stream goes: its blocks are anyone's */
long live_blocks();
long pinned_blocks();
void set_room(size_t bytes); /* of each card */

/* ---- streams (runtime_stream.cpp) ---- */

struct marker {
    bool done;
    double seconds;
};

struct work {
    const char *name;
    std::function<void()> run;
    bool always;                          /* bookkeeping: also on a card that is lost */
    std::shared_ptr<marker> after, marks; /* waits for the one, is the other's event */
};

/* What a capture holds, in order; memory that it takes is its own for as long as it lives. */
struct graph {
    int device;
    std::vector<work> list;
    std::map<char *, size_t> owned, taken; /* ever; not yet given back */
    ~graph();
};

struct recording {
    cudaStreamCaptureMode mode;
    const void *thread; /* that began it */
    bool broken;
    std::shared_ptr<graph> made;
};

struct stream {
    int device;
    bool orphan; /* its thread has ended */
    std::deque<work> queue;
    std::unique_ptr<recording> capture;
    std::multimap<size_t, std::pair<char *, uint64_t>> leaving; /* by size: freed in its order */
};

stream *find_stream(cudaStream_t handle); /* NULL: there is none */
cudaError_t ask(stream *s, const char *name, std::function<void()> run, bool always = false);
void drain(stream *s);
void drain_device(int device);
void drift(); /* some of what waits happens now */
/* The captures that an unsafe call of this thread meets break; true if there were any. */
bool break_captures();
const void *this_thread();
} // namespace card

/* ---- for tests: by name, so that a library opened by Lua finds them in the program ---- */
extern "C" {
/* The nth call of a function from now on fails with `code`, which 0 takes back. "kernel" is a
 * kernel that runs, its code one that loses the card; "cublasLt..." have their own codes. */
void card_fault(const char *function, long nth, long code);
long card_calls(const char *function);
/* "memory" bytes of each card; "waits" 0: waiting does nothing; "seed" of what happens when;
 * "capability" of all cards (86). */
void card_set(const char *name, long value);
/* "blocks", "pinned", "streams", "events", "graphs", "handles" that are alive; "queued" work. */
long card_count(const char *what);
void card_counted(const char *what, long by);
/* In stream order, for cublaslt.cpp; cudaError_t. */
int card_ask(cudaStream_t stream, const char *name, std::function<void()> run);
}

#endif
