/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/config.h"

/* System */
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * inih silently truncates lines at 200 bytes and section names at 49. So the lines are read here, one that does not fit
 * is refused, and the section's name is taken from the line itself.
 */
struct reading {
	const char *path;
	FILE *file;
	config_visit *visit;
	void *self;
	struct reason *why;
	unsigned line;
	int r;
	char section[REASON_MAX];
};

static int refuse(struct reading *c, const char *what)
{
	c->r = -EINVAL;
	reason_set(c->why, "'%s' line %u: %s", c->path, c->line, what);
	return c->r;
}

/* Remember a line that names a section: up to the last ']', for the name may be "registry [::1]:5000". */
static int section_take(struct reading *c, const char *line)
{
	const char *open = line + strspn(line, " \t");
	if (*open != '[')
		return 0;
	const char *close = strrchr(open, ']');
	if (open != line)
		return refuse(c, "a section may not be indented");
	if (!close)
		return refuse(c, "a section without ']'");
	(void)snprintf(c->section, sizeof c->section, "%.*s", (int)(close - open - 1), open + 1);
	return 0;
}

/* One line as fgets(3) would give it; NULL at the end and after something was refused. */
static char *line_read(char *ret_line, int room, void *stream)
{
	struct reading *c = stream;
	int len = 0, byte;
	if (c->r < 0)
		return NULL;
	c->line++;
	while ((byte = getc_unlocked(c->file)) != EOF) {
		if (byte == '\0' || len + 2 > room) {
			(void)refuse(c, byte == '\0' ? "a NUL byte" : "the line is too long");
			return NULL;
		}
		ret_line[len++] = (char)byte;
		if (byte == '\n')
			break;
	}
	ret_line[len] = '\0';
	if (ferror(c->file)) {
		c->r = -errno;
		reason_set(c->why, "cannot read '%s': %s", c->path, strerror(errno));
		return NULL;
	}
	return len == 0 || section_take(c, ret_line) < 0 ? NULL : ret_line;
}

/* inih's answers: 1 is fine, 0 is an error. */
static int on_key(void *user, const char *section, const char *key, const char *value)
{
	struct reading *c = user;
	struct reason why = {{0}};
	(void)section;
	if (c->r < 0)
		return 0;
	c->r = c->visit(c->self, c->section, key, value, &why);
	if (c->r < 0)
		reason_set(c->why, "'%s' line %u: %s", c->path, c->line, why.text);
	return c->r == 0;
}

int config_read(const char *path, config_visit *visit, void *self, struct reason *why)
{
	struct reading c = {.path = path, .visit = visit, .self = self, .why = why};
	c.file = fopen(path, "re");
	if (!c.file) {
		int r = -errno;
		reason_set(why, "cannot open '%s': %s", path, strerror(-r));
		return r;
	}
	/* One stream for both callbacks: inih passes `user` to one and `stream` to the other. */
	struct reading *both = &c;
	int line = ini_parse_stream(line_read, both, on_key, both);
	(void)fclose(c.file);
	if (c.r == 0 && line > 0) {
		c.line = (unsigned)line;
		return refuse(&c, "neither '[section]' nor 'key = value'");
	}
	if (c.r == 0 && line < 0) {
		reason_set(why, "cannot read '%s': out of memory", path);
		return -ENOMEM;
	}
	return c.r;
}
