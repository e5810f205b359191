/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/blobs.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/inventory.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/graph.h"
#include "sluice/cmd/report.h"
#include "sluice/show/table.h"
#include "sluice/show/text.h"

#define NEEDERS_SHOWN 3
#define NEEDERS_LEAST 20
#define NOBODY        "-"

enum { DIGEST, SIZE, NEEDED_BY, COLUMNS };

/* Who needs a node of the graph: entries of index.json. */
struct needers {
	uint32_t entries[NEEDERS_SHOWN];
	uint32_t len; /* of all */
};

struct blobs {
	struct layout *layout;
	struct names *names;
	struct graph *graph;
	struct needers *needers; /* owned; by the node's number */
	uint32_t entry;          /* whose content is visited */
	struct inventory stored;
};

static void note_needer(void *self, const struct graph_node *node)
{
	struct blobs *b = self;
	struct needers *n = &b->needers[node->number];

	if (n->len < NEEDERS_SHOWN)
		n->entries[n->len] = b->entry;
	n->len++;
}

static int gather(struct blobs *b)
{
	struct descriptor d;
	const char *name;
	size_t len = names_len(b->names);
	int r = inventory_take(b->layout, &b->stored, NULL);

	if (r == 0)
		r = graph_new(b->layout, &b->graph);
	for (size_t i = 0; r == 0 && i < len; i++)
		if (names_at(b->names, i, &name, &d) == 0)
			r = graph_add(b->graph, &d);
	b->needers = r == 0 ? calloc(graph_len(b->graph) + 1, sizeof(*b->needers)) : NULL;
	if (!b->needers)
		return r < 0 ? r : -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		b->entry = (uint32_t)i;
		if (names_at(b->names, i, &name, &d) == 0)
			graph_each(b->graph, &d, note_needer, b);
	}
	return 0;
}

/* NULL: nobody needs it. */
static const struct needers *needers_of(const struct blobs *b, const struct stored *row)
{
	const struct graph_node *node = graph_find(b->graph, &row->digest);

	return node && b->needers[node->number].len > 0 ? &b->needers[node->number] : NULL;
}

/* Its name; of an entry of another tool that has none, the digest. */
static const char *needer_name(const struct blobs *b, uint32_t entry, char ret_digest[static DIGEST_TEXT_SIZE])
{
	struct descriptor d;
	const char *name = NULL;

	if (names_at(b->names, entry, &name, &d) < 0 || name)
		return name ? name : NOBODY;
	digest_format(&d.digest, ret_digest);
	return ret_digest;
}

static int print_json(const struct blobs *b)
{
	char digest[DIGEST_TEXT_SIZE];
	AUTO_JSON array = json_array_make();
	int r = array ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < b->stored.len; i++) {
		const struct needers *n = needers_of(b, &b->stored.list[i]);
		struct json_t *object = json_object_make(), *needed_by = json_array_make();
		digest_format(&b->stored.list[i].digest, digest);
		(void)json_set_text(object, "digest", digest);
		(void)json_set_u64(object, "size", b->stored.list[i].size);
		for (uint32_t k = 0; n && k < n->len && k < NEEDERS_SHOWN; k++)
			(void)json_append_text(needed_by, needer_name(b, n->entries[k], digest));
		(void)json_set(object, "needed_by", needed_by);
		(void)json_set_u64(object, "needed_by_count", n ? n->len : 0);
		r = json_append(array, object);
	}
	if (r == 0)
		report_json(array);
	return r;
}

static int format_needers(const struct blobs *b, const struct stored *row, struct buf *out)
{
	const struct needers *n = needers_of(b, row);
	char digest[DIGEST_TEXT_SIZE];
	int r = buf_append_str(out, n ? "" : NOBODY);

	for (uint32_t k = 0; r == 0 && n && k < n->len && k < NEEDERS_SHOWN; k++)
		r = buf_appendf(out, "%s%s", k > 0 ? ", " : "", needer_name(b, n->entries[k], digest));
	if (r == 0 && n && n->len > NEEDERS_SHOWN)
		r = buf_appendf(out, ", +%" PRIu32 " more", n->len - NEEDERS_SHOWN);
	return r;
}

static int add_to_table(const struct blobs *b, const struct stored *row, bool on_terminal, struct table *t)
{
	char digest[DIGEST_TEXT_SIZE], label[TEXT_LABEL_ROOM], human[TEXT_SIZE_ROOM], bytes[24];
	AUTO_BUF needers = BUF_INIT;
	int r = format_needers(b, row, &needers);

	digest_format(&row->digest, digest);
	text_label(digest, label);
	text_size(row->size, human);
	(void)snprintf(bytes, sizeof(bytes), "%" PRIu64, row->size);
	const char *const cells[COLUMNS] = {
	    [DIGEST] = on_terminal ? label : digest, [SIZE] = on_terminal ? human : bytes, [NEEDED_BY] = needers.data};
	return r < 0 ? r : table_add(t, cells);
}

/* Heads are for people: scripts have always read this list without. */
static int print_table(const struct blobs *b)
{
	static const char *const heads[COLUMNS] = {"DIGEST", "SIZE", "NEEDED BY"};
	static const struct table_fitting how = {.column = NEEDED_BY, .least = NEEDERS_LEAST};
	bool on_terminal = isatty(STDOUT_FILENO);
	AUTO_TABLE t = NULL;
	int r = table_new(COLUMNS, &t);

	if (r == 0 && on_terminal)
		r = table_add(t, heads);
	for (size_t i = 0; r == 0 && i < b->stored.len; i++)
		r = add_to_table(b, &b->stored.list[i], on_terminal, t);
	return r < 0 ? r : table_show(t, &how);
}

static int print(const struct blobs *b, const struct context *ctx)
{
	char digest[DIGEST_TEXT_SIZE];

	if (ctx->json)
		return print_json(b);
	if (!ctx->quiet)
		return print_table(b);
	for (size_t i = 0; i < b->stored.len; i++) {
		digest_format(&b->stored.list[i].digest, digest);
		(void)printf("%s\n", digest);
	}
	return 0;
}

int blobs_list(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct blobs b = {.stored = INVENTORY_INIT};

	if (call->argc > 0) {
		log_error("'ls --blobs' takes no NAME; which content a name needs, 'sluice inspect --layers' shows");
		return EX_USAGE;
	}
	int code = find_open(ctx->places.store, &b.layout, &b.names);
	if (code != 0)
		return code;
	int r = gather(&b);
	if (r == 0)
		r = print(&b, ctx);
	if (r < 0)
		log_errno(r, "cannot list the content of '%s'", ctx->places.store);
	graph_free(b.graph);
	free(b.needers);
	inventory_release(&b.stored);
	names_free(b.names);
	layout_free(b.layout);
	return report_stdout(r < 0 ? exit_code_of(r) : 0);
}
