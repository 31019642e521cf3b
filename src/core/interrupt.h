/* The interrupt flag: the host's signal handler sets it, long C loops poll it. */
#ifndef SQN_CORE_INTERRUPT_H
#define SQN_CORE_INTERRUPT_H

#include <stdbool.h>

#include "core/err.h"

void sqn_interrupt_set(void); /* async-signal-safe */
void sqn_interrupt_clear(void);
bool sqn_interrupted(void);
/* SQN_INTERRUPT with a message if the flag is up. The flag stays up: the host clears it. */
sqn_status sqn_interrupt_check(sqn_err *e);

#endif
