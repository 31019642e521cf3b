/* The emulated cards' calls, streams, launches and captures: see card.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "tests/gpu/card.h"
#include "tests/gpu/launch.h"

namespace card {
int capability_of[cards] = {90, 86};
int running = -1;

namespace {
constexpr size_t longest_queue = 1024; /* a driver's, roughly */

struct asked {
    long calls, left; /* until the fault; 0: none */
    long code;
};

std::recursive_mutex lock;
int depth; /* of calls, under the lock */
bool waits = true;
uint64_t random_state = 1;
std::map<std::string, asked> functions;
std::map<std::string, long> counts;
std::map<std::pair<const void *, int>, size_t> shared_limits; /* by kernel and card */
cudaError_t lost[cards];

struct thread_state {
    int device = 0;
    cudaError_t last = cudaSuccess;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    stream *own[cards] = {};
    bool ended = false; /* what is asked after that is on nobody's stream */
    ~thread_state();
};
thread_local thread_state thread;

std::set<stream *> &streams() {
    static auto *all = new std::set<stream *>; /* threads may end after main */
    return *all;
}

uint64_t random_next() { /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void drop(stream *s) {
    forget_order(s);
    streams().erase(s);
    delete s;
}

thread_state::~thread_state() {
    std::lock_guard<std::recursive_mutex> held(lock);
    ended = true;
    for (stream *&s : own) {
        if (s == nullptr) continue;
        s->orphan = true;
        if (s->queue.empty()) drop(s);
        s = nullptr;
    }
}

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void run_first(stream *s);

/* The stream that records the event runs up to it. */
void reach(const std::shared_ptr<marker> &wanted) {
    while (!wanted->done) {
        stream *found = nullptr;
        for (stream *s : streams())
            for (const work &w : s->queue)
                if (w.marks == wanted) found = s;
        if (found == nullptr) fail("an event that nothing records is waited for");
        run_first(found);
    }
}

void run_first(stream *s) {
    if (s->queue.front().after) reach(s->queue.front().after);
    work w = std::move(s->queue.front());
    s->queue.pop_front();
    if (w.run && (lost[s->device] == cudaSuccess || w.always)) w.run();
    if (w.marks) w.marks->done = true, w.marks->seconds = now();
}

/* "name=value" of the environment's SQLUNE_CARD, parted by blanks; fault=FUNCTION:NTH:CODE. */
void read_settings() {
    static bool done;
    if (std::exchange(done, true)) return;
    const char *text = getenv("SQLUNE_CARD");
    for (; text && *text; text += strcspn(text, " "), text += strspn(text, " ")) {
        char name[80];
        long value, code;
        if (sscanf(text, "fault=%79[^: ]:%ld:%ld", name, &value, &code) == 3)
            card_fault(name, value, code);
        else if (sscanf(text, "%79[^= ]=%ld", name, &value) == 2)
            card_set(name, value);
        else
            fail("SQLUNE_CARD: cannot read '%s'", text);
    }
}
} // namespace

void fail(const char *pattern, ...) {
    va_list ap;
    va_start(ap, pattern);
    fputs("emulation: ", stderr);
    vfprintf(stderr, pattern, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

call::call(const char *function) : name(function) {
    lock.lock();
    if (depth++ > 0) return;
    read_settings();
    drift();
}

call::~call() {
    if (--depth == 0) close_memory();
    lock.unlock();
}

cudaError_t call::says(cudaError_t code) {
    if (code != cudaSuccess) thread.last = code;
    return code;
}

cudaError_t call::refusal() const {
    const cudaError_t wanted = (cudaError_t)asked_fault(name);
    if (is_sticky(wanted)) lose(thread.device, wanted);
    if (wanted != cudaSuccess) return says(wanted);
    return says(lost[thread.device]);
}

cudaError_t call::unsafe_refusal() const {
    const cudaError_t code = refusal();
    if (code != cudaSuccess) return code;
    return break_captures() ? says(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

int asked_fault(const char *function) {
    asked &f = functions[function];
    f.calls++;
    return f.left > 0 && --f.left == 0 ? (int)f.code : 0;
}

int current_device() { return thread.device; }
void set_device(int device) { thread.device = device; }
cudaError_t &last_error() { return thread.last; }
void lose(int device, cudaError_t code) { lost[device] = code; }
const void *this_thread() { return &thread; }

/* Those of which driver_types.h says that the process must be ended. */
bool is_sticky(cudaError_t code) {
    switch ((int)code) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
        return true;
    default:
        return false;
    }
}

stream *find_stream(cudaStream_t handle) {
    if (handle == cudaStreamLegacy) fail("the legacy stream: not all is compiled alike");
    if (handle != nullptr && handle != cudaStreamPerThread)
        return streams().count((stream *)handle) ? (stream *)handle : nullptr;
    stream *&own = thread.own[thread.device];
    if (own == nullptr) {
        own = new stream();
        own->device = thread.device;
        own->orphan = false;
        streams().insert(own);
    }
    return own;
}

cudaError_t ask(stream *s, const char *name, std::function<void()> run, bool always) {
    work w = {name, std::move(run), always, nullptr, nullptr};
    if (s->capture) {
        if (s->capture->broken) return cudaErrorStreamCaptureInvalidated;
        s->capture->made->list.push_back(std::move(w));
        return cudaSuccess;
    }
    s->queue.push_back(std::move(w));
    while (s->queue.size() > longest_queue) run_first(s);
    return cudaSuccess;
}

void drain(stream *s) {
    while (!s->queue.empty()) run_first(s);
}

void drain_device(int device) {
    const std::vector<stream *> all(streams().begin(), streams().end());
    for (stream *s : all) {
        if (s->device != device) continue;
        drain(s);
        if (s->orphan) drop(s);
    }
}

void drift() {
    if (!waits || streams().empty() || random_next() % 32 != 0) return;
    auto chosen = streams().begin();
    std::advance(chosen, (long)(random_next() % streams().size()));
    stream *s = *chosen;
    for (uint64_t left = random_next() % 64; left > 0 && !s->queue.empty(); left--) run_first(s);
    if (s->orphan && s->queue.empty()) drop(s);
}

bool break_captures() {
    bool any = false;
    for (stream *s : streams()) {
        if (!s->capture || thread.mode == cudaStreamCaptureModeRelaxed) continue;
        const bool mine = s->capture->thread == this_thread();
        if (mine ? s->capture->mode == cudaStreamCaptureModeRelaxed
                 : s->capture->mode != cudaStreamCaptureModeGlobal ||
                       thread.mode != cudaStreamCaptureModeGlobal)
            continue;
        s->capture->broken = any = true;
    }
    return any;
}
} // namespace card

using namespace card;

int emu::set_shared_limit(const void *kernel, int bytes) {
    call here("cudaFuncSetAttribute");
    if (const cudaError_t code = here.refusal()) return code;
    if (bytes < 0 || (size_t)bytes > most_shared(current_device()))
        return call::says(cudaErrorInvalidValue);
    shared_limits[{kernel, current_device()}] = (size_t)bytes;
    return cudaSuccess;
}

void emu::previous_has_ended() { open_memory(running); }

void emu::submit(launch_order l) {
    call here("cudaLaunchKernel");
    if (here.refusal() != cudaSuccess) return;
    stream *s = find_stream((cudaStream_t)l.stream);
    const int device = current_device();
    if (s == nullptr || s->device != device) {
        call::says(cudaErrorInvalidResourceHandle);
        return;
    }
    auto limit = shared_limits.find({l.kernel, device});
    if (limit != shared_limits.end()) l.room = most_shared(device);
    if (is_refused(l, limit == shared_limits.end() ? shared_default : limit->second)) {
        call::says(l.shared > shared_default ? cudaErrorInvalidValue
                                             : cudaErrorInvalidConfiguration);
        return;
    }
    const char *name = l.name;
    call::says(ask(s, name, [device, l = std::move(l)] {
        const int code = asked_fault("kernel");
        if (code != 0) {
            lose(device, (cudaError_t)code);
            return;
        }
        emu::seed++; /* another order of threads for each */
        running = device;
        if (l.early)
            close_memory(); /* until a thread waits; in some order each is the first */
        else
            open_memory(device);
        run(l);
        running = -1;
    }));
}

extern "C" {
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    call here("cudaStreamCreateWithFlags");
    if (const cudaError_t code = here.refusal()) return code;
    if (flags > cudaStreamNonBlocking) return call::says(cudaErrorInvalidValue);
    stream *s = new stream();
    s->device = current_device();
    streams().insert(s);
    card_counted("streams", 1);
    *out = (cudaStream_t)s;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    call here("cudaStreamDestroy");
    if (const cudaError_t code = here.refusal()) return code;
    stream *s = handle == nullptr || handle == cudaStreamPerThread ? nullptr : find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    s->orphan = true; /* what it has to do is done */
    if (s->queue.empty()) drop(s);
    card_counted("streams", -1);
    return cudaSuccess;
}

static cudaError_t settled(const char *name, cudaStream_t handle, stream **s) {
    call here(name);
    if (const cudaError_t code = here.refusal()) return code;
    *s = find_stream(handle);
    if (*s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    if ((*s)->capture) {
        (*s)->capture->broken = true;
        return call::says(cudaErrorStreamCaptureUnsupported);
    }
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    call here("");
    stream *s;
    if (const cudaError_t code = settled("cudaStreamSynchronize", handle, &s)) return code;
    if (waits) drain(s);
    return call::says(lost[s->device]);
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    call here("");
    stream *s;
    if (const cudaError_t code = settled("cudaStreamQuery", handle, &s)) return code;
    return s->queue.empty() ? cudaSuccess : call::says(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize(void) {
    call here("cudaDeviceSynchronize");
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    if (waits) drain_device(current_device());
    return call::says(lost[current_device()]);
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    call here("cudaEventCreateWithFlags");
    (void)flags;
    if (const cudaError_t code = here.refusal()) return code;
    *out = (cudaEvent_t) new std::shared_ptr<marker>();
    card_counted("events", 1);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    call here("cudaEventDestroy");
    if (const cudaError_t code = here.refusal()) return code;
    delete (std::shared_ptr<marker> *)event;
    card_counted("events", -1);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    call here("");
    stream *s;
    if (const cudaError_t code = settled("cudaEventRecord", handle, &s)) return code;
    auto m = std::make_shared<marker>();
    *(std::shared_ptr<marker> *)event = m;
    s->queue.push_back({"cudaEventRecord", nullptr, true, nullptr, m});
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags) {
    call here("");
    (void)flags;
    stream *s;
    if (const cudaError_t code = settled("cudaStreamWaitEvent", handle, &s)) return code;
    auto m = *(std::shared_ptr<marker> *)event;
    if (m) s->queue.push_back({"cudaStreamWaitEvent", nullptr, true, m, nullptr});
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    call here("cudaEventQuery");
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    auto m = *(std::shared_ptr<marker> *)event;
    return !m || m->done ? cudaSuccess : call::says(cudaErrorNotReady);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    call here("cudaEventSynchronize");
    if (const cudaError_t code = here.refusal()) return code;
    auto m = *(std::shared_ptr<marker> *)event;
    if (!m || m->done || !waits) return cudaSuccess;
    reach(m);
    return call::says(lost[current_device()]);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    call here("cudaEventElapsedTime");
    if (const cudaError_t code = here.refusal()) return code;
    auto a = *(std::shared_ptr<marker> *)from, b = *(std::shared_ptr<marker> *)to;
    if (!a || !b) return call::says(cudaErrorInvalidResourceHandle);
    if (!a->done || !b->done) return call::says(cudaErrorNotReady);
    *ms = (float)((b->seconds - a->seconds) * 1e3);
    return cudaSuccess;
}

/* ---- captures and graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    call here("cudaStreamBeginCapture");
    if (const cudaError_t code = here.refusal()) return code;
    stream *s = find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    if (s->capture) return call::says(cudaErrorIllegalState);
    s->capture.reset(new recording{mode, this_thread(), false, std::make_shared<graph>()});
    s->capture->made->device = s->device;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *out) {
    call here("cudaStreamEndCapture");
    *out = nullptr;
    stream *s = find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    if (!s->capture) return call::says(cudaErrorIllegalState);
    if (s->capture->thread != this_thread() && s->capture->mode != cudaStreamCaptureModeRelaxed)
        return call::says(cudaErrorStreamCaptureWrongThread);
    auto capture = std::move(s->capture);
    if (const cudaError_t code = here.refusal()) return code;
    if (capture->broken) return call::says(cudaErrorStreamCaptureInvalidated);
    if (!capture->made->taken.empty()) fail("memory that a graph takes is not given back by it");
    *out = (cudaGraph_t) new std::shared_ptr<graph>(capture->made);
    card_counted("graphs", 1);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *out) {
    call here("cudaStreamIsCapturing");
    if (const cudaError_t code = here.refusal()) return code;
    stream *s = find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    *out = !s->capture          ? cudaStreamCaptureStatusNone
           : s->capture->broken ? cudaStreamCaptureStatusInvalidated
                                : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
    call here("cudaThreadExchangeStreamCaptureMode");
    if (const cudaError_t code = here.refusal()) return code;
    std::swap(*mode, thread.mode);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags) {
    call here("cudaGraphInstantiate");
    *out = nullptr;
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    if (g == nullptr || flags != 0) return call::says(cudaErrorInvalidValue);
    *out = (cudaGraphExec_t) new std::shared_ptr<graph>(*(std::shared_ptr<graph> *)g);
    card_counted("graphs", 1);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g) {
    call here("cudaGraphDestroy");
    delete (std::shared_ptr<graph> *)g;
    card_counted("graphs", -1);
    return here.refusal();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) {
    call here("cudaGraphExecDestroy");
    delete (std::shared_ptr<graph> *)g;
    card_counted("graphs", -1);
    return here.refusal();
}

cudaError_t cudaGraphUpload(cudaGraphExec_t g, cudaStream_t handle) {
    call here("");
    stream *s;
    (void)g;
    return settled("cudaGraphUpload", handle, &s);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t handle) {
    call here("");
    stream *s;
    if (const cudaError_t code = settled("cudaGraphLaunch", handle, &s)) return code;
    auto all = *(std::shared_ptr<graph> *)g;
    if (all->device != s->device) return call::says(cudaErrorInvalidValue);
    return call::says(ask(s, "cudaGraphLaunch", [all] {
        for (const work &w : all->list)
            if (lost[all->device] == cudaSuccess || w.always) w.run();
    }));
}

/* ---- for tests ---- */

void card_fault(const char *function, long nth, long code) {
    std::lock_guard<std::recursive_mutex> held(lock);
    asked &f = functions[function];
    f.left = code != 0 ? nth : 0;
    f.code = code;
}

long card_calls(const char *function) {
    std::lock_guard<std::recursive_mutex> held(lock);
    return functions[function].calls;
}

void card_set(const char *name, long value) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (strcmp(name, "memory") == 0)
        set_room((size_t)value);
    else if (strcmp(name, "waits") == 0)
        waits = value != 0;
    else if (strcmp(name, "seed") == 0)
        random_state = (uint64_t)value;
    else if (strcmp(name, "capability") == 0)
        std::fill(capability_of, capability_of + cards, (int)value);
    else
        fail("no setting '%s'", name);
}

void card_counted(const char *what, long by) {
    std::lock_guard<std::recursive_mutex> held(lock);
    counts[what] += by;
}

long card_count(const char *what) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (strcmp(what, "blocks") == 0) return live_blocks();
    if (strcmp(what, "pinned") == 0) return pinned_blocks();
    if (strcmp(what, "queued") != 0) return counts[what];
    long sum = 0;
    for (const stream *s : streams()) sum += (long)s->queue.size();
    return sum;
}

int card_ask(cudaStream_t handle, const char *name, std::function<void()> run) {
    call here("");
    stream *s = find_stream(handle);
    if (s == nullptr || s->device != current_device()) return cudaErrorInvalidResourceHandle;
    return ask(s, name, [device = s->device, run = std::move(run)] {
        open_memory(device);
        run();
    });
}
}
