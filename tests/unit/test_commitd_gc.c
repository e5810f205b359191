/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc and leases, step by step: what is needed stays, whenever somebody comes to need it.
 * Longer than 500 lines because it has a row for each thing that keeps content, and for each that does not.
 */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/stand_in_workers.h"
#include "tests/unit/test_commitd_store.h"
#include "tests/unit/unit.h"

/* System */
#include <sys/file.h>

/* Store */
#include "common/store/names.h"

/* The code under test */
#include "commitd/gc.h"
#include "commitd/naming.h"

#define DAY_S    86400u
#define START_MS UINT64_C(10000000)

static struct store st;
static struct pins pins;
static struct leases *leases;
static struct gc *gc;
static struct workers *pool;
static struct gc_report last;
static unsigned reports;

static void on_done(void *self, const struct gc_report *report)
{
	(void)self;
	last = *report;
	reports++;
}

static void open_parts(void)
{
	struct reason why;
	const struct gc_env env = {.layout = st.layout, .pins = &pins, .done = on_done};
	struct gc_env with = env;

	pins = (struct pins)PINS_INIT;
	assert_int_equal(leases_open(st.layout, &pins, &leases, &why), 0);
	assert_int_equal(workers_new(NULL, 1, &pool), 0);
	with.committer = with.collector = pool;
	with.leases = leases;
	assert_int_equal(gc_new(&with, &gc), 0);
}

static void close_parts(void)
{
	gc_free(gc);
	leases_close(leases);
	pins_end(&pins);
}

static int set_up(void **state)
{
	(void)state;
	stand_in_clock_set(START_MS);
	store_open(&st);
	open_parts();
	reports = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_parts();
	store_close(&st);
	stand_in_clock_release();
	return 0;
}

static void pass_s(uint64_t seconds)
{
	stand_in_clock_set((clock_boot_s() + seconds) * 1000);
}

/* ── content ── */

static const char *blob_path(const struct digest *d)
{
	static char path[2 * PATH_SIZE];
	char hex[DIGEST_TEXT_SIZE];

	digest_format_hex(d, hex);
	(void)snprintf(path, sizeof(path), "%s/blobs/%s/%s", st.path, hash_name(d->alg), hex);
	return path;
}

static struct descriptor put(const char *text, const char *media_type)
{
	struct descriptor d = {.size = strlen(text)};

	digest_of(HASH_SHA256, text, strlen(text), &d.digest);
	(void)snprintf(d.media_type, sizeof(d.media_type), "%s", media_type);
	write_text(blob_path(&d.digest), text);
	return d;
}

static bool is_stored(const struct descriptor *d)
{
	return access(blob_path(&d->digest), F_OK) == 0;
}

static void append(struct buf *out, const char *before, const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&d->digest, digest);
	assert_int_equal(buf_appendf(out, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", before,
				     d->media_type, digest, (unsigned long long)d->size),
			 0);
}

static struct descriptor put_image(const struct descriptor *config, const struct descriptor *layer)
{
	AUTO_BUF text = BUF_INIT;

	assert_int_equal(buf_append_str(&text, "{\"schemaVersion\":2,\"config\":"), 0);
	append(&text, "", config);
	append(&text, ",\"layers\":[", layer);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	return put(text.data, MEDIA_TYPE_OCI_MANIFEST);
}

static struct descriptor put_index(const struct descriptor *first, const struct descriptor *second)
{
	AUTO_BUF text = BUF_INIT;

	assert_int_equal(buf_append_str(&text, "{\"schemaVersion\":2,\"manifests\":["), 0);
	append(&text, "", first);
	append(&text, ",", second);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	return put(text.data, MEDIA_TYPE_OCI_INDEX);
}

struct image {
	struct descriptor config, layer, manifest;
};

static struct image image(const char *name)
{
	char config[64], layer[64];
	struct image i;

	(void)snprintf(config, sizeof(config), "{\"config\":\"%s\"}", name);
	(void)snprintf(layer, sizeof(layer), "layer of %s", name);
	i.config = put(config, "application/vnd.oci.image.config.v1+json");
	i.layer = put(layer, "application/vnd.oci.image.layer.v1.tar");
	i.manifest = put_image(&i.config, &i.layer);
	return i;
}

static bool image_is_stored(const struct image *i)
{
	bool all = is_stored(&i->config) && is_stored(&i->layer) && is_stored(&i->manifest);

	assert_true(all || !(is_stored(&i->config) || is_stored(&i->layer) || is_stored(&i->manifest)));
	return all;
}

static void edit(const char *name, const struct descriptor *d)
{
	struct naming_edit e = {.is_removal = !d};
	struct naming_batch batch = STAILQ_HEAD_INITIALIZER(batch);
	struct naming *naming;

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	if (d)
		e.descriptor = *d;
	STAILQ_INSERT_TAIL(&batch, &e, next);
	assert_int_equal(naming_new(st.layout, &naming), 0);
	(void)naming_apply(naming, &batch);
	assert_int_equal(e.outcome, FAIL_NONE);
	assert_true(e.changed);
	naming_edit_release(&e);
	naming_free(naming);
}

static void name(const char *name, struct descriptor d)
{
	pins_add_root(&pins, st.layout, &d.digest);
	edit(name, &d);
}

static void unname(const char *name)
{
	edit(name, NULL);
}

static void write_index(const char *manifests)
{
	char path[2 * PATH_SIZE];
	AUTO_BUF text = BUF_INIT;

	(void)snprintf(path, sizeof(path), "%s/index.json", st.path);
	assert_int_equal(buf_appendf(&text, "{\"schemaVersion\":2,\"manifests\":[%s]}", manifests), 0);
	write_text(path, text.data);
}

/* ── runs ── */

#define ALL_NOW                                                                                                        \
	{                                                                                                              \
		.ends_idle = true, .want = SIZE_UNKNOWN                                                                \
	}
static const struct gc_order all_now = ALL_NOW;
static const struct gc_order usual = {.older_s = GC_GRACE_S, .want = SIZE_UNKNOWN};

static void start(const struct gc_order *order)
{
	assert_true(gc_start(gc, order));
	assert_true(gc_is_running(gc));
}

static bool step(void)
{
	return stand_in_workers_run(pool);
}

static void finish(void)
{
	unsigned before = reports;

	while (step())
		;
	assert_int_equal(reports, before + 1);
	assert_false(gc_is_running(gc));
	assert_false(pins.is_on);
}

static void run(const struct gc_order *order)
{
	start(order);
	finish();
}

static void run_well(const struct gc_order *order)
{
	run(order);
	assert_string_equal(last.why.text, "");
	assert_int_equal(last.outcome, FAIL_NONE);
}

/* As far as the steps before the first sweep. */
static void start_and_mark(void)
{
	start(&all_now);
	assert_true(step());
	assert_true(step());
}

/* ── leases ── */

static enum fail_class take(const char *id, const char *purpose, uint64_t client, const char *word,
			    const struct descriptor *d)
{
	struct lease_order order = {.client = client, .uid = 7, .ttl_s = 600};
	char members[DIGEST_TEXT_SIZE + 16], digest[DIGEST_TEXT_SIZE];
	struct reason why;

	(void)snprintf(order.id, sizeof(order.id), "%s", id);
	(void)snprintf(order.purpose, sizeof(order.purpose), "%s", purpose);
	if (d) {
		digest_format(&d->digest, digest);
		(void)snprintf(members, sizeof(members), "%s=%s", word, digest);
		order.members = span_str(members);
	}
	return leases_take(leases, &order, &why);
}

static enum fail_class let_go(const char *id, uint64_t client)
{
	struct reason why;

	return leases_release(leases, id, client, 7, &why);
}

/* ── tests ── */

static void test_names_keep(void **state)
{
	struct image named = image("named"), other = image("other");
	struct descriptor loose = put("loose", "");

	(void)state;
	name("a:1", named.manifest);
	run_well(&all_now);
	assert_true(image_is_stored(&named));
	assert_false(image_is_stored(&other));
	assert_false(is_stored(&loose));
	assert_int_equal(last.count[GC_REMOVED], 4);
	assert_int_equal(last.bytes[GC_REMOVED],
			 other.config.size + other.layer.size + other.manifest.size + loose.size);
	unname("a:1");
	run_well(&all_now);
	assert_false(image_is_stored(&named));
	run_well(&all_now);
	assert_int_equal(last.count[GC_REMOVED], 0);
}

static void test_shared_content(void **state)
{
	struct image first = image("first"), second = image("second");
	struct descriptor both = put_index(&first.manifest, &second.manifest);

	(void)state;
	name("both", both);
	name("first", first.manifest);
	unname("both");
	run_well(&all_now);
	assert_true(image_is_stored(&first));
	assert_false(image_is_stored(&second));
	assert_false(is_stored(&both));
}

/* An index whose other platforms were never pulled. */
static void test_sparse_index(void **state)
{
	struct image here = image("here"), elsewhere = image("elsewhere");
	struct descriptor index = put_index(&here.manifest, &elsewhere.manifest);
	AUTO_BUF entry = BUF_INIT;

	(void)state;
	append(&entry, "", &index);
	write_index(entry.data);
	assert_int_equal(unlink(blob_path(&elsewhere.manifest.digest)), 0);
	run_well(&all_now);
	assert_true(image_is_stored(&here));
	assert_false(is_stored(&elsewhere.layer));
}

static void test_grace(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	pass_s(DAY_S);
	run_well(&usual);
	assert_int_equal(last.count[GC_WAITS], 1);
	pass_s(GC_GRACE_S - 1);
	run_well(&usual);
	assert_true(is_stored(&loose));
	pass_s(1);
	run_well(&usual);
	assert_false(is_stored(&loose));
}

/* What is needed in between begins anew. */
static void test_grace_begins_anew(void **state)
{
	struct image i = image("i");

	(void)state;
	run_well(&usual);
	pass_s(GC_GRACE_S);
	name("i", i.manifest);
	run_well(&usual);
	unname("i");
	pass_s(GC_GRACE_S);
	run_well(&usual);
	assert_true(image_is_stored(&i));
	pass_s(GC_GRACE_S);
	run_well(&usual);
	assert_false(image_is_stored(&i));
}

/* The grace outlives commitd. */
static void test_grace_over_a_restart(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	run_well(&usual);
	close_parts();
	open_parts();
	pass_s(GC_GRACE_S);
	run_well(&usual);
	assert_false(is_stored(&loose));
}

static void test_oldest_first(void **state)
{
	struct descriptor old = put("the oldest", ""), young = put("younger", "");
	const struct gc_order some = {.want = 3};

	(void)state;
	assert_int_equal(unlink(blob_path(&young.digest)), 0);
	run_well(&usual);
	young = put("younger", "");
	pass_s(5);
	run_well(&some);
	assert_false(is_stored(&old));
	assert_true(is_stored(&young));
	assert_int_equal(last.bytes[GC_REMOVED], old.size);
	assert_int_equal(last.bytes[GC_WAITS], young.size);
}

static void test_dry_run(void **state)
{
	struct descriptor loose = put("loose", "");
	const struct gc_order dry = {.dry_run = true, .want = SIZE_UNKNOWN};
	struct stat unneeded;

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "content", &loose), FAIL_NONE);
	leases_left(leases, 1);
	pass_s(601);
	run_well(&dry);
	assert_true(is_stored(&loose));
	assert_int_equal(leases_len(leases), 1);
	assert_int_equal(last.count[GC_REMOVED], 1);
	assert_true(fstatat(layout_leases_fd(st.layout), "unneeded", &unneeded, 0) < 0);
	const struct gc_item *item = gc_item(gc, 0);
	assert_non_null(item);
	assert_int_equal(item->fate, GC_REMOVED);
	assert_true(digest_eq(&item->digest, &loose.digest));
	assert_null(gc_item(gc, 1));
}

/* If it is not known what a name needs, nothing goes. */
static void test_unknown_needs(void **state)
{
	enum { DAMAGED, MISSING, NESTED_DAMAGED, NESTED_QUARANTINED, NO_DESCRIPTOR, NO_INDEX, ROWS };
	(void)state;
	for (int row = 0; row < ROWS; row++) {
		struct image i = image("i");
		struct descriptor index = put_index(&i.manifest, &i.manifest), loose = put("loose", "");
		char hex[DIGEST_TEXT_SIZE];
		AUTO_BUF entry = BUF_INIT;
		bool nested = row == NESTED_DAMAGED || row == NESTED_QUARANTINED;
		append(&entry, "", nested ? &index : &i.manifest);
		write_index(row == NO_DESCRIPTOR ? "{}" : row == NO_INDEX ? "" : entry.data);
		if (row == NO_INDEX)
			write_index("]");
		if (row == DAMAGED || row == NESTED_DAMAGED)
			write_text(blob_path(&i.manifest.digest), "{}");
		if (row == MISSING || row == NESTED_QUARANTINED)
			assert_int_equal(unlink(blob_path(&i.manifest.digest)), 0);
		digest_format_hex(&i.manifest.digest, hex);
		int fd = row == NESTED_QUARANTINED
			     ? openat(layout_quarantine_fd(st.layout), hex, O_CREAT | O_WRONLY | O_CLOEXEC, 0444)
			     : -1;
		run(&all_now);
		if (last.outcome != FAIL_AGAIN || !is_stored(&loose) || !is_stored(&i.layer))
			fail_msg("row %d: %d %s", row, (int)last.outcome, last.why.text);
		assert_int_equal(last.count[GC_REMOVED], 0);
		if (fd >= 0) {
			(void)close(fd);
			assert_int_equal(unlinkat(layout_quarantine_fd(st.layout), hex, 0), 0);
		}
	}
	write_index("");
	run_well(&all_now);
	assert_int_equal(last.count[GC_WAITS], 0);
}

static void test_leases_keep(void **state)
{
	struct image i = image("i");
	struct descriptor loose = put("loose", "");

	(void)state;
	assert_int_equal(take("content", "pull a", 1, "content", &loose), FAIL_NONE);
	assert_int_equal(take("root", "pull b", 1, "root", &i.manifest), FAIL_NONE);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	assert_true(image_is_stored(&i));
	assert_int_equal(last.count[GC_LEASED], 2);
	assert_int_equal(let_go("content", 1), FAIL_NONE);
	assert_int_equal(let_go("content", 1), FAIL_NONE);
	run_well(&all_now);
	assert_false(is_stored(&loose));
	assert_true(image_is_stored(&i));
	assert_int_equal(let_go("root", 1), FAIL_NONE);
	run_well(&all_now);
	assert_false(image_is_stored(&i));
}

/* What a lease names has perhaps not arrived; and it may be no manifest. */
static void test_lease_of_what_is_missing(void **state)
{
	struct image i = image("i");
	struct descriptor loose = put("loose", "");

	(void)state;
	assert_int_equal(unlink(blob_path(&i.manifest.digest)), 0);
	assert_int_equal(take("a", "pull a", 1, "root", &i.manifest), FAIL_NONE);
	assert_int_equal(take("a", "", 1, "root", &loose), FAIL_NONE);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	assert_false(is_stored(&i.layer));
}

static void test_time_of_leases(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "content", &loose), FAIL_NONE);
	/* Held for as long as the client is there. */
	pass_s(DAY_S);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	/* Then for its time, unless a gc ends what is idle. */
	leases_left(leases, 1);
	pass_s(599);
	run_well(&usual);
	assert_int_equal(last.count[GC_LEASED], 1);
	assert_int_equal(take("a", "", 2, NULL, NULL), FAIL_NONE);
	leases_left(leases, 2);
	pass_s(599);
	run_well(&usual);
	assert_int_equal(last.count[GC_LEASED], 1);
	pass_s(1);
	run_well(&usual);
	assert_int_equal(last.count[GC_LEASED], 0);
	assert_int_equal(take("a", "", 2, NULL, NULL), FAIL_NOT_FOUND);
	assert_int_equal(take("a", "pull a", 2, "content", &loose), FAIL_NONE);
	leases_left(leases, 2);
	run_well(&all_now);
	assert_false(is_stored(&loose));
}

/* Two clients with one purpose share it, and the first that is done does not end it. */
static void test_shared_lease(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "content", &loose), FAIL_NONE);
	assert_int_equal(take("a", "pull a", 2, "content", &loose), FAIL_NONE);
	assert_int_equal(let_go("a", 1), FAIL_NONE);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	leases_left(leases, 1);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	assert_int_equal(let_go("a", 2), FAIL_NONE);
	run_well(&all_now);
	assert_false(is_stored(&loose));
}

/* After a restart nobody has called yet. */
static void test_restart(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "content", &loose), FAIL_NONE);
	close_parts();
	pass_s(DAY_S);
	open_parts();
	pass_s(LEASES_FOUND_S - 1);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	assert_int_equal(take("a", "", 5, NULL, NULL), FAIL_NONE);
	pass_s(DAY_S);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	close_parts();
	open_parts();
	pass_s(LEASES_FOUND_S);
	run_well(&all_now);
	assert_false(is_stored(&loose));
}

static void test_by_hand(void **state)
{
	struct image i = image("i");

	(void)state;
	assert_int_equal(leases_take_by_hand(st.layout, &i.manifest.digest), 0);
	run_well(&all_now);
	pass_s(LEASE_BY_HAND_S - 1);
	run_well(&all_now);
	assert_true(image_is_stored(&i));
	pass_s(1);
	run_well(&all_now);
	assert_false(image_is_stored(&i));
}

/* One that nobody looked at meanwhile is as old as it says. */
static void test_by_hand_unseen(void **state)
{
	struct descriptor loose = put("loose", "");

	(void)state;
	pass_s(1);
	assert_int_equal(leases_take_by_hand(st.layout, &loose.digest), 0);
	pass_s(LEASE_BY_HAND_S);
	run_well(&all_now);
	assert_false(is_stored(&loose));
}

/* Whoever comes to need something after the mark pins it. */
static void test_needed_meanwhile(void **state)
{
	struct image named = image("named"), rooted = image("rooted");
	struct descriptor leased = put("leased", ""), by_hand = put("by hand", ""), loose = put("loose", "");

	(void)state;
	start_and_mark();
	name("named", named.manifest);
	assert_int_equal(take("a", "pull a", 1, "content", &leased), FAIL_NONE);
	assert_int_equal(take("b", "pull b", 1, "root", &rooted.manifest), FAIL_NONE);
	assert_int_equal(leases_take_by_hand(st.layout, &by_hand.digest), 0);
	finish();
	assert_int_equal(last.outcome, FAIL_NONE);
	assert_true(image_is_stored(&named));
	assert_true(image_is_stored(&rooted));
	assert_true(is_stored(&leased));
	assert_true(is_stored(&by_hand));
	assert_false(is_stored(&loose));
}

/* What is named before the names are read, and let go by its lease only then. */
static void test_named_and_released_meanwhile(void **state)
{
	struct image i = image("i");

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "root", &i.manifest), FAIL_NONE);
	start(&all_now);
	assert_true(step());
	name("i", i.manifest);
	assert_int_equal(let_go("a", 1), FAIL_NONE);
	finish();
	assert_true(image_is_stored(&i));
}

/* Committed after the list was made: no candidate, whoever needs it. */
static void test_committed_meanwhile(void **state)
{
	(void)state;
	start_and_mark();
	struct descriptor fresh = put("fresh", "");
	finish();
	assert_true(is_stored(&fresh));
}

/* For a tag the client learns the digest only after it was committed. */
static void test_committed_for_a_ref(void **state)
{
	struct lease_order order = {.id = "a", .client = 1, .uid = 7, .purpose = "pull a", .ttl_s = 60, .ref = {0}};
	struct reason why;
	struct descriptor manifest = put("by tag", ""), other = put("other", "");

	(void)state;
	order.ref = span_str("manifest://h/a:1");
	assert_int_equal(leases_take(leases, &order, &why), FAIL_NONE);
	leases_committed(leases, span_str("manifest://h/a:1"), &manifest.digest);
	leases_committed(leases, span_str("manifest://h/b:1"), &other.digest);
	run_well(&all_now);
	assert_true(is_stored(&manifest));
	assert_false(is_stored(&other));
}

/* ingestd has not heard yet that it was committed. */
static void test_ingest_that_is_left(void **state)
{
	struct descriptor loose = put("loose", "");
	char ref[DIGEST_TEXT_SIZE], id[INGEST_ID_SIZE], path[2 * PATH_SIZE];

	(void)state;
	digest_format(&loose.digest, ref);
	layout_ingest_id(span_str(ref), id);
	(void)snprintf(path, sizeof(path), "%s/ingest/%s", st.path, id);
	assert_int_equal(mkdir(path, 0755), 0);
	run_well(&all_now);
	assert_true(is_stored(&loose));
	assert_int_equal(rmdir(path), 0);
	run_well(&all_now);
	assert_false(is_stored(&loose));
}

static void test_lock(void **state)
{
	struct descriptor loose = put("loose", "");
	int fd = openat(layout_leases_fd(st.layout), "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	start(&all_now);
	for (int i = 0; i < 10; i++)
		assert_true(step());
	assert_int_equal(flock(fd, LOCK_UN), 0);
	finish();
	assert_int_equal(last.outcome, FAIL_NONE);
	assert_false(is_stored(&loose));
	/* A holder that does not end, in each of the two steps that need the lock. */
	for (int steps = 0; steps <= 2; steps += 2) {
		loose = put("loose", "");
		start(&all_now);
		for (int i = 0; i < steps; i++)
			assert_true(step());
		assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
		finish();
		assert_int_equal(last.outcome, FAIL_AGAIN);
		assert_non_null(strstr(last.why.text, "leases/lock' is held by"));
		assert_true(is_stored(&loose));
		assert_int_equal(flock(fd, LOCK_UN), 0);
	}
	(void)close(fd);
}

static void test_many_steps(void **state)
{
	enum { MANY = 3 * GC_SWEEP_STEP + 1 };
	char text[32];
	unsigned steps = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "number %d", i);
		(void)put(text, "");
	}
	start(&all_now);
	while (step())
		steps++;
	assert_int_equal(last.count[GC_REMOVED], MANY);
	assert_int_equal(steps, 2 + 2 * 4 + 2);
}

static void test_stopped(void **state)
{
	enum { MANY = 2 * GC_SWEEP_STEP };
	char text[32];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "number %d", i);
		(void)put(text, "");
	}
	start_and_mark();
	assert_true(step());
	gc_stop(gc);
	finish();
	assert_int_equal(last.outcome, FAIL_AGAIN);
	assert_int_equal(last.count[GC_REMOVED], GC_SWEEP_STEP);
}

/* commitd ends in the middle: nothing is called, and nothing stays open (LeakSanitizer and the next test tell). */
static void test_halted(void **state)
{
	(void)state;
	(void)put("loose", "");
	start_and_mark();
	assert_true(step());
	gc_halt(gc);
	assert_true(step());
	assert_false(step());
	assert_int_equal(reports, 0);
}

static void test_owners_and_limits(void **state)
{
	struct descriptor loose = put("loose", "");
	struct lease_order root = {.id = "a", .client = 3, .uid = 0}, foreign = {.id = "a", .client = 3, .uid = 8};
	struct reason why;
	char id[16];

	(void)state;
	assert_int_equal(take("a", "pull a", 1, "content", &loose), FAIL_NONE);
	assert_int_equal(leases_take(leases, &foreign, &why), FAIL_DENIED);
	assert_int_equal(leases_release(leases, "a", 3, 8, &why), FAIL_DENIED);
	assert_int_equal(leases_take(leases, &root, &why), FAIL_NONE);
	assert_int_equal(take("a", "", 1, "nonsense", &loose), FAIL_USAGE);
	for (int i = 1; i < LEASES_OF_UID; i++) {
		(void)snprintf(id, sizeof(id), "l%d", i);
		assert_int_equal(take(id, "pull", 1, "content", &loose), FAIL_NONE);
	}
	assert_int_equal(take("more", "pull", 1, "content", &loose), FAIL_AGAIN);
	assert_int_equal(take("l1", "", 2, NULL, NULL), FAIL_NONE);
	leases_left(leases, 1);
	/* All but three are left now; the one that was renewed first makes room. */
	assert_int_equal(take("more", "pull", 1, "content", &loose), FAIL_NONE);
	assert_int_equal(leases_len(leases), LEASES_OF_UID);
	assert_int_equal(take("l2", "", 1, NULL, NULL), FAIL_NOT_FOUND);
	assert_int_equal(take("l1", "", 1, NULL, NULL), FAIL_NONE);
}

/* A line that a power cut tore is written over; a lease that is taken up again does not grow. */
static void test_torn_and_compact(void **state)
{
	struct descriptor first = put("first", ""), second = put("second", "");
	char path[2 * PATH_SIZE];
	struct stat before, after;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/leases/a.lease", st.path);
	assert_int_equal(take("a", "pull a", 1, "content", &first), FAIL_NONE);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "content=sha", 11), 11);
	(void)close(fd);
	close_parts();
	open_parts();
	assert_int_equal(take("a", "", 1, "content", &second), FAIL_NONE);
	assert_int_equal(stat(path, &before), 0);
	for (int i = 0; i < 5; i++) {
		leases_left(leases, 1);
		assert_int_equal(take("a", "pull a", 1, "content", &first), FAIL_NONE);
		assert_int_equal(take("a", "pull a", 1, "content", &second), FAIL_NONE);
	}
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size <= 2 * before.st_size);
	run_well(&all_now);
	assert_true(is_stored(&first));
	assert_true(is_stored(&second));
}

int main(void)
{
#define GC_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    GC_TEST(test_names_keep),
	    GC_TEST(test_shared_content),
	    GC_TEST(test_sparse_index),
	    GC_TEST(test_grace),
	    GC_TEST(test_grace_begins_anew),
	    GC_TEST(test_grace_over_a_restart),
	    GC_TEST(test_oldest_first),
	    GC_TEST(test_dry_run),
	    GC_TEST(test_unknown_needs),
	    GC_TEST(test_leases_keep),
	    GC_TEST(test_lease_of_what_is_missing),
	    GC_TEST(test_time_of_leases),
	    GC_TEST(test_shared_lease),
	    GC_TEST(test_restart),
	    GC_TEST(test_by_hand),
	    GC_TEST(test_by_hand_unseen),
	    GC_TEST(test_needed_meanwhile),
	    GC_TEST(test_named_and_released_meanwhile),
	    GC_TEST(test_committed_meanwhile),
	    GC_TEST(test_committed_for_a_ref),
	    GC_TEST(test_ingest_that_is_left),
	    GC_TEST(test_lock),
	    GC_TEST(test_many_steps),
	    GC_TEST(test_stopped),
	    GC_TEST(test_halted),
	    GC_TEST(test_owners_and_limits),
	    GC_TEST(test_torn_and_compact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
