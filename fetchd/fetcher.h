/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all transfers of a process share.
 */
#ifndef SLUICE_FETCHD_FETCHER_H
#define SLUICE_FETCHD_FETCHER_H

#include "fetchd/auth/pass.h"
#include "fetchd/config/settings.h"
#include "fetchd/config/terms.h"
#include "fetchd/host.h"
#include "fetchd/http/http.h"
#include "fetchd/sink.h"
#include "fetchd/window.h"

struct fetcher {
	struct loop *loop;
	const struct settings *settings; /* may change between two requests */
	struct http *http;
	struct keeper *keeper; /* borrowed; set by the opener before */
	struct hosts *hosts;
	struct passes *passes;
	struct sink *sink; /* where all output goes; made by the caller of fetcher_open(), closed with the fetcher */
	struct terms_table terms;
	struct window_room room; /* for bytes that arrive ahead of their turn */
	struct bucket bucket;    /* of all bytes */
};

/* `f` is all zero but for the keeper; loop and settings are borrowed. 0 or -ENOMEM. */
int fetcher_open(struct fetcher *f, struct loop *loop, const struct settings *settings);

/* Forget everything that was learned or made under the settings so far. 0, or -ENOMEM: connections may be kept. */
int fetcher_forget(struct fetcher *f);

/* Forget terms that nobody has used for a while, and all that was made under them. Cheap: call it now and then. */
void fetcher_tidy(struct fetcher *f);

/* All transfers must be gone. May be called for one that is all zero or half-made. */
void fetcher_close(struct fetcher *f);

#endif
