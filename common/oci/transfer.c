/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/transfer.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>

const char *transfer_state_name(enum transfer_state s)
{
	static const char *const names[] = {
	    [TRANSFER_QUEUED] = "queued",       [TRANSFER_FETCHING] = "fetching", [TRANSFER_SEALED] = "sealed",
	    [TRANSFER_COMMITTED] = "committed", [TRANSFER_WAITING] = "waiting",   [TRANSFER_FAILED] = "failed",
	};
	return names[s];
}

const char *fail_class_name(enum fail_class c)
{
	static const char *const names[FAIL_CLASS_MAX + 1] = {
	    [FAIL_NONE] = "none",           [FAIL_AGAIN] = "again",
	    [FAIL_NOT_FOUND] = "not_found", [FAIL_DENIED] = "denied",
	    [FAIL_BAD_DATA] = "bad_data",   [FAIL_UNAVAILABLE] = "unavailable",
	    [FAIL_CHANGED] = "changed",     [FAIL_IO] = "io",
	    [FAIL_SPACE] = "space",         [FAIL_USAGE] = "usage",
	    [FAIL_MISSING] = "missing",
	};
	return names[c];
}

int fail_exit_code(enum fail_class c)
{
	static const int codes[] = {
	    [FAIL_NONE] = EX_OK,          [FAIL_AGAIN] = EX_TEMPFAIL,   [FAIL_NOT_FOUND] = EX_NOINPUT,
	    [FAIL_DENIED] = EX_NOPERM,    [FAIL_BAD_DATA] = EX_DATAERR, [FAIL_UNAVAILABLE] = EX_UNAVAILABLE,
	    [FAIL_CHANGED] = EX_TEMPFAIL, [FAIL_IO] = EX_IOERR,         [FAIL_SPACE] = EX_TEMPFAIL,
	    [FAIL_USAGE] = EX_USAGE,      [FAIL_MISSING] = EX_TEMPFAIL,
	};
	return codes[c];
}

static bool starts_with(struct span s, const char *prefix)
{
	size_t len = strlen(prefix);
	return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

int ref_check(struct span ref, struct reason *why)
{
	struct digest d;

	if (ref.len < 1 || ref.len > REF_MAX) {
		reason_set(why, "a ref has 1 to %d bytes, not %zu", REF_MAX, ref.len);
		return -EINVAL;
	}
	for (size_t i = 0; i < ref.len; i++)
		if (ref.data[i] <= ' ' || ref.data[i] > '~') {
			reason_set(why, "the ref has a byte that is not printable ASCII at position %zu", i);
			return -EINVAL;
		}
	if (starts_with(ref, "sha256:") || starts_with(ref, "sha512:"))
		return digest_parse(ref, &d, why);
	return 0;
}
