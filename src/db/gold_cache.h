/* Gold results on disk, for the next evaluation of the same databases.
 *
 * Rules: an entry is found by the SHA-256 of (format, digest of the database, limits, statement);
 * it is written under another name and renamed, so runs at the same time never see half of one;
 * one that is damaged in any way counts as absent. Only results are kept, no errors. Entries are
 * not synced: a crash of the machine may damage some, which then are absent.
 */
#ifndef SQN_DB_GOLD_CACHE_H
#define SQN_DB_GOLD_CACHE_H

#include "db/driver.h"

/* The file of an entry, into path[room]; false if the folder's name is too long. */
bool sqn_gold_cache_path(const char *folder, const char *digest, const sqn_conn_options *o,
                         const char *sql, size_t n, char *path, size_t room);
/* *out: NULL if there is no sound entry. Fails only when memory is out. */
sqn_status sqn_gold_cache_load(const char *path, sqn_result **out /* owned */, sqn_err *e);
/* What cannot be written is not kept. Fails only when memory is out. */
sqn_status sqn_gold_cache_save(const char *path, const sqn_result *r, sqn_err *e);

#endif
