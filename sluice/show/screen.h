/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of lines at the cursor of a terminal that is drawn again in place. Between two frames the cursor stands at
 * the beginning of the line below the block, and nothing about the terminal is changed: whatever ends the program, the
 * shell's next line stands where it should.
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
 * How long lines may be and how many of them a frame may have: by the terminal, else by COLUMNS and LINES, else 80 and
 * 24. The last column and the last line stay free: writing to the one makes some terminals wrap, and the cursor stands
 * in the other.
 */
void screen_size(int fd, unsigned *ret_width, unsigned *ret_lines);

/* Zero-initialise it but for `fd`, which is borrowed. */
void screen_release(struct screen *s);

/*
 * Replace the block by `frame`: whole lines, within what screen_size() says. One write; none if nothing has changed. A
 * terminal that is gone is no reason to stop. 0 or -ENOMEM.
 */
int screen_draw(struct screen *s, struct span frame);

/* Lines that stay, in place of the block, which is to be drawn anew below them. 0 or -ENOMEM. */
int screen_say(struct screen *s, struct span lines);

/* The block stays as it is: what comes next stands below it. */
void screen_leave(struct screen *s);

#endif
