/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What needs what: the content below the names of a store, as a graph. Its nodes are digests, stored or not; its edges are
 * the entries of manifests and indexes. Each document is read once, however many names lead to it, so that the cost is that
 * of the distinct content: about 250 bytes of memory for each digest.
 */
#ifndef SLUICE_SLUICE_CMD_GRAPH_H
#define SLUICE_SLUICE_CMD_GRAPH_H

/* Sluice */
#include "sluice/cmd/image.h"

struct graph_edge;

struct graph_node {
	struct digest digest;
	uint64_t size;        /* of what is stored; SIZE_UNKNOWN: nothing is, or something else has its name */
	size_t number;        /* from 0, in the order of discovery */
	enum image_kind kind; /* of a document that was read; else IMAGE_UNKNOWN */

	/* For graph.c. */
	bool is_read;             /* a document, and its entries are known */
	struct graph_edge *edges; /* owned */
	size_t edges_len;
	size_t seen;             /* the last round that met it */
	struct graph_node *next; /* to be looked at in this round */
};

struct graph;

/* 0 or -ENOMEM. Borrows the layout. */
int graph_new(struct layout *l, struct graph **ret_graph);
void graph_free(struct graph *g);

/* Add a root and all content below it, as far as it can be read. 0 or -ENOMEM. Blocks on disk. */
int graph_add(struct graph *g, const struct descriptor *root);

/* Number of nodes. */
size_t graph_len(const struct graph *g);

/* NULL: no root leads to this digest. */
const struct graph_node *graph_find(const struct graph *g, const struct digest *d);

/* Visit all content of an added root, itself included, each node once. */
typedef void graph_visit(void *self, const struct graph_node *node);
void graph_each(struct graph *g, const struct descriptor *root, graph_visit *visit, void *self);

/* Visit the documents that have this digest among their entries, in the order of their digests. */
void graph_each_parent(const struct graph *g, const struct graph_node *node, graph_visit *visit, void *self);

struct graph_sum {
	uint64_t bytes; /* stored, each blob once */
	bool
	    incomplete; /* something is not stored, has another size than described, or is a document that cannot be read */
};

/*
 * Sum up an added root. `left_out`: the digests, separated by commas, that may be missing; or "".
 */
void graph_sum(struct graph *g, const struct descriptor *root, const char *left_out, struct graph_sum *ret_sum);

#endif
