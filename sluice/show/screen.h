/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of lines on a terminal that is redrawn in place. Between two frames the cursor is at the start of the line
 * below the block, and no terminal setting is changed: however the program ends, the shell's prompt appears where it
 * should.
 */
#ifndef SLUICE_SLUICE_SHOW_SCREEN_H
#define SLUICE_SLUICE_SHOW_SCREEN_H

/* System */
#include <stdbool.h>

/* Base */
#include "common/base/buf.h"

struct screen {
	int fd;
	bool drawn;
	unsigned width; /* of the terminal, when `frame` was drawn */
	struct buf frame;
	struct buf out;
};

/* Whether `fd` is a terminal that can move its cursor. */
bool screen_can(int fd);

/*
 * How long lines may be and how many of them a frame may have: from the terminal, else from COLUMNS and LINES, else 80
 * and 24. The last column and the last line stay free: writing to the former makes some terminals wrap, and the cursor
 * is in the latter.
 */
void screen_size(int fd, unsigned *ret_width, unsigned *ret_lines);

/* All zero at first, except `fd`, which is borrowed. */
void screen_release(struct screen *s);

/*
 * Replace the block with `frame`: whole lines, within the limits of screen_size(). One write; none if nothing has
 * changed. Ignores it if the terminal is gone. 0 or -ENOMEM.
 */
int screen_draw(struct screen *s, struct span frame);

/* Print lines that stay, in place of the block, which must then be drawn again below them. 0 or -ENOMEM. */
int screen_say(struct screen *s, struct span lines);

/* Leave the block as it is: what comes next appears below it. */
void screen_leave(struct screen *s);

#endif
