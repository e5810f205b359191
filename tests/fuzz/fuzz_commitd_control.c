/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at commitd, all of it but for sockets and threads: each has one answer; a name that is given is valid and
 * leads to what was asked, or to a manifest of it; a request that is refused changes nothing, and one that is done changes
 * its own name alone; what a name needs stays, whatever leases and gcs there are.
 * An input is lines, a packet in each (packet.h).
 */

/* Tests */
#include "tests/fuzz/packet.h"
#include "tests/unit/stand_in_ctl.h"
#include "tests/unit/stand_in_fs.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"
#include "tests/unit/stand_in_workers.h"
#include "tests/unit/test_commitd_store.h"

/* Base */
#include "common/base/log.h"

/* Store */
#include "common/store/lease.h"
#include "common/store/names.h"
#include "common/store/walk.h"

/* The code under test */
#include "commitd/serve.h"

#define LINES   64
#define WITNESS "witness.test/image:1"
#define INDEX                                                                                                          \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","                              \
	"\"manifests\":[]}"
#define NO_MANIFEST "no manifest"

enum { ASKER, LISTENER }; /* clients */

static struct store st;
static struct span input;
static char index_digest[DIGEST_TEXT_SIZE];

static struct names *names_now(void)
{
	struct names *n;
	struct reason why;

	FUZZ_CHECK(names_load(st.layout, &n, &why) == 0);
	return n;
}

static bool leads_to(const struct names *n, struct span name, struct span digest)
{
	struct descriptor d;
	char text[NAME_MAX_BYTES + 1], found[DIGEST_TEXT_SIZE];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(name));
	if (names_find(n, text, &d) < 0)
		return digest.len == 0;
	digest_format(&d.digest, found);
	return span_eq(digest, span_str(found));
}

static void ask(const struct message *q, struct message *ret_answer)
{
	FUZZ_CHECK(stand_in_ctl_ask(ASKER, q));
	while (stand_in_workers_run(&stand_in_workers))
		continue;
	FUZZ_CHECK(!stand_in_ctl.clients[ASKER].waits && stand_in_ctl.clients[ASKER].len == 1);
	FUZZ_CHECK(stand_in_ctl_hear(ASKER, ret_answer));
}

/* Every name but this one is as it was. */
static void check_others(const struct names *before, const struct names *after, struct span name)
{
	for (size_t i = 0; i < names_len(before); i++) {
		const char *other;
		struct descriptor d;
		char digest[DIGEST_TEXT_SIZE];

		FUZZ_CHECK(names_at(before, i, &other, &d) == 0);
		digest_format(&d.digest, digest);
		FUZZ_CHECK(span_eq(name, span_str(other)) || leads_to(after, span_str(other), span_str(digest)));
	}
}

static void check_naming(const struct message *q, const struct message *a, const struct names *before,
			 const struct names *after, bool is_changed)
{
	struct message event = {.name = {0}};
	bool heard = stand_in_ctl_hear(LISTENER, &event);

	FUZZ_CHECK(heard == is_changed);
	if (heard)
		FUZZ_CHECK(event.type == MSG_NAMED && span_eq(event.name, q->name) && span_eq(event.digest, q->digest));
	check_others(before, after, q->name);
	if (a->type != MSG_OK) {
		FUZZ_CHECK(a->type == MSG_ERROR && !is_changed);
		return;
	}
	FUZZ_CHECK(name_is_valid(q->name) && leads_to(after, q->name, q->digest));
	FUZZ_CHECK(q->type == MSG_REMOVE_NAME || span_eq(q->digest, span_str(index_digest)));
}

static bool is_stored(const char *digest_text)
{
	struct digest d;
	uint64_t size;

	FUZZ_CHECK(digest_parse(span_str(digest_text), &d, NULL) == 0);
	return layout_blob_size(st.layout, &d, &size) == 0;
}

/* Whatever is asked, what has a name stays; and every answer is one to its request. */
static void check_upkeep(const struct message *q, const struct message *a, const struct names *after)
{
	static const enum message_type done[MESSAGE_TYPE_MAX + 1] = {
	    [MSG_STATS] = MSG_COUNTS, [MSG_LEASE] = MSG_OK,     [MSG_RELEASE] = MSG_OK,
	    [MSG_GC] = MSG_COLLECTED, [MSG_GC_ITEM] = MSG_ITEM, [MSG_CHECK] = MSG_OK,
	};
	struct message event;

	FUZZ_CHECK(a->type == MSG_ERROR || a->type == done[q->type]);
	FUZZ_CHECK(q->type != MSG_STATS || (a->type == MSG_COUNTS) == (q->stage == STAGE_COMMITD));
	FUZZ_CHECK(q->type != MSG_LEASE || a->type == MSG_ERROR || lease_id_is_valid(q->name));
	FUZZ_CHECK(!leads_to(after, span_str(WITNESS), span_str(index_digest)) || is_stored(index_digest));
	bool heard = stand_in_ctl_hear(LISTENER, &event);
	FUZZ_CHECK(heard == (q->type == MSG_GC && a->type == MSG_COLLECTED && !(q->flags & GC_FLAG_DRY_RUN)));
	FUZZ_CHECK(!heard || event.type == MSG_COLLECTED);
}

/* A file has the name that the answer says, and is in the manifest. */
static void check_file(const struct message *q, const struct message *a, const struct names *before,
		       const struct names *after)
{
	struct message event = {.name = {0}};
	struct descriptor d;
	struct manifest m;
	struct reason why;
	char name[NAME_MAX_BYTES + 1], file[DIGEST_TEXT_SIZE];

	(void)snprintf(name, sizeof(name), "%.*s", SPAN_ARG(a->name));
	check_others(before, after, span_str(name));
	if (a->type != MSG_NAMED) {
		FUZZ_CHECK(a->type == MSG_ERROR && !stand_in_ctl_hear(LISTENER, &event));
		return;
	}
	FUZZ_CHECK(name_is_valid(span_str(name)) && leads_to(after, a->name, a->digest));
	FUZZ_CHECK(q->name.len == 0 || span_eq(q->name, span_str(name)));
	FUZZ_CHECK(names_find(after, name, &d) == 0 && walk_load(st.layout, &d, 0, &m, &why) == 0);
	FUZZ_CHECK(strcmp(m.artifact_type, ARTIFACT_TYPE_FILE) == 0 && m.entries_len == 2);
	digest_format(&m.entries[1].digest, file);
	FUZZ_CHECK(span_eq(q->digest, span_str(file)) && m.entries[1].size == q->size);
	manifest_release(&m);
	FUZZ_CHECK(stand_in_ctl_hear(LISTENER, &event) && event.type == MSG_NAMED);
	FUZZ_CHECK(span_eq(event.name, span_str(name)));
}

static void take_packet(struct span line)
{
	static struct packet p;
	struct message q, a;

	if (!packet_request(line, &p, &q))
		return;
	struct names *before = names_now();
	uint64_t changes = counter_values[COUNT_NAMES_SET] + counter_values[COUNT_NAMES_REMOVED];
	ask(&q, &a);
	struct names *after = names_now();
	bool is_changed = counter_values[COUNT_NAMES_SET] + counter_values[COUNT_NAMES_REMOVED] > changes;
	if (q.type == MSG_SET_NAME || q.type == MSG_REMOVE_NAME) {
		check_naming(&q, &a, before, after, is_changed);
	} else if (q.type == MSG_SET_FILE) {
		check_file(&q, &a, before, after);
	} else {
		check_upkeep(&q, &a, after);
		check_others(before, after, span_str(""));
	}
	FUZZ_CHECK(a.type != MSG_ERROR || (a.text.len > 0 && a.fail_class != FAIL_NONE));
	names_free(before);
	names_free(after);
}

static void script(void)
{
	struct message a;

	FUZZ_CHECK(stand_in_ctl_ask(LISTENER, &(struct message){.type = MSG_SUBSCRIBE}));
	FUZZ_CHECK(stand_in_ctl_hear(LISTENER, &a) && a.type == MSG_OK);
	const struct message set = {
	    .type = MSG_SET_NAME, .name = span_str(WITNESS), .digest = span_str(index_digest), .size = SIZE_UNKNOWN};
	ask(&set, &a);
	FUZZ_CHECK(a.type == MSG_OK && stand_in_ctl_hear(LISTENER, &a));
	for (unsigned i = 0; input.len > 0 && i < LINES; i++)
		take_packet(fuzz_until(&input, '\n'));
	/* What is asked before the end is done. */
	FUZZ_CHECK(stand_in_ctl_ask(ASKER, &(struct message){.type = MSG_REMOVE_NAME, .name = span_str(WITNESS)}));
	stand_in_stage_stop();
	FUZZ_CHECK(!stand_in_stage_ended());
	while (stand_in_workers_run(&stand_in_workers))
		continue;
	FUZZ_CHECK(stand_in_stage_ended());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	input = span_of(data, len);
	log_set_level(LOG_LEVEL_ERROR);
	stand_in_fs_begin();
	store_open(&st);
	const struct digest d = blob_make(&st, INDEX);
	digest_format(&d, index_digest);
	(void)blob_make(&st, NO_MANIFEST);
	stand_in_stage.script = script;
	FUZZ_CHECK(serve_run(&(struct settings){.store = st.path, .runtime_dir = ""}) == 0);
	store_close(&st);
	return 0;
}
