/* Inside of NFC: see unicode.h for what others call. */
#ifndef SQN_TEXT_NFC_H
#define SQN_TEXT_NFC_H

#include <stddef.h>
#include <stdint.h>

/* Builds the composition table and sets SQN_CHAR_NFC in the class table. Once per process. */
void sqn_nfc_fill(uint8_t *classes, uint32_t count);

#endif
