/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of the daemon on a store in a temporary directory, without links to fetchd and commitd: pending orders and
 * seals stay pending.
 */
#ifndef SLUICE_TESTS_INGESTD_CORE_H
#define SLUICE_TESTS_INGESTD_CORE_H

/* Own */
#include "tests/unit/test_ingestd_disk.h"

/* System */
#include <poll.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/loop.h"
#include "common/base/process.h"

/* The code under test */
#include "ingestd/queue.h"

#define PATIENCE_MS 20000
#define SOURCE      "https://example.test/file"
#define URL(name)   "https://example.test/" name /* without an expected digest, a ref and its source */

static struct loop *loop;
static struct settings settings;
static struct transfers transfers;
static struct flow flow;

static inline int core_set_up(void **state)
{
	char path[FILE_PATH_SIZE];
	int runtime_fd;
	struct reason why;

	(void)set_up(state);
	settings = (struct settings){
	    .runtime_dir = strdup(unit_path(&dir, "run", path)),
	    .max_active = 2,
	    .checkpoint_bytes = UINT64_C(1) << 30,
	    .checkpoint_interval_ms = 3600000,
	    .lease_ms = 30000,
	};
	assert_int_equal(runtime_dir_make(settings.runtime_dir, &runtime_fd, &why), 0);
	assert_int_equal(close(runtime_fd), 0);
	transfers = (struct transfers){0};
	flow = (struct flow){.settings = &settings, .home = &home, .transfers = &transfers};
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new(loop, 1, &flow.workers), 0);
	assert_int_equal(orders_new(&transfers, &flow.orders), 0);
	assert_int_equal(seals_new(&transfers, &flow.seals), 0);
	assert_int_equal(events_new(&flow.events), 0);
	return 0;
}

static inline int core_tear_down(void **state)
{
	workers_free(flow.workers);
	transfers_release(&transfers);
	orders_free(flow.orders);
	seals_free(flow.seals);
	events_free(flow.events);
	loop_free(loop);
	free((void *)settings.runtime_dir);
	return tear_down(state);
}

/* GET, as sluice sends it. `digest` may be NULL. Returns the transfer, which is valid; NULL: the content is stored. */
static inline struct transfer *get(const char *ref, const char *source, const char *digest, uint64_t size)
{
	const struct message m = {.type = MSG_GET,
				  .ref = span_str(ref),
				  .source = span_str(source),
				  .expected = span_str(digest),
				  .size = size};
	struct transfer *t;
	uint64_t stored_size;
	enum fail_class class;
	struct reason why = {""};

	if (queue_get(&flow, &m, NULL, &t, &stored_size, &class, &why) < 0)
		fail_msg("%s: %s", ref, why.text);
	if (t)
		transfer_check(t);
	return t;
}

/* Turn the loop until the transfer's job is done. */
static inline void finish_job(const struct transfer *t)
{
	uint64_t until_ms = clock_mono_ms() + PATIENCE_MS;
	char ref[REF_MAX + 1]; /* the transfer may be gone then */

	(void)snprintf(ref, sizeof(ref), "%s", t->ref);
	while (transfers_find(&transfers, span_str(ref)) == t && transfer_is_busy(t)) {
		assert_true(clock_mono_ms() < until_ms);
		loop_turn(loop, true);
	}
}

static inline void assert_phase(const struct transfer *t, enum phase phase)
{
	transfer_check(t);
	assert_int_equal(t->phase, phase);
}

#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_set_up, core_tear_down)

#endif
