/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failpoints: a name for each call that changes durable state, or sends or receives a message. A debug build (make
 * FAILPOINTS=1 BUILD=...) can be killed or made to fail at any of them; tests/lib/failpoint.c says how. In every other
 * build FAILPOINT() is the call and nothing else.
 */
#ifndef SLUICE_BASE_FAILPOINT_H
#define SLUICE_BASE_FAILPOINT_H

#ifdef SLUICE_FAILPOINTS

enum failpoint_kind {
	FAILPOINT_WRITE,
	FAILPOINT_SYNC,
	FAILPOINT_NAME,    /* creates, renames, truncates or removes files */
	FAILPOINT_SEND,    /* of a message */
	FAILPOINT_RECEIVE, /* likewise; reached only when one has arrived */
};

struct failpoint {
	const char *name;
	enum failpoint_kind kind;
	const char *(*variant)(unsigned); /* NULL, or the names of what is sent or received, from 1 to `variants` */
	unsigned variants;
};

/* Wraps a call. `which`: the number of the variant, if the point has variants. */
void failpoint_enter(const struct failpoint *point, unsigned which);
void failpoint_leave(void);

/* All points are in one linker section, so that they can be listed. */
#define FAILPOINT_AT(point_kind, point_name, variant_names, variants_len, which, call)                                 \
	__extension__({                                                                                                \
		static const struct failpoint failpoint_here = {point_name, point_kind, variant_names, variants_len};  \
		static const struct failpoint *const failpoint_row __attribute__((section("failpoints"), used)) =      \
		    &failpoint_here;                                                                                   \
		failpoint_enter(&failpoint_here, which);                                                               \
		__typeof__(call) failpoint_result = (call);                                                            \
		failpoint_leave();                                                                                     \
		failpoint_result;                                                                                      \
	})
#define FAILPOINT(kind, name, call) FAILPOINT_AT(FAILPOINT_##kind, name, NULL, 0, 0, call)
#define FAILPOINT_MESSAGE(kind, name, type, call)                                                                      \
	FAILPOINT_AT(FAILPOINT_##kind, name, message_name, MESSAGE_TYPE_MAX, type, call)

#else

#define FAILPOINT(kind, name, call)               (call)
#define FAILPOINT_MESSAGE(kind, name, type, call) (call)

#endif

#endif
