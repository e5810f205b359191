/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/checks.h"

/* System */
#include <errno.h>
#include <poll.h>
#include <sysexits.h>

/* Base */
#include "common/base/clock.h"

/* Wire */
#include "common/wire/ctl_client.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define OPEN_MS  1000u
#define TICK_MS  100
#define AGAIN_MS 200u

/* A connection, and the blob that it is asked about. */
struct lane {
	struct ctl_client *ctl; /* NULL: not connected */
	bool is_busy;
	size_t number;
};

struct run {
	const struct checks_order *order;
	const struct digest *digests;
	size_t len, next, open; /* `open`: asked and not answered */
	struct lane lanes[CHECKS_AT_ONCE];
	char text[DIGEST_TEXT_SIZE];
};

static struct message message_for(struct run *r, size_t number)
{
	digest_format(&r->digests[number], r->text);
	return (struct message){
	    .type = MSG_CHECK,
	    .digest = span_str(r->text),
	    .flags = r->order->flags,
	    .age_s = r->order->age_s,
	};
}

/* Ask on the client's connection, with its patience. */
static int ask_patiently(struct run *r, size_t number, struct reason *why)
{
	const struct message m = message_for(r, number);
	uint64_t end_ms = clock_mono_ms() + CLIENT_PATIENCE_MS;
	struct message answer;
	int code;

	while ((code = client_ask(r->order->client, STAGE_COMMITD, &m, &answer, why)) == 0 &&
	       answer.type == MSG_ERROR && answer.fail_class == FAIL_AGAIN && clock_mono_ms() < end_ms) {
		if (interrupt_seen()) {
			reason_set(why, "interrupted");
			return EXIT_INTERRUPTED;
		}
		clock_pause(AGAIN_MS);
	}
	if (code != 0)
		return code;
	enum fail_class f = answer.type == MSG_ERROR ? (enum fail_class)answer.fail_class : FAIL_NONE;
	if (f == FAIL_AGAIN || f == FAIL_USAGE) { /* that is not about this blob; an older commitd has no CHECK */
		reason_set(why, "%.*s", SPAN_ARG(answer.text));
		return fail_exit_code(f);
	}
	r->open--;
	r->order->answered(r->order->self, number, f, answer.text);
	return 0;
}

/* The connection is lost, or cannot answer for now. */
static int give_up_lane(struct run *r, struct lane *lane, struct reason *why)
{
	ctl_disconnect(lane->ctl);
	lane->ctl = NULL;
	lane->is_busy = false;
	return ask_patiently(r, lane->number, why);
}

static int fill_lane(struct run *r, struct lane *lane, struct reason *why)
{
	struct message pong;
	struct reason no_matter;
	size_t number = r->next++;
	const struct message m = message_for(r, number);

	lane->number = number;
	r->open++;
	int e = lane->ctl ? 0 : ctl_open(r->order->runtime_dir, STAGE_COMMITD, OPEN_MS, &lane->ctl, &pong, &no_matter);
	if (e == 0)
		e = ctl_send(lane->ctl, &m, OPEN_MS);
	if (e != 0)
		return give_up_lane(r, lane, why);
	lane->is_busy = true;
	return 0;
}

static int read_lane(struct run *r, struct lane *lane, struct reason *why)
{
	struct message m;
	int e = ctl_receive(lane->ctl, 0, &m);

	if (e == -EAGAIN)
		return 0;
	bool is_answer = e == 0 && (m.type == MSG_OK || m.type == MSG_ERROR);
	enum fail_class f = is_answer && m.type == MSG_ERROR ? (enum fail_class)m.fail_class : FAIL_NONE;
	if (!is_answer || f == FAIL_AGAIN || f == FAIL_USAGE)
		return give_up_lane(r, lane, why);
	lane->is_busy = false;
	r->open--;
	r->order->answered(r->order->self, lane->number, f, m.text);
	return 0;
}

/* Fill the lanes, wait, and read what has arrived. */
static int turn(struct run *r, struct reason *why)
{
	struct pollfd waits[CHECKS_AT_ONCE];
	int code = 0;

	for (size_t i = 0; code == 0 && i < CHECKS_AT_ONCE; i++)
		if (!r->lanes[i].is_busy && r->next < r->len)
			code = fill_lane(r, &r->lanes[i], why);
	for (size_t i = 0; i < CHECKS_AT_ONCE; i++)
		waits[i] =
		    (struct pollfd){.fd = r->lanes[i].is_busy ? ctl_client_fd(r->lanes[i].ctl) : -1, .events = POLLIN};
	if (code == 0 && r->open > 0)
		(void)poll(waits, CHECKS_AT_ONCE, TICK_MS);
	for (size_t i = 0; code == 0 && i < CHECKS_AT_ONCE; i++)
		if (r->lanes[i].is_busy)
			code = read_lane(r, &r->lanes[i], why);
	r->order->tick(r->order->self);
	return code;
}

int checks_run(const struct checks_order *order, const struct digest *digests, size_t len, struct reason *why)
{
	struct run r = {.order = order, .digests = digests, .len = len};
	int code = 0;

	while (code == 0 && (r.next < r.len || r.open > 0)) {
		code = turn(&r, why);
		if (code == 0 && interrupt_seen()) {
			reason_set(why, "interrupted");
			code = EXIT_INTERRUPTED;
		}
	}
	for (size_t i = 0; i < CHECKS_AT_ONCE; i++)
		ctl_disconnect(r.lanes[i].ctl);
	return code;
}
