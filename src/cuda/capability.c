/* What the current card can do: asked once of each. See kernels/cuda/host.h. */
#include <cuda_runtime_api.h>
#include <limits.h>

#include "cuda/fault.h"
#include "kernels/cuda/host.h"

enum { MOST = 64 };

static int known[MOST]; /* 0: not asked yet; two threads that ask write the same */
static int limit = INT_MAX;

int sqn_cuda_capability(void) {
    int card = 0, major = 0, minor = 0;
    if (sqn_cuda_verdict(cudaGetDevice(&card)) != SQN_OK || card >= MOST) return 0;
    int now = __atomic_load_n(&known[card], __ATOMIC_RELAXED);
    if (now == 0) {
        if (sqn_cuda_verdict(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor,
                                                    card)) != SQN_OK ||
            sqn_cuda_verdict(
                cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, card)) != SQN_OK)
            return 0;
        now = 10 * major + minor;
        __atomic_store_n(&known[card], now, __ATOMIC_RELAXED);
    }
    return now < limit ? now : limit;
}

void sqn_cuda_capability_limit(int most) { limit = most; }
