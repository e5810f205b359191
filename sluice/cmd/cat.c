/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cat: the bytes of a stored blob, or of the file that a name stands for. It reads the store and needs no stage.
 */

/* System */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/hasher.h"

/* Store */
#include "common/store/walk.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"

#define CAT_BLOCK_BYTES (256u << 10)

struct cat {
	struct layout *layout;
	struct names *names;       /* NULL: they cannot be read */
	struct descriptor content; /* its size is SIZE_UNKNOWN if nothing describes it */
};

/* "'PATH' is damaged: ", for what people must look at or replace. */
static void say_damaged(const struct cat *c, struct reason *why)
{
	reason_set(why, "'%s' is damaged: ", layout_blob_path(c->layout, &c->content.digest).text);
}

static int damaged(const struct cat *c, const char *how, struct reason *why)
{
	say_damaged(c, why);
	reason_set(why, "%s%s", why->text, how);
	return EX_DATAERR;
}

/* The file of an artifact that has one. 0, or an exit code with a reason. */
static int take_only_file(struct cat *c, struct reason *why)
{
	struct manifest m;
	int r = walk_load(c->layout, &c->content, 0, &m, why);

	if (r < 0)
		return find_exit_code(r);
	enum image_kind kind = image_kind_of(&m);
	bool is_one = (kind == IMAGE_ARTIFACT || kind == IMAGE_FILE) && m.entries_len == 2;
	if (is_one)
		c->content = m.entries[1];
	else if (kind == IMAGE_ARTIFACT || kind == IMAGE_FILE)
		reason_set(why, "it is an artifact of %zu files; 'sluice inspect --layers' lists them",
			   m.entries_len - 1);
	else
		reason_set(why, "it is an %s and no file; 'sluice inspect' shows it, with --raw its manifest",
			   image_kind_name(kind));
	manifest_release(&m);
	return is_one ? 0 : EX_USAGE;
}

/* What is to be written: 0, or an exit code with a reason. */
static int resolve(struct cat *c, const char *text, struct reason *why)
{
	struct found f;
	struct reason no_names;

	if (names_load(c->layout, &c->names, &no_names) < 0)
		c->names = NULL;
	int r = find(c->layout, c->names, text, FIND_CONTENT, &f, why);
	if (r < 0) {
		if (!c->names && r == -ENOENT)
			reason_set(why, "%s", no_names.text);
		return find_exit_code(r);
	}
	c->content = f.descriptor;
	if (f.by_name)
		return take_only_file(c, why);
	if (c->content.size == SIZE_UNKNOWN && c->names)
		c->content.size = image_described_size(c->layout, c->names, &c->content.digest);
	return 0;
}

static int open_content(struct cat *c, int *ret_fd, struct reason *why)
{
	struct stat st;
	int r = layout_blob_open(c->layout, &c->content.digest, ret_fd, &st);

	if (r == -ENOENT) {
		reason_set(why, "it is not stored");
		return EX_NOINPUT;
	}
	if (r == -EINVAL || r == -ELOOP)
		return damaged(c, "it is not a regular file", why);
	if (r < 0) {
		reason_set(why, "%s", strerror(-r));
		return exit_code_of(r);
	}
	if (c->content.size == SIZE_UNKNOWN || c->content.size == (uint64_t)st.st_size)
		return 0;
	say_damaged(c, why);
	reason_set(why, "%sit has %jd bytes instead of %" PRIu64, why->text, (intmax_t)st.st_size, c->content.size);
	return EX_DATAERR;
}

/* Write it out, and hash what was written: the reader has the bytes by then, but learns that they are wrong. */
static int copy_out(const struct cat *c, int fd, struct reason *why)
{
	AUTO_FREE char *block = malloc(CAT_BLOCK_BYTES);
	struct hasher *h = NULL;
	struct digest actual;
	size_t len = 0;
	int r = block ? hasher_new(c->content.digest.alg, &h) : -ENOMEM;

	do {
		if (r == 0)
			r = file_read_full(fd, block, CAT_BLOCK_BYTES, &len);
		if (r == 0)
			hasher_update(h, block, len);
		if (r == 0)
			r = file_write_all(STDOUT_FILENO, block, len, NULL);
	} while (r == 0 && len == CAT_BLOCK_BYTES);
	if (r == 0)
		digest_of_hasher(h, c->content.digest.alg, &actual);
	hasher_free(h);
	if (r < 0) {
		reason_set(why, "%s", strerror(-r));
		return exit_code_of(r);
	}
	return digest_eq(&actual, &c->content.digest) ? 0 : damaged(c, "its bytes do not hash to its name", why);
}

static int run_cat(const struct call *call)
{
	const char *text = call->argv[0];
	struct cat c = {.layout = NULL};
	struct reason why = {""};
	AUTO_FD fd = -1;
	int r = layout_open(command_context(call)->places.store, LAYOUT_READER, &c.layout, &why);
	int code = r < 0 ? exit_code_of(r) : resolve(&c, text, &why);

	if (code == 0)
		code = open_content(&c, &fd, &why);
	if (code == 0) {
		/* As with cat(1): end silently when the reader stops. */
		(void)signal(SIGPIPE, SIG_DFL);
		code = copy_out(&c, fd, &why);
	}
	if (code != 0)
		report_error("show", text, code, NULL, &why);
	names_free(c.names);
	layout_free(c.layout);
	return code;
}

const struct verb command_cat = {
    .name = "cat",
    .usage = "NAME|DIGEST",
    .summary = "write a stored file or blob to standard output",
    .help = "Of a NAME, the content of its only file. Of a DIGEST, or at least 6 digits of\n"
	    "one, that blob. What turns out to be damaged is told, with its path, and exit\n"
	    "code 65.\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_cat,
};
