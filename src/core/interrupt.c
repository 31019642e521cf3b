/* The interrupt flag: see interrupt.h. */
#include "core/interrupt.h"

#include <stdatomic.h>

static atomic_bool flag;

void sqn_interrupt_set(void) { atomic_store_explicit(&flag, true, memory_order_relaxed); }
void sqn_interrupt_clear(void) { atomic_store_explicit(&flag, false, memory_order_relaxed); }
bool sqn_interrupted(void) { return atomic_load_explicit(&flag, memory_order_relaxed); }

sqn_status sqn_interrupt_check(sqn_err *e) {
    return sqn_interrupted() ? SQN_FAIL(e, SQN_INTERRUPT, "interrupted") : SQN_OK;
}
