/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of systemd's journal in its native form, built field by field and sent as one datagram.
 */
#ifndef SLUICE_BASE_JOURNAL_H
#define SLUICE_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_ENTRY_MAX 8192 /* bytes; what does not fit is cut */

struct journal_entry {
	size_t len;
	char text[JOURNAL_ENTRY_MAX];
};

/*
 * Add a field. `name` is trusted: capitals, digits and underscores. `value` may be anything: it is escaped into one
 * line, so that it cannot start another field.
 */
void journal_add(struct journal_entry *e, const char *name, const char *value);

/* Does not block. 0, -EAGAIN when the journal is behind, or another -errno, such as -ENOENT where there is none. */
int journal_send(const struct journal_entry *e);

/* Whether stderr is a stream into the journal, by JOURNAL_STREAM. */
bool journal_has_stderr(void);

#endif
