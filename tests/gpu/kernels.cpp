/* Every CUDA kernel against the CPU's in f64: kernels [ORDERS] [WORD] [SHARE]. On a card each case
 * runs ORDERS times (20) on fresh random inputs; the seed is printed, and SEED in the environment
 * gives it again. Under emulation each case runs in ORDERS orders of threads, and then once more
 * without each barrier in turn, which must fail: a barrier that nothing needs, or no case tests, is
 * a failure too; SHARE 1/2 takes every other case and barrier. With "large" instead of ORDERS the
 * cases of large.h run, once. */
#include "tests/gpu/kernels.h"

#include <omp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "tests/gpu/large.h"
#ifdef SQN_EMULATE
#include "tests/gpu/emulate.h"
#endif

std::mt19937_64 random_bits;

struct failed_case : std::exception {
    std::string text;
};

std::string format(const char *pattern, ...) {
    char text[400];
    va_list ap;
    va_start(ap, pattern);
    vsnprintf(text, sizeof text, pattern, ap);
    va_end(ap);
    return text;
}

void fault(const std::string &what) {
    failed_case f;
    f.text = what;
    throw f;
}

double uniform(double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_bits);
}
int64_t choose(int64_t below) { return (int64_t)(random_bits() % (uint64_t)below); }

void check(sqn_status status, const char *what) {
    if (status != SQN_OK) fault(format("%s: status %d", what, (int)status));
}

/* ---- values ---- */

static uint16_t float_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

void put_value(sqn_dtype dtype, void *to, double v) {
    if (dtype == SQN_F64)
        memcpy(to, &v, 8);
    else if (dtype == SQN_F32) {
        float f = (float)v;
        memcpy(to, &f, 4);
    } else if (dtype == SQN_BF16) {
        uint16_t h = float_to_bf16((float)v);
        memcpy(to, &h, 2);
    } else {
        _Float16 h = (_Float16)v;
        memcpy(to, &h, 2);
    }
}

double get_value(sqn_dtype dtype, const void *from) {
    switch (dtype) {
    case SQN_F64:
        return *(const double *)from;
    case SQN_F32:
        return *(const float *)from;
    case SQN_BF16:
        return bf16_value(from);
    case SQN_F16:
        return (double)*(const _Float16 *)from;
    case SQN_I64:
        return (double)*(const int64_t *)from;
    case SQN_I32:
        return *(const int32_t *)from;
    default:
        return *(const uint8_t *)from;
    }
}

double tolerance(sqn_dtype dtype) {
    switch (dtype) {
    case SQN_F64:
        return 1e-11;
    case SQN_F32:
        return 2e-5;
    case SQN_BF16:
        return 1.0 / 64;
    case SQN_F16:
        return 1.0 / 512;
    default:
        return 0;
    }
}

double unit(sqn_dtype dtype) {
    return ldexp(1, dtype == SQN_F64 ? -53 : dtype == SQN_F32 ? -24 : dtype == SQN_F16 ? -11 : -8);
}

int64_t shifted::now = 0;

values::values(sqn_dtype dtype, int64_t n)
    : dtype(dtype), n(n), shift((size_t)shifted::now * sqn_dtype_size(dtype)),
      device((char *)device_allocate((size_t)n * sqn_dtype_size(dtype) + shift) + shift),
      raw((size_t)n * sqn_dtype_size(dtype)), wide((size_t)n, NAN) {}

values::values(values &&o) noexcept
    : dtype(o.dtype), n(o.n), shift(o.shift), device(o.device), raw(std::move(o.raw)),
      wide(std::move(o.wide)) {
    o.device = nullptr;
}

values::~values() {
    if (device) device_release((char *)device - shift);
}

void values::set(const std::vector<double> &v) {
    size_t size = sqn_dtype_size(dtype);
    for (size_t i = 0; i < (size_t)n; i++) {
        put_value(dtype, &raw[i * size], v[i]);
        wide[i] = get_value(dtype, &raw[i * size]);
    }
    device_write(device, raw.data(), raw.size());
}

values values::floats(sqn_dtype dtype, int64_t n, double from, double to) {
    values out(dtype, n);
    std::vector<double> v((size_t)n);
    for (double &x : v) x = uniform(from, to);
    out.set(v);
    return out;
}

values values::integers(sqn_dtype dtype, int64_t n, int64_t below) {
    values out(dtype, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = choose(below);
        int32_t v32 = (int32_t)v;
        uint8_t v8 = (uint8_t)v;
        size_t size = sqn_dtype_size(dtype);
        memcpy(&out.raw[(size_t)i * size],
               size == 8   ? (void *)&v
               : size == 4 ? (void *)&v32
                           : &v8,
               size);
    }
    device_write(out.device, out.raw.data(), out.raw.size());
    return out;
}

values values::of(std::vector<int64_t> list) {
    values out(SQN_I64, (int64_t)list.size());
    memcpy(out.raw.data(), list.data(), list.size() * sizeof list[0]);
    device_write(out.device, out.raw.data(), out.raw.size());
    return out;
}

values values::again() const {
    values out(dtype, n);
    out.set(wide);
    return out;
}

std::vector<double> values::fetch() const {
    std::vector<char> bytes(raw.size());
    std::vector<double> out((size_t)n);
    device_read(bytes.data(), device, bytes.size());
    for (size_t i = 0; i < out.size(); i++)
        out[i] = get_value(dtype, &bytes[i * sqn_dtype_size(dtype)]);
    return out;
}

void values::expect_bits(const values &other, const char *what) const {
    std::vector<char> mine(raw.size()), theirs(raw.size());
    device_read(mine.data(), device, mine.size());
    device_read(theirs.data(), other.device, theirs.size());
    const size_t size = sqn_dtype_size(dtype);
    for (size_t i = 0; i < (size_t)n; i++)
        if (memcmp(&mine[i * size], &theirs[i * size], size) != 0)
            fault(format("%s[%zu] is %.17g here and %.17g there", what, i,
                         get_value(dtype, &mine[i * size]), get_value(dtype, &theirs[i * size])));
}

void values::expect(const char *what, double scale) {
    std::vector<double> got = fetch();
    double limit = tolerance(dtype) * scale;
    for (size_t i = 0; i < got.size(); i++) {
        double want =
            dtype_is_float() ? wide[i] : get_value(dtype, &raw[i * sqn_dtype_size(dtype)]);
        double error = fabs(got[i] - want) / (1 + fabs(want));
        if (isnan(want) ? !isnan(got[i]) : !(error <= limit) && got[i] != want)
            fault(format("%s[%zu] is %.9g, not %.9g", what, i, got[i], want));
    }
}

void values::expect_within(const char *what, const std::vector<double> &of, double share) {
    std::vector<double> got = fetch();
    for (size_t i = 0; i < got.size(); i++)
        if (!(fabs(got[i] - wide[i]) <= share * of[i]))
            fault(format("%s[%zu] is %.9g, not %.9g within %.3g", what, i, got[i], wide[i],
                         share * of[i]));
}

/* ---- running ---- */

#ifdef SQN_EMULATE
static const uint64_t orders_of_inputs = 4; /* four orders of threads on the same values */
static uint64_t any_seed() { return 0; }
#else
static const uint64_t orders_of_inputs = 1;
static uint64_t any_seed() { return std::random_device()(); }
#endif

static uint64_t inputs_seed() {
    const char *given = getenv("SEED");
    return given && *given ? strtoull(given, nullptr, 10) : any_seed();
}
static const uint64_t seed = inputs_seed();

static bool attempt(const kernel_case &c, sqn_dtype dtype, uint64_t order, bool loud) {
    random_bits.seed(seed * 1000003 + order / orders_of_inputs + 17);
#ifdef SQN_EMULATE
    emu::seed = order * 7919 + 1;
#endif
    try {
        c.run(dtype);
        return true;
    } catch (const failed_case &f) {
        if (loud)
            printf("not ok %s %s, order %llu: %s\n", c.name, sqn_dtype_name(dtype),
                   (unsigned long long)order, f.text.c_str());
        return false;
    }
}

#ifdef SQN_EMULATE
/* The barriers that a case reaches, and those that any does. */
static std::vector<std::set<emu::site>> reached;
static std::set<emu::site> all_barriers;

static void note_barriers() {
    reached.emplace_back(std::move(emu::barriers));
    reached.back().insert(emu::warp_sites.begin(), emu::warp_sites.end());
    all_barriers.insert(reached.back().begin(), reached.back().end());
    emu::barriers.clear();
    emu::warp_sites.clear();
}

/* True if some case fails, or dies, without the barrier. */
static bool is_missed(const std::vector<kernel_case> &cases, emu::site site, int orders) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
        emu::dropped = site;
        for (int order = 0; order < orders; order++)
            for (size_t i = 0; i < cases.size(); i++)
                for (sqn_dtype d : cases[i].dtypes)
                    if (reached[i].count(site) && !attempt(cases[i], d, (uint64_t)order, false))
                        _exit(1);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

using parts = std::initializer_list<std::vector<kernel_case>>;
static std::vector<kernel_case> cases_of(parts all, const char *word) {
    std::vector<kernel_case> cases;
    for (const std::vector<kernel_case> &part : all)
        for (const kernel_case &c : part)
            if (strstr(c.name, word)) cases.push_back(c);
    return cases;
}

static int verdict(int passed, int failed, int skipped) {
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}

/* Each once; one that does not fit is skipped. */
static int run_large(const char *word) {
    int passed = 0, failed = 0, skipped = 0;
    for (const kernel_case &c : cases_of({large_row_cases(), large_element_cases(),
                                          large_attention_cases(), large_product_cases()},
                                         word))
        for (sqn_dtype d : c.dtypes) {
            const auto started = std::chrono::steady_clock::now();
            try {
                (attempt(c, d, 0, true) ? passed : failed)++;
            } catch (const skipped_case &s) {
                printf("skip %s %s: %s\n", c.name, sqn_dtype_name(d), s.why.c_str());
                skipped++;
            }
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
            printf("%s %s: %.1f s\n", c.name, sqn_dtype_name(d), took.count());
            fflush(stdout);
        }
    return verdict(passed, failed, skipped);
}

int main(int count, char **argument) {
    const char *word = count > 2 ? argument[2] : "";
    printf("SEED=%llu\n", (unsigned long long)seed);
    if (count > 1 && strcmp(argument[1], "large") == 0) return run_large(word);
    int orders = count > 1 ? atoi(argument[1]) : 20, passed = 0, failed = 0;
    size_t share = 1, shares = 1, n = 0; /* 1/2: every other case and barrier */
    if (count > 3 && sscanf(argument[3], "%zu/%zu", &share, &shares) != 2) return 2;
    const auto is_mine = [&] { return n++ % shares + 1 == share; };
    omp_set_num_threads(1); /* the controls fork, which threads of OpenMP do not survive */
    const std::vector<kernel_case> cases =
        cases_of({elementwise_cases(), optimizer_cases(), row_cases(), attention_cases(),
                  expert_cases(), lora_cases()},
                 word);
    for (const kernel_case &c : cases) {
        for (sqn_dtype d : c.dtypes) {
            const bool mine = is_mine(); /* another one's runs once, for its barriers */
            bool ok = true;
            for (int order = 0; order < (mine ? orders : 1) && ok; order++)
                ok = attempt(c, d, (uint64_t)order, true);
            if (mine) (ok ? passed : failed)++;
        }
#ifdef SQN_EMULATE
        note_barriers();
#endif
    }
#ifdef SQN_EMULATE
    emu::check_canaries();
    for (const emu::site &site : all_barriers) {
        if (!is_mine()) continue;
        bool missed = is_missed(cases, site, orders);
        if (!missed)
            printf("not ok nothing fails without the barrier at %s:%d\n", site.first, site.second);
        (missed ? passed : failed)++;
    }
#endif
    return verdict(passed, failed, 0);
}
