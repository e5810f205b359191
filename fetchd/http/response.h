/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of an HTTP response, collected line by line, and the count of its trailers. Pure: no network, no clock.
 * Formats: RFC 9110 (8.6 Content-Length, 8.8 validators, 10.2.3 Retry-After, 11.6.1 WWW-Authenticate, 14.4
 * Content-Range), RFC 9112 (4 status line, 6 body length); Docker-Content-Digest: OCI distribution spec.
 */
#ifndef SLUICE_FETCHD_HTTP_RESPONSE_H
#define SLUICE_FETCHD_HTTP_RESPONSE_H

#include "common/base/reason.h"
#include "common/oci/transfer.h"
#include "fetchd/http/challenge.h"

#define RESPONSE_HEAD_MAX    (64u << 10) /* bytes of lines in total, including interim responses and trailers */
#define RESPONSE_LINES_MAX   200
#define RETRY_AFTER_CLAMP_MS (UINT64_C(365) * 24 * 3600 * 1000) /* a longer wait counts as this */
#define LOCATION_MAX         8192                               /* bytes; signed URLs run to two thousand */

struct response {
	uint64_t now_s; /* wall clock, for dates in Retry-After */
	size_t bytes;   /* counted against the limits */
	unsigned lines;

	/* Everything from here on belongs to one status line and is reset by the next. */
	unsigned status; /* 0: no status line yet */
	bool whole;      /* the empty line after the fields has arrived */
	bool broken;     /* an invalid field: `why` */
	struct reason why;
	bool has_length;
	uint64_t length; /* Content-Length */
	bool chunked;
	bool transfer_coded; /* a Transfer-Encoding other than chunked */
	bool stored_coded;   /* a Content-Encoding that servers use only for stored files: x-gzip */
	bool coded;          /* a Content-Encoding, or a Transfer-Encoding other than chunked: offsets would be wrong */
	bool multipart;      /* multipart/byteranges */
	bool has_range;      /* Content-Range: first to last of total */
	bool unsatisfied;    /* Content-Range: * of total */
	uint64_t first, last;
	uint64_t total;                        /* SIZE_UNKNOWN: "*", or no Content-Range */
	char etag[VALIDATOR_MAX + 1];          /* empty unless strong */
	char last_modified[VALIDATOR_MAX + 1]; /* empty unless it is a date that can distinguish versions */
	uint64_t last_modified_s;              /* the same as a wall-clock time */
	bool has_date;
	uint64_t date_s;                     /* Date, wall clock */
	char digest[DIGEST_TEXT_SIZE];       /* Docker-Content-Digest, empty unless well-formed */
	char media_type[MEDIA_TYPE_MAX + 1]; /* Content-Type without parameters, empty unless well-formed */
	char location[LOCATION_MAX + 1];
	uint64_t retry_after_ms;    /* 0: no wait is requested; at most RETRY_AFTER_CLAMP_MS */
	struct challenge challenge; /* of all WWW-Authenticate fields */
};

enum response_progress {
	RESPONSE_MORE,    /* feed the next line; after a complete header: it was a trailer */
	RESPONSE_WHOLE,   /* the header is complete and final; a body may follow */
	RESPONSE_REFUSED, /* over a limit, or malformed: `why` */
};

void response_init(struct response *r, uint64_t now_wall_s);

/*
 * Feed one line with its line end. Interim (1xx) responses are skipped, and so are trailers, which follow a complete
 * header: their content is ignored, but they count against the limits.
 */
enum response_progress response_line(struct response *r, struct span line);

/* What identifies the content for If-Range: a strong ETag, else a Last-Modified that is strong, else "". Borrowed. */
const char *response_validator(const struct response *r);

#endif
