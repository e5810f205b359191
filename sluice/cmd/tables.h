/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pairs of a configuration file, ours or another tool's, for advice alone: `[TABLE]`, `[[TABLE]]` and `KEY = VALUE`,
 * one a line. That is all that containers-registries.conf(5) and containerd's hosts.toml need of TOML; what takes several
 * lines, such as a list, is passed by, and so is a line with control characters.
 */
#ifndef SLUICE_SLUICE_CMD_TABLES_H
#define SLUICE_SLUICE_CMD_TABLES_H

/*
 * `table`: without its brackets, "" before the first. `key` and `value` are NULL where a table begins; a value has no
 * quotes and no comment. Borrowed for the call.
 */
typedef void tables_visit(void *self, const char *table, const char *key, const char *value);

/* Visit all of them in order. A file that cannot be read has none. Blocks on disk. */
void tables_read(const char *path, tables_visit *visit, void *self);

#endif
