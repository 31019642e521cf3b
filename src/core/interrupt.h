/* The interrupt flag: the host's signal handler sets it, long C loops poll it.
 *
 * Rules: the flag stays up until the error that it causes has been raised; then it comes down
 * (sqn_interrupt_take), so that what is closed on the way out (a run that saves) works again.
 */
#ifndef SQN_CORE_INTERRUPT_H
#define SQN_CORE_INTERRUPT_H

#include <stdbool.h>

#include "core/err.h"

void sqn_interrupt_set(int signal_number); /* async-signal-safe */
bool sqn_interrupted(void);
/* SQN_INTERRUPT with a message if the flag is up; leaves it up. */
sqn_status sqn_interrupt_check(sqn_err *e);

/* While held, the flag reads as down and nothing is interrupted. Returns whether it was held. */
bool sqn_interrupt_hold(bool on);

void sqn_interrupt_take(void);   /* the error is on its way: lowers the flag */
int sqn_interrupt_signal(void);  /* the last signal since the start or _forget; 0: none came */
void sqn_interrupt_forget(void); /* as if none had come */

#endif
