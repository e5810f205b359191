/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/judge.h"

/* System */
#include <inttypes.h>
#include <stdio.h>

/* Own */
#include "fetchd/http/syntax.h"

static const struct {
	unsigned status;
	const char *text;
} status_texts[] = {
    {400, "400 Bad Request"},
    {401, "401 Unauthorized"},
    {403, "403 Forbidden"},
    {404, "404 Not Found"},
    {405, "405 Method Not Allowed"},
    {407, "407 Proxy Authentication Required: set a valid user and password in http_proxy"},
    {408, "408 Request Timeout"},
    {410, "410 Gone"},
    {416, "416 Range Not Satisfiable"},
    {429, "429 Too Many Requests"},
    {500, "500 Internal Server Error"},
    {502, "502 Bad Gateway"},
    {503, "503 Service Unavailable"},
    {504, "504 Gateway Timeout"},
};

static enum verdict say_status(struct judgement *j, enum verdict verdict, enum fail_class fail, unsigned status)
{
	j->fail = fail;
	reason_set(&j->why, "the server answered with status %u", status);
	for (size_t i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
		if (status_texts[i].status == status)
			reason_set(&j->why, "%s", status_texts[i].text);
	return verdict;
}

__attribute__((format(printf, 3, 4))) static enum verdict refuse(struct judgement *j, enum fail_class fail,
								 const char *format, ...)
{
	char text[REASON_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason_set(&j->why, "%s", text);
	j->fail = fail;
	return VERDICT_REFUSE;
}

/* The answer is not one to the request. That says nothing about the content, so the next answer may be right. */
static enum verdict refuse_wrong(struct judgement *j, const char *text)
{
	j->wrong = true;
	return refuse(j, FAIL_BAD_DATA, "%s", text);
}

/*
 * The class if the server's content differs from ours. If a digest decides in the end, the server is wrong; otherwise
 * the content is new and has to be fetched from its start.
 */
static enum fail_class differing(const struct want *w)
{
	return w->offset > 0 && w->expected[0] == '\0' ? FAIL_CHANGED : FAIL_BAD_DATA;
}

/* An answer of portals, proxies and mirrors that require a login, never of a registry. */
static bool is_page(const char *media_type)
{
	struct span type = span_str(media_type);
	return syntax_is_word(type, "text/html") || syntax_is_word(type, "application/xhtml+xml");
}

/* The field has the digest of all content; only one of the same algorithm can be compared. */
static bool digest_contradicts(const struct response *r, const struct want *w)
{
	size_t algorithm_len = strcspn(w->expected, ":");
	return w->expected[0] != '\0' && strncmp(r->digest, w->expected, algorithm_len + 1) == 0 &&
	       strcmp(r->digest, w->expected) != 0;
}

/*
 * Some servers declare the compression of a stored file as a content encoding. Its bytes are accepted as they are if
 * its name says the same, or if servers use that encoding only for stored files and a digest decides.
 */
static bool is_stored_so(const struct response *r, const struct want *w)
{
	return !w->parsed && !r->transfer_coded && (w->compressed || (r->stored_coded && w->checked));
}

/*
 * The conditions for taking any body: VERDICT_TAKE, or why not. `size` is that of all the content as the server says
 * it, or SIZE_UNKNOWN.
 */
static enum verdict judge_body(const struct response *r, const struct want *w, uint64_t size, struct judgement *j)
{
	if (r->coded && !is_stored_so(r, w))
		return refuse_wrong(j, "the server encoded the content without being asked to");
	if (r->chunked && r->has_length)
		return refuse_wrong(j, "the answer has both a Content-Length and a chunked body");
	if (w->parsed && is_page(r->media_type))
		return refuse(j, FAIL_BAD_DATA, "the answer is a page (%s), not a manifest", r->media_type);
	if (digest_contradicts(r, w))
		return refuse(j, FAIL_BAD_DATA, "the server announces digest %s, expected %s", r->digest, w->expected);
	if (w->size != SIZE_UNKNOWN && size != SIZE_UNKNOWN && size != w->size)
		return refuse(j, differing(w), "the content is %" PRIu64 " bytes long, expected %" PRIu64, size,
			      w->size);
	j->size = size != SIZE_UNKNOWN ? size : w->size;
	if (j->size != SIZE_UNKNOWN && j->size > w->size_max)
		return refuse(j, FAIL_BAD_DATA, "the content is %" PRIu64 " bytes long, the limit is %" PRIu64, j->size,
			      w->size_max);
	return VERDICT_TAKE;
}

/* Compare the validators: 1 equal, -1 different, 0 unknown. */
static int compare_validator(const struct response *r, const struct want *w)
{
	if (w->validator[0] == '\0')
		return 0;
	const char *theirs = w->validator[0] == '"' ? r->etag : r->last_modified;
	if (theirs[0] == '\0')
		return 0;
	return strcmp(theirs, w->validator) == 0 ? 1 : -1;
}

static const char changed_text[] = "the content has changed since the transfer began";

/* If a digest decides in the end, another validator (of another mirror, say) proves nothing. */
static bool has_changed(const struct response *r, const struct want *w)
{
	return w->offset > 0 && w->expected[0] == '\0' && compare_validator(r, w) < 0;
}

/* A body without a length may be truncated anywhere. */
static bool has_no_end(const struct response *r, const struct want *w)
{
	return !r->has_length && !r->chunked && w->size == SIZE_UNKNOWN && !w->checked && !w->parsed &&
	       r->digest[0] == '\0';
}

static enum verdict judge_whole(const struct response *r, const struct want *w, struct judgement *j)
{
	enum verdict v = judge_body(r, w, r->has_length ? r->length : SIZE_UNKNOWN, j);
	if (v != VERDICT_TAKE)
		return v;
	if (has_changed(r, w))
		return refuse(j, FAIL_CHANGED, "%s", changed_text);
	if (has_no_end(r, w))
		return refuse(j, FAIL_BAD_DATA,
			      "the server does not announce the size, so only a digest can tell whether all of it "
			      "arrived; specify the digest");
	if (w->offset > 0 && !w->checked && compare_validator(r, w) == 0)
		return refuse(j, FAIL_CHANGED,
			      "the server cannot resume at an offset, and without a digest or a validator "
			      "the content may have changed");
	if (j->size != SIZE_UNKNOWN && w->offset > j->size)
		return refuse(j, FAIL_CHANGED, "the content is shorter than what has arrived");
	j->skip = w->offset;
	j->end = j->size;
	return VERDICT_TAKE;
}

static enum verdict judge_part(const struct response *r, const struct want *w, struct judgement *j)
{
	if (w->offset == 0 || w->whole)
		return refuse_wrong(j, "the server sent a part although everything was requested");
	if (r->multipart)
		return refuse(j, FAIL_BAD_DATA, "the server sent several parts although one was requested");
	if (!r->has_range)
		return refuse(j, FAIL_BAD_DATA, "the server sent a part without saying which");
	if (r->first != w->offset)
		return refuse(j, FAIL_BAD_DATA,
			      "the server sent the part at %" PRIu64 " instead of the one at %" PRIu64, r->first,
			      w->offset);
	enum verdict v = judge_body(r, w, r->total, j);
	if (v != VERDICT_TAKE)
		return v;
	if (j->size == SIZE_UNKNOWN)
		return refuse(j, FAIL_BAD_DATA, "the server does not announce the size");
	if (r->last >= j->size || (r->has_length && r->length != r->last - r->first + 1))
		return refuse(j, FAIL_BAD_DATA, "the server sent a part that is longer or shorter than announced");
	if (has_changed(r, w))
		return refuse(j, FAIL_CHANGED, "%s", changed_text);
	if (!w->checked && w->validator[0] == '"' && r->etag[0] == '\0')
		return refuse(j, FAIL_CHANGED, "the server sent a part without the requested ETag");
	j->end = r->last + 1;
	return VERDICT_TAKE;
}

/* Some servers refuse any range, or this one; the whole content has the same bytes. */
static enum verdict refuse_range(struct judgement *j, const char *text)
{
	(void)refuse(j, FAIL_BAD_DATA, "%s to a range within the content", text);
	return VERDICT_WHOLE;
}

/*
 * 416 is never taken for "complete" if the size is known: then the requested part is within the content. Unless the
 * server reports another size, it has that part and only refuses to serve it this way.
 */
static enum verdict judge_unsatisfied(const struct response *r, const struct want *w, struct judgement *j)
{
	static const char text[] = "416 Range Not Satisfiable";
	if (w->offset == 0 || w->whole)
		return refuse(j, FAIL_BAD_DATA, "%s, although no range was requested", text);
	if (!r->unsatisfied || r->total == w->size)
		return refuse_range(j, text);
	if (w->size != SIZE_UNKNOWN)
		return refuse(j, differing(w), "%s: the content is %" PRIu64 " bytes long, expected %" PRIu64, text,
			      r->total, w->size);
	if (r->total < w->offset || (r->total == w->offset && !w->checked))
		return refuse(j, FAIL_CHANGED, "%s: the content is not longer than what has arrived", text);
	j->size = j->end = r->total;
	return r->total == w->offset ? VERDICT_COMPLETE : VERDICT_NARROW;
}

/* Storage services also send this for an expired signed URL. */
static bool may_be_over(const struct response *r, const struct want *w)
{
	return w->elsewhere && (r->status == 400 || r->status == 410);
}

static enum verdict judge_other(const struct response *r, const struct want *w, struct judgement *j)
{
	if (may_be_over(r, w))
		return say_status(j, VERDICT_REFUSE, FAIL_DENIED, r->status);
	switch (r->status) {
	case 400:
		if (w->offset > 0 && !w->whole)
			return refuse_range(j, "400 Bad Request");
		return say_status(j, VERDICT_REFUSE, FAIL_BAD_DATA, r->status);
	case 401:
		return say_status(j, VERDICT_LOGIN, FAIL_DENIED, r->status);
	case 403:
	case 407:
		return say_status(j, VERDICT_REFUSE, FAIL_DENIED, r->status);
	case 404:
	case 410:
		return say_status(j, VERDICT_REFUSE, FAIL_NOT_FOUND, r->status);
	case 408:
	case 425:
	case 429:
		return say_status(j, VERDICT_RETRY, FAIL_AGAIN, r->status);
	case 501:
	case 505:
		return say_status(j, VERDICT_REFUSE, FAIL_BAD_DATA, r->status);
	default:
		return r->status >= 500 ? say_status(j, VERDICT_RETRY, FAIL_AGAIN, r->status)
					: say_status(j, VERDICT_REFUSE, FAIL_BAD_DATA, r->status);
	}
}

static enum verdict judge(const struct response *r, const struct want *w, struct judgement *j)
{
	if (r->broken)
		return refuse(j, FAIL_BAD_DATA, "%s", r->why.text);
	switch (r->status) {
	case 200:
	case 203: /* from a proxy that changes headers; the bytes are checked as always (RFC 9110, 15.3.4) */
		return judge_whole(r, w, j);
	case 206:
		return judge_part(r, w, j);
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		if (r->location[0] == '\0')
			return refuse(j, FAIL_BAD_DATA, "the redirect has no Location");
		return VERDICT_REDIRECT;
	case 416:
		return judge_unsatisfied(r, w, j);
	default:
		return judge_other(r, w, j);
	}
}

/* Whoever sent the bytes before these has the content, so whatever is wrong with an answer to a range is the answer. */
static bool is_wrong_range(const struct response *r, const struct want *w, const struct judgement *j)
{
	bool is_content = r->status == 200 || r->status == 203 || r->status == 206 || r->status == 416;
	return w->offset > 0 && !w->whole && j->verdict == VERDICT_REFUSE && j->fail == FAIL_BAD_DATA && is_content;
}

void response_judge(const struct response *r, const struct want *w, struct judgement *ret_judgement)
{
	memset(ret_judgement, 0, sizeof(*ret_judgement));
	ret_judgement->size = ret_judgement->end = SIZE_UNKNOWN;
	ret_judgement->verdict = judge(r, w, ret_judgement);
	ret_judgement->wrong = ret_judgement->wrong || is_wrong_range(r, w, ret_judgement);
}

/* Some servers do not support HEAD, or answer it wrongly: whatever is unclear is left to a GET. */
void response_judge_head(const struct response *r, struct judgement *ret_judgement)
{
	static const struct want nothing = {.size = SIZE_UNKNOWN, .size_max = INT64_MAX};
	response_judge(r, &nothing, ret_judgement);
	bool is_odd = ret_judgement->verdict == VERDICT_REFUSE && ret_judgement->fail == FAIL_BAD_DATA;
	if (ret_judgement->verdict == VERDICT_TAKE && r->digest[0] != '\0')
		ret_judgement->verdict = VERDICT_RESOLVED;
	else if (ret_judgement->verdict == VERDICT_TAKE || is_odd)
		ret_judgement->verdict = VERDICT_GET;
}
