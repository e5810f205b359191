/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/progress.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/escape.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/show/screen.h"

#define JSON_EVERY_MS 500u /* for one blob that only grows */
#define NOTE_ROOM     1024
#define KINDS         4 /* of blobs; see kind_of() */

/* What was written about a blob, where only changes are. */
struct said {
	bool anything;
	bool growing; /* "started" or "resumed" */
	enum transfer_state state;
	uint64_t offset;
	uint64_t next_ms;
};

struct progress {
	enum progress_mode mode;
	struct bar *bars;  /* owned */
	struct said *said; /* owned, one for each */
	size_t len, bars_room, said_room;
	struct screen screen; /* for bars */
	bool changed;
	uint64_t next_draw_ms;
	struct buf out; /* for lines */
};

enum progress_mode progress_mode_for(bool json, bool quiet)
{
	if (quiet)
		return PROGRESS_NONE;
	if (json)
		return PROGRESS_JSON;
	return screen_can(STDERR_FILENO) ? PROGRESS_BARS : PROGRESS_LINES;
}

int progress_new(enum progress_mode mode, struct progress **ret_progress)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->mode = mode;
	p->screen.fd = STDERR_FILENO;
	*ret_progress = p;
	return 0;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	progress_finish(p);
	free(p->bars);
	free(p->said);
	screen_release(&p->screen);
	buf_release(&p->out);
	free(p);
}

static int reserve(struct progress *p)
{
	struct bar *bars = array_room(p->bars, p->len, &p->bars_room, sizeof(*bars));

	if (!bars)
		return -ENOMEM;
	p->bars = bars;
	struct said *said = array_room(p->said, p->len, &p->said_room, sizeof(*said));
	if (!said)
		return -ENOMEM;
	p->said = said;
	return 0;
}

int progress_add(struct progress *p, const char *ref, uint64_t total, size_t *ret_id)
{
	if (reserve(p) < 0)
		return -ENOMEM;
	p->bars[p->len] = (struct bar){.ref = ref, .state = TRANSFER_QUEUED, .total = total};
	text_label(ref, p->bars[p->len].label);
	p->said[p->len] = (struct said){.anything = false};
	*ret_id = p->len++;
	p->changed = true;
	return 0;
}

struct bar *progress_bar(struct progress *p, size_t id)
{
	assert(id < p->len);
	return &p->bars[id];
}

/* One write, so that lines do not mix with those of others. */
static void put(struct progress *p)
{
	/* Continue if the reader is gone. */
	(void)file_write_all(STDOUT_FILENO, p->out.data, p->out.len, NULL);
	buf_clear(&p->out);
}

static void say_json(struct progress *p, const struct bar *bar)
{
	AUTO_JSON line = json_object_make();

	if (!line)
		return;
	(void)json_set_text(line, "event", "progress");
	(void)json_set_text(line, "ref", bar->ref);
	(void)json_set_text(line, "state",
			    bar->was_here ? "stored"
			    : bar->word   ? bar->word
					  : transfer_state_name(bar->state));
	(void)json_set_u64(line, "offset", bar->offset);
	if (bar->total != SIZE_UNKNOWN)
		(void)json_set_u64(line, "total", bar->total);
	(void)json_set_u64(line, "rate", bar->rate);
	if (bar->text[0])
		(void)json_set_text(line, "text", bar->text);
	if (json_format(line, &p->out) == 0 && buf_append_str(&p->out, "\n") == 0)
		put(p);
}

static void say_line(struct progress *p, const struct bar *bar, const char *what)
{
	if (buf_appendf(&p->out, "%s: %s\n", bar->label, what) == 0)
		put(p);
}

/* The first bytes, and where they begin. */
static void say_growing(struct progress *p, const struct bar *bar, struct said *said)
{
	char offset[TEXT_SIZE_ROOM], total[TEXT_SIZE_ROOM], text[64];
	bool resumed = bar->offset > 0 && !said->anything;

	text_size(bar->offset, offset);
	text_size(bar->total, total);
	if (resumed && bar->total != SIZE_UNKNOWN)
		(void)snprintf(text, sizeof(text), "resumed at %s of %s", offset, total);
	else if (resumed)
		(void)snprintf(text, sizeof(text), "resumed at %s", offset);
	else if (bar->total != SIZE_UNKNOWN)
		(void)snprintf(text, sizeof(text), "started, %s", total);
	else
		(void)snprintf(text, sizeof(text), "started");
	say_line(p, bar, text);
	said->growing = true;
}

static void say_state(struct progress *p, const struct bar *bar, struct said *said)
{
	char size[TEXT_SIZE_ROOM], text[REASON_MAX + 32];

	text_size(bar->total == SIZE_UNKNOWN ? bar->offset : bar->total, size);
	switch (bar->state) {
	case TRANSFER_COMMITTED:
		(void)snprintf(text, sizeof(text), "%s, %s", bar->was_here ? "exists" : "done", size);
		break;
	case TRANSFER_WAITING:
	case TRANSFER_FAILED:
		if (strncmp(bar->text, "waiting ", strlen("waiting ")) == 0) /* the state is in the words already */
			(void)snprintf(text, sizeof(text), "%s", bar->text);
		else
			(void)snprintf(text, sizeof(text), "%s: %s", transfer_state_name(bar->state), bar->text);
		break;
	case TRANSFER_FETCHING:
		if (!said->growing)
			say_growing(p, bar, said);
		return;
	case TRANSFER_QUEUED:
	case TRANSFER_SEALED:
		return;
	}
	say_line(p, bar, text);
}

void progress_changed(struct progress *p, size_t id)
{
	struct bar *bar = progress_bar(p, id);
	struct said *said = &p->said[id];
	uint64_t now_ms = clock_mono_ms();
	bool new_state = !said->anything || said->state != bar->state;

	p->changed = true;
	if (p->mode == PROGRESS_LINES && new_state)
		say_state(p, bar, said);
	if (p->mode == PROGRESS_JSON && (new_state || (said->offset != bar->offset && now_ms >= said->next_ms))) {
		say_json(p, bar);
		said->next_ms = now_ms + JSON_EVERY_MS;
	}
	said->anything = true;
	said->state = bar->state;
	said->offset = bar->offset;
}

/* If not all blobs fit, these get a line, in the order of the kinds; 0: no line. */
static unsigned kind_of(const struct bar *bar)
{
	if (!bar->begun || bar->was_here)
		return 0;
	switch (bar->state) {
	case TRANSFER_FETCHING:
	case TRANSFER_SEALED:
		return 1;
	case TRANSFER_WAITING:
		return 2;
	case TRANSFER_FAILED:
		return 3;
	case TRANSFER_QUEUED:
	case TRANSFER_COMMITTED:
		return 0;
	}
	return 0;
}

/* How many of each kind get one of so many lines. */
static void share_lines(const struct progress *p, size_t lines, size_t ret_share[static KINDS])
{
	size_t of[KINDS] = {0};

	for (size_t i = 0; i < p->len; i++)
		of[kind_of(&p->bars[i])]++;
	ret_share[0] = 0;
	for (unsigned kind = 1; kind < KINDS; kind++) {
		ret_share[kind] = of[kind] < lines ? of[kind] : lines;
		lines -= ret_share[kind];
	}
}

/* All blobs if they fit, else those where something happens; and a line about all. */
static int append_frame(struct progress *p, unsigned width, size_t lines, struct buf *out)
{
	size_t share[KINDS];
	uint64_t now_s = clock_wall_s();
	bool all_fit = p->len + 1 <= lines;
	int r = 0;

	share_lines(p, lines - 1, share);
	for (size_t i = 0; r == 0 && i < p->len; i++) {
		unsigned kind = kind_of(&p->bars[i]);
		if (!all_fit && share[kind] == 0)
			continue;
		share[kind] -= all_fit ? 0 : 1;
		r = bar_line(&p->bars[i], width, now_s, out);
		if (r == 0)
			r = buf_append_str(out, "\n");
	}
	if (r == 0)
		r = bar_summary(p->bars, p->len, width, out);
	return r < 0 ? r : buf_append_str(out, "\n");
}

static void draw(struct progress *p)
{
	AUTO_BUF frame = BUF_INIT;
	unsigned width, lines;

	screen_size(p->screen.fd, &width, &lines);
	if (p->len > 0 && append_frame(p, width, lines, &frame) == 0)
		(void)screen_draw(&p->screen, buf_span(&frame));
}

void progress_tick(struct progress *p)
{
	uint64_t now_ms = clock_mono_ms();

	if (p->mode != PROGRESS_BARS || !p->changed || now_ms < p->next_draw_ms)
		return;
	draw(p);
	p->changed = false;
	p->next_draw_ms = now_ms + PROGRESS_DRAW_MS;
}

void progress_note(struct progress *p, const char *text)
{
	char line[NOTE_ROOM];

	if (p->mode == PROGRESS_NONE || p->mode == PROGRESS_JSON)
		return;
	(void)escape_line(text, strlen(text), line, sizeof(line));
	if (buf_appendf(&p->out, "%s\n", line) < 0)
		return;
	if (p->mode == PROGRESS_BARS) {
		(void)screen_say(&p->screen, buf_span(&p->out));
		buf_clear(&p->out);
		p->changed = true;
		p->next_draw_ms = 0;
		progress_tick(p);
	} else {
		put(p);
	}
}

void progress_finish(struct progress *p)
{
	p->next_draw_ms = 0;
	progress_tick(p);
	screen_leave(&p->screen);
	p->changed = false;
}
