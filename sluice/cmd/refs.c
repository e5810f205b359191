/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/refs.h"

/* System */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* OCI */
#include "common/oci/digest.h"

/* Sluice */
#include "sluice/cmd/find.h"

#define REFS_SHOWN 3

int refs_list(struct client *c, struct status_list *list, struct reason *why)
{
	struct message answer;
	struct status status;

	for (;;) {
		const struct message request = {
		    .type = MSG_NEXT,
		    .ref = list->len ? span_str(list->rows[list->len - 1].ref) : span_str(""),
		};
		int code = client_ask(c, STAGE_INGESTD, &request, &answer, why);
		if (code != 0)
			return code;
		if (answer.type == MSG_ERROR && answer.fail_class == FAIL_NOT_FOUND)
			return 0;
		if (answer.type != MSG_RECORD) {
			reason_set(why, "%.*s", SPAN_ARG(answer.text));
			return answer.type == MSG_ERROR ? fail_exit_code((enum fail_class)answer.fail_class)
							: EX_PROTOCOL;
		}
		status_of_message(&answer, &status);
		if (status_list_add(list, &status) < 0) {
			reason_set(why, "out of memory");
			return EX_OSERR;
		}
	}
}

bool refs_are_digits(const char *text)
{
	struct digest digest;

	return find_is_digits(text) && digest_parse(span_str(text), &digest, NULL) < 0;
}

static bool is_digest(const char *ref)
{
	struct digest digest;

	return digest_parse(span_str(ref), &digest, NULL) == 0;
}

int refs_find(const struct status_list *list, const char *text, char ret_ref[static REF_MAX + 1], struct reason *why)
{
	const char *found = NULL;
	size_t count = 0;
	bool is_ref = ref_meant(text, ret_ref, why) == 0; /* "abcdef" may be one, "sha256:abcdef" not */

	if (!refs_are_digits(text))
		return is_ref ? 0 : EX_USAGE;
	reason_set(why, "these digits fit several transfers:");
	for (size_t i = 0; i < list->len; i++) {
		const char *ref = list->rows[i].ref;
		assert(ref);
		if (strcmp(ref, text) == 0)
			return 0;
		if (!is_digest(ref) || !find_digits_fit(text, ref))
			continue;
		found = ref;
		if (++count <= REFS_SHOWN)
			reason_set(why, "%s%s %s", why->text, count > 1 ? "," : "", ref);
	}
	if (count > REFS_SHOWN)
		reason_set(why, "%s, and %zu more", why->text, count - REFS_SHOWN);
	if (count == 1)
		(void)snprintf(ret_ref, REF_MAX + 1, "%s", found);
	if (count > 1)
		return EX_USAGE;
	if (count == 0 && !is_ref)
		reason_set(why, "there is no such transfer");
	return count == 0 && !is_ref ? EX_NOINPUT : 0;
}

int refs_find_served(struct client *c, const char *text, char ret_ref[static REF_MAX + 1], struct reason *why)
{
	struct status_list list = {.rows = NULL};
	int code = refs_are_digits(text) ? refs_list(c, &list, why) : 0;

	if (code == 0)
		code = refs_find(&list, text, ret_ref, why);
	status_list_release(&list);
	return code;
}
