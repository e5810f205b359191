/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/password.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <termios.h>

#define CONTROL(letter) ((letter) - '@')
#define RUBOUT          0x7f

/* What a key does to the line. 1: it ends the line; 0: there is more; -errno. */
static int take_key(char key, bool at_terminal, struct buf *out, size_t start)
{
	if (key == '\n' || (at_terminal && (key == '\r' || key == CONTROL('D'))))
		return 1;
	if (at_terminal && key == CONTROL('C'))
		return -EINTR;
	if (at_terminal && (key == RUBOUT || key == '\b')) {
		if (out->len > start)
			out->data[--out->len] = '\0';
		return 0;
	}
	if (at_terminal && key == CONTROL('U')) {
		while (out->len > start)
			out->data[--out->len] = '\0';
		return 0;
	}
	return out->len - start < PASSWORD_MAX ? buf_append(out, &key, 1) : -EMSGSIZE;
}

static int read_line(bool at_terminal, struct buf *out)
{
	size_t start = out->len;
	char key;
	int r = buf_reserve(out, PASSWORD_MAX); /* so that no piece of it is left behind in the heap */

	while (r == 0) {
		ssize_t n = read(STDIN_FILENO, &key, 1);
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? 1 : take_key(key, at_terminal, out, start);
	}
	if (r == 1 && !at_terminal && out->len > start && out->data[out->len - 1] == '\r')
		out->data[--out->len] = '\0';
	return r < 0 ? r : out->len > start ? 0 : -ENODATA;
}

/* Keys are taken one by one, Ctrl-C too: were the process killed here, the terminal would stay without echo. */
static int read_keys(const struct termios *before, const char *prompt, struct buf *out)
{
	struct termios quiet = *before;

	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	quiet.c_cc[VMIN] = 1;
	quiet.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return -errno;
	(void)fprintf(stderr, "%s", prompt);
	int r = read_line(true, out);
	(void)fputc('\n', stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
	return r;
}

int password_read(const char *prompt, struct buf *out)
{
	struct termios before;

	return tcgetattr(STDIN_FILENO, &before) == 0 ? read_keys(&before, prompt, out) : read_line(false, out);
}
