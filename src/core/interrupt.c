/* The interrupt flag: see interrupt.h. */
#include "core/interrupt.h"

#include <stdatomic.h>

static atomic_bool flag;
static atomic_bool held;
static atomic_int last_signal;

void sqn_interrupt_set(int signal_number) {
    atomic_store_explicit(&last_signal, signal_number, memory_order_relaxed);
    atomic_store_explicit(&flag, true, memory_order_relaxed);
}

bool sqn_interrupted(void) {
    return atomic_load_explicit(&flag, memory_order_relaxed) &&
           !atomic_load_explicit(&held, memory_order_relaxed);
}

bool sqn_interrupt_hold(bool on) { return atomic_exchange(&held, on); }

sqn_status sqn_interrupt_check(sqn_err *e) {
    return sqn_interrupted() ? SQN_FAIL(e, SQN_INTERRUPT, "interrupted") : SQN_OK;
}

void sqn_interrupt_take(void) { atomic_store_explicit(&flag, false, memory_order_relaxed); }

int sqn_interrupt_signal(void) { return atomic_load_explicit(&last_signal, memory_order_relaxed); }

void sqn_interrupt_forget(void) {
    sqn_interrupt_take();
    atomic_store_explicit(&last_signal, 0, memory_order_relaxed);
}
