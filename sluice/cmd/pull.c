/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"

/* OCI */
#include "common/oci/inlined.h"
#include "common/oci/json.h"
#include "common/oci/source.h"

/* Store */
#include "common/store/lease.h"
#include "common/store/walk.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/pull.h"
#include "sluice/cmd/report.h"
#include "sluice/run/job.h"
#include "sluice/run/wait.h"

#define PLATFORMS_SHOWN 16
#define HEALS_MAX       3 /* how often content that vanishes before it has a name is fetched again */
#define FORMER_ALL      "all"

enum role {
	ROLE_CONTENT,
	ROLE_MANIFEST, /* parsed when it is stored; its entries are wanted too */
};

struct pull {
	struct job job;
	struct wait *wait;
	struct hold *hold; /* from the first request until it has its name */
	struct buf policy; /* of the registry; wiped */
	struct reference reference;
	char name[REFERENCE_TEXT_SIZE];
	bool all; /* all platforms */
	bool platform_given;
	struct platform want; /* else this one */
	bool chosen;
	struct descriptor image;         /* the content that will get the name, once it is chosen */
	char former[PLATFORM_TEXT_SIZE]; /* the platform that the name stood for until now, if it was another; or "" */
	char platforms[PLATFORMS_SHOWN][PLATFORM_TEXT_SIZE]; /* the available platforms, if none matches; each once */
	unsigned platforms_len;
	bool more_platforms;
};

static const struct opt options[] = {
    {.name = "platform",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, pull_platform),
     .min = 1,
     .max = PLATFORM_TEXT_SIZE - 1,
     .arg = "P",
     .help = "OS[(VERSION)]/ARCH[/VARIANT], else this machine's"},
    {.name = "arch",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, pull_arch),
     .min = 1,
     .max = PLATFORM_PART_MAX,
     .arg = "ARCH",
     .help = "the architecture alone"},
    {.name = "os",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, pull_os),
     .min = 1,
     .max = PLATFORM_PART_MAX,
     .arg = "OS",
     .help = "the operating system alone"},
    {.name = "variant",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, pull_variant),
     .min = 1,
     .max = PLATFORM_PART_MAX,
     .arg = "VARIANT",
     .help = "the variant of the architecture alone"},
    {.name = "all-platforms",
     .letter = 'a',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, pull_all),
     .def = "no",
     .help = "pull all platforms and name the index"},
    SOURCE_OPTIONS,
    {.name = NULL},
};

/* The registry, unless the manifest has the content in itself. 0 or -ENOMEM. */
static int source_of_entry(const struct pull *p, const struct manifest *m, size_t number, enum source_kind kind,
			   struct buf *out)
{
	const struct descriptor *entry = &m->entries[number];
	const char *inlined = m->inlined ? m->inlined[number] : NULL;
	int r = inlined ? inlined_source(entry, inlined, out) : 0;

	if (r != 0)
		return r < 0 ? r : 0;
	return source_format(kind, &p->reference, &entry->digest, out);
}

/*
 * Want a blob or a manifest that an entry of `m` describes. 0, or -errno with a reason: what describes it is at fault.
 */
static int want_entry(struct pull *p, const struct manifest *m, size_t at, enum role role, enum source_kind kind,
		      unsigned depth, struct reason *why)
{
	AUTO_BUF source = BUF_INIT;
	const struct descriptor *entry = &m->entries[at];
	char ref[DIGEST_TEXT_SIZE];
	size_t number;

	if (source_of_entry(p, m, at, kind, &source) < 0)
		return -ENOMEM;
	digest_format(&entry->digest, ref);
	const struct blob like = {
	    .ref = ref,
	    .source = source.data,
	    .content = *entry,
	    .digest = BLOB_DIGEST_GIVEN,
	    .role = role,
	    .depth = depth,
	};
	int r = wait_add(p->wait, &like, &number);
	if (r == -E2BIG)
		reason_set(why, "the image has more than %u blobs", WAIT_BLOBS_MAX);
	if (r != 1)
		return r;
	const struct blob *first = wait_at(p->wait, number);
	if (first->role == role && (first->content.size == entry->size || first->content.size == SIZE_UNKNOWN))
		return 0;
	reason_set(why, "'%s' is described in two ways", ref);
	return -EINVAL;
}

static int want_content(struct pull *p, const struct manifest *m, struct reason *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->entries_len; i++)
		r = want_entry(p, m, i, ROLE_CONTENT, SOURCE_BLOB, 0, why);
	return r;
}

/* Want an entry of an index. One that is neither manifest nor index is stored as it is. */
static int want_manifest(struct pull *p, const struct manifest *index, const struct descriptor *entry, unsigned depth,
			 struct reason *why)
{
	enum role role = walk_is_document(index, entry) ? ROLE_MANIFEST : ROLE_CONTENT;

	return want_entry(p, index, (size_t)(entry - index->entries), role, SOURCE_MANIFEST, depth, why);
}

static void note_platform(struct pull *p, const struct descriptor *entry)
{
	char text[PLATFORM_TEXT_SIZE];

	if (!entry->has_platform || platform_is_of_no_machine(&entry->platform))
		return;
	platform_format(&entry->platform, text);
	for (unsigned i = 0; i < p->platforms_len; i++)
		if (strcmp(p->platforms[i], text) == 0)
			return;
	if (p->platforms_len < PLATFORMS_SHOWN)
		memcpy(p->platforms[p->platforms_len++], text, sizeof(text));
	else
		p->more_platforms = true;
}

/* Want the manifest for one platform; if an index has none, it may be in a nested index. */
static int want_platform(struct pull *p, const struct manifest *index, unsigned depth, struct reason *why)
{
	const struct descriptor *best = manifest_pick(index, &p->want);
	int r = 0;

	if (best)
		return want_manifest(p, index, best, depth, why);
	for (size_t i = 0; r == 0 && i < index->entries_len; i++) {
		const struct descriptor *entry = &index->entries[i];
		if (media_type_is_index(entry->media_type) && !entry->has_platform)
			r = want_manifest(p, index, entry, depth, why);
		else
			note_platform(p, entry);
	}
	return r;
}

static int want_all(struct pull *p, const struct manifest *index, unsigned depth, struct reason *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < index->entries_len; i++)
		r = want_manifest(p, index, &index->entries[i], depth, why);
	return r;
}

/* Want the entries of a manifest or an index. The first one that may get the image's name gets it. */
static int take_manifest(struct pull *p, const struct descriptor *d, unsigned depth, const struct manifest *m,
			 struct reason *why)
{
	if (!p->chosen && (m->kind == MANIFEST_IMAGE || p->all)) {
		p->chosen = true;
		p->image = *d;
		(void)snprintf(p->image.media_type, sizeof(p->image.media_type), "%s", m->media_type);
	}
	if (m->kind == MANIFEST_IMAGE)
		return want_content(p, m, why);
	return p->all ? want_all(p, m, depth + 1, why) : want_platform(p, m, depth + 1, why);
}

/* If it is a manifest, its entries are wanted too. An unusable one does not stop the others. */
static int on_stored(void *self, struct wait *w, size_t number, struct reason *why)
{
	struct pull *p = self;
	const struct blob *b = wait_at(w, number);
	const struct descriptor d = b->content;
	unsigned depth = b->depth;
	struct manifest m;
	struct reason fault = {""};

	if (b->role != ROLE_MANIFEST)
		return 0;
	int r = walk_load(p->job.layout, &d, depth, &m, &fault);
	if (r == 0) {
		r = take_manifest(p, &d, depth, &m, &fault);
		manifest_release(&m);
	}
	if (r == -ENOMEM) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	bool is_healed = false;
	int code = r == -EBADMSG ? wait_heal(w, number, &is_healed, why) : 0;
	if (code != 0 || is_healed)
		return code;
	if (r == -EINVAL || r == -EFBIG || r == -E2BIG || r == -EBADMSG)
		wait_fail(w, number, FAIL_BAD_DATA, fault.text);
	else if (r < 0)
		wait_fail(w, number, FAIL_IO, fault.text);
	return 0;
}

/* Want the manifest or index of the reference: by digest, or by tag, whose digest is not known yet. */
static int want_top(struct pull *p, struct reason *why)
{
	AUTO_BUF source = BUF_INIT;
	char ref[DIGEST_TEXT_SIZE];
	size_t number;
	struct blob like = {.content = {.size = SIZE_UNKNOWN}, .role = ROLE_MANIFEST};

	int r = source_format(SOURCE_MANIFEST, &p->reference, NULL, &source);
	like.ref = like.source = source.data;
	if (p->reference.has_digest) {
		like.digest = BLOB_DIGEST_GIVEN;
		like.content.digest = p->reference.digest;
		digest_format(&p->reference.digest, ref);
		like.ref = ref;
	}
	if (r == 0)
		r = wait_add(p->wait, &like, &number);
	if (r < 0)
		reason_set(why, "%s", strerror(-r));
	return r < 0 ? EX_OSERR : 0;
}

/* The platform of a manifest without an index is in its config. */
static int complete_platform(struct pull *p, struct reason *why)
{
	struct manifest m;
	char have[PLATFORM_TEXT_SIZE], want[PLATFORM_TEXT_SIZE];

	if (!p->image.has_platform && walk_load(p->job.layout, &p->image, 0, &m, NULL) == 0) {
		p->image.has_platform = image_config_platform(p->job.layout, &m, &p->image.platform);
		manifest_release(&m);
	}
	if (!p->platform_given || !p->image.has_platform || platform_rank(&p->want, &p->image.platform) > 0)
		return 0;
	platform_format(&p->image.platform, have);
	platform_format(&p->want, want);
	reason_set(why, "the image is for %s, not for %s", have, want);
	return EX_NOINPUT;
}

/*
 * Note if the name stands for another platform so far, or for the index of all: whoever relies on that should know. Only a
 * hint: names that cannot be read are commitd's to report.
 */
static void note_former(struct pull *p)
{
	struct names *n = NULL;
	struct descriptor d;
	char now[PLATFORM_TEXT_SIZE];

	if (names_load(p->job.layout, &n, NULL) < 0)
		return;
	if (!p->all && p->image.has_platform && names_find(n, p->name, &d) == 0) {
		platform_format(&p->image.platform, now);
		if (media_type_is_index(d.media_type))
			(void)snprintf(p->former, sizeof(p->former), FORMER_ALL);
		else if (d.has_platform)
			platform_format(&d.platform, p->former);
		if (strcmp(p->former, now) == 0)
			p->former[0] = '\0';
	}
	names_free(n);
}

static int set_name(struct pull *p, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE], platform[PLATFORM_TEXT_SIZE] = "";
	struct message answer;

	digest_format(&p->image.digest, digest);
	if (p->image.has_platform)
		platform_format(&p->image.platform, platform);
	const struct message request = {
	    .type = MSG_SET_NAME,
	    .name = span_str(p->name),
	    .digest = span_str(digest),
	    .media_type = span_str(p->image.media_type),
	    .size = p->image.size,
	    .platform = span_str(platform),
	};
	return client_demand(p->job.client, STAGE_COMMITD, &request, MSG_OK, &answer, why);
}

static void list_platforms(const struct pull *p, struct reason *why)
{
	char want[PLATFORM_TEXT_SIZE];

	platform_format(&p->want, want);
	reason_set(why, "there is no image for %s; available: %s", want, p->platforms_len ? "" : "none");
	for (unsigned i = 0; i < p->platforms_len; i++)
		reason_set(why, "%s%s%s", why->text, i > 0 ? ", " : "", p->platforms[i]);
	if (p->more_platforms)
		reason_set(why, "%s, and more", why->text);
}

/* All blobs are DONE or FAILED: name the image, or say why not. */
static int conclude(struct pull *p, struct reason *why)
{
	int code = report_failures(p->wait, why);

	if (code != 0)
		return code;
	if (!p->chosen) {
		list_platforms(p, why);
		return EX_NOINPUT;
	}
	code = p->all ? 0 : complete_platform(p, why);
	if (code == 0)
		note_former(p);
	if (code == 0)
		code = set_name(p, why);
	if (code == 0)
		hold_release(p->hold);
	return code;
}

static void add_left_out(const struct pull *p, struct json_t *line)
{
	struct json_t *list = json_array_make();

	for (size_t i = 0; i < wait_len(p->wait); i++) {
		const struct blob *b = wait_at(p->wait, i);
		struct json_t *layer = b->left_out ? json_object_make() : NULL;
		if (!layer)
			continue;
		(void)json_set_text(layer, "digest", b->ref);
		(void)json_set_text(layer, "why", b->why ? b->why : "");
		(void)json_append(list, layer);
	}
	(void)json_set(line, "left_out", list);
}

static void warn_of_left_out(const struct pull *p)
{
	for (size_t i = 0; i < wait_len(p->wait); i++) {
		const struct blob *b = wait_at(p->wait, i);
		if (b->left_out)
			log_warning("left out of '%s': foreign layer %s, which the registry does not have", p->name,
				    b->ref);
	}
}

static void warn_of_former(const struct pull *p)
{
	char now[PLATFORM_TEXT_SIZE];

	if (!*p->former)
		return;
	platform_format(&p->image.platform, now);
	log_warning("'%s' stood for %s until now, and stands for %s", p->name,
		    strcmp(p->former, FORMER_ALL) == 0 ? "all platforms" : p->former, now);
}

static void print_result(const struct pull *p, const struct context *ctx)
{
	char digest[DIGEST_TEXT_SIZE], platform[PLATFORM_TEXT_SIZE];
	AUTO_JSON line = ctx->json ? json_object_make() : NULL;

	digest_format(&p->image.digest, digest);
	if (line) {
		(void)json_set_text(line, "event", "done");
		(void)json_set_text(line, "name", p->name);
		(void)json_set_text(line, "digest", digest);
		(void)json_set_text(line, "media_type", p->image.media_type);
		(void)json_set_u64(line, "size", p->image.size);
		if (p->image.has_platform) {
			platform_format(&p->image.platform, platform);
			(void)json_set_text(line, "platform", platform);
		}
		if (*p->former)
			(void)json_set_text(line, "former_platform", p->former);
		add_left_out(p, line);
		report_json(line);
	} else if (ctx->quiet) {
		(void)printf("%s\n", digest);
	} else {
		(void)printf("%s  %s\n", p->name, digest);
	}
}

static int take_lease(struct pull *p, struct reason *why)
{
	AUTO_BUF purpose = BUF_INIT;
	char platform[PLATFORM_TEXT_SIZE] = "all platforms";

	if (!p->all)
		platform_format(&p->want, platform);
	if (buf_appendf(&purpose, "pull %s for %s", p->name, platform) < 0 ||
	    hold_new(p->job.client, purpose.data, LEASE_ASKED_S, &p->hold) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	wait_use_hold(p->wait, p->hold);
	return 0;
}

/* Within p->job. */
static int pull_image(struct pull *p, const struct settings *s, struct reason *why)
{
	const struct wait_hooks hooks = {.stored = on_stored, .self = p};

	if (wait_new(p->job.client, p->job.layout, p->job.progress, &hooks, &p->wait) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	wait_use_policy(p->wait, buf_span(&p->policy));
	if (s->timeout_ms > 0)
		wait_limit(p->wait, s->timeout_ms);
	int code = take_lease(p, why);
	if (code == 0)
		code = want_top(p, why);
	if (code == 0)
		code = wait_run(p->wait, why);
	return code != 0 ? code : conclude(p, why);
}

/* The first of the options that name parts of a platform, or NULL. */
static const char *part_given(const struct settings *s)
{
	return s->pull_arch ? "--arch" : s->pull_os ? "--os" : s->pull_variant ? "--variant" : NULL;
}

/* What is not given is this machine's, but the variant belongs to the architecture. */
static int platform_of_options(const struct settings *s, struct platform *ret_platform, struct reason *why)
{
	struct platform host;
	const char *variant = s->pull_variant;

	platform_of_host(&host);
	if (!variant && !s->pull_arch)
		variant = host.variant;
	return platform_of_parts(s->pull_os ? s->pull_os : host.os, NULL,
				 s->pull_arch ? s->pull_arch : host.architecture, variant, ret_platform, why);
}

static int choose_platform(struct pull *p, const struct settings *s, struct reason *why)
{
	const char *part = part_given(s);
	const char *whole = s->pull_platform ? "--platform" : NULL;

	p->all = s->pull_all;
	p->platform_given = whole || part;
	if ((whole && part) || (p->all && p->platform_given)) {
		reason_set(why, "%s and %s exclude each other", whole ? whole : part,
			   p->all ? "--all-platforms" : part);
		return -EINVAL;
	}
	return whole ? platform_parse(span_str(s->pull_platform), &p->want, why)
		     : platform_of_options(s, &p->want, why);
}

static int parse(struct pull *p, const struct settings *s, const char *text, struct reason *why)
{
	if (reference_parse(span_str(text), &p->reference, why) < 0)
		return EX_USAGE;
	reference_format(&p->reference, p->name);
	return choose_platform(p, s, why) < 0 ? EX_USAGE : 0;
}

static int read_policy(struct pull *p, const struct call *call, struct reason *why)
{
	const struct settings *s = call->settings;
	struct reason trouble = {""};
	int code = policy_options_read(&s->policy, p->reference.host, p->reference.name, call->words_len, call->words,
				       &p->policy, &trouble, why);

	report_trouble(p->reference.host, &trouble);
	return code;
}

/* Except the job. */
static void release(struct pull *p)
{
	wait_free(p->wait);
	hold_free(p->hold);
	buf_wipe(&p->policy);
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	const char *text = call->argv[0];
	struct pull p = {.wait = NULL};
	struct reason why = {""};
	int code = parse(&p, s, text, &why);

	if (code == 0)
		code = read_policy(&p, call, &why);
	if (code == 0)
		code = job_begin(&p.job, &s->context, progress_mode_for(s->context.json, s->context.quiet), &why);
	if (code == 0)
		code = pull_image(&p, s, &why);
	job_end_progress(&p.job);
	if (code == 0) {
		warn_of_left_out(&p);
		warn_of_former(&p);
		print_result(&p, &s->context);
	} else
		report_error("pull", text, code, p.wait, &why);
	release(&p);
	return job_end(&p.job, code);
}

bool pull_knows_source(const char *name)
{
	struct reference reference;
	char full[REFERENCE_TEXT_SIZE];

	if (reference_parse(span_str(name), &reference, NULL) < 0)
		return false;
	reference_format(&reference, full);
	return strcmp(full, name) == 0;
}

int pull_again(const struct call *call, struct job *job, const char *name, const struct descriptor *d,
	       struct reason *why)
{
	struct pull p = {.job = *job, .all = media_type_is_index(d->media_type)};
	int code = reference_parse(span_str(name), &p.reference, why) < 0 ? EX_USAGE : 0;

	(void)snprintf(p.name, sizeof(p.name), "%s", name);
	p.reference.has_digest = true;
	p.reference.digest = d->digest;
	platform_of_host(&p.want);
	if (code == 0)
		code = read_policy(&p, call, why);
	if (code == 0)
		code = pull_image(&p, call->settings, why);
	if (code == 0)
		warn_of_left_out(&p);
	release(&p);
	return code;
}

const struct verb command_pull = {
    .name = "pull",
    .usage = "[OPTION...] REFERENCE",
    .summary = "get an image, and name it when it is complete",
    .help = "REFERENCE is [HOST[:PORT]/]NAME[:TAG][@DIGEST]. Whatever happens, what\n"
	    "arrived is kept: run the same command again to resume. The options of\n"
	    "'sluice --help' are understood, too.\n",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .hides_globals = true,
    .run = run,
};
