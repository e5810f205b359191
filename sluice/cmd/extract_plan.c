/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/extract_plan.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/walk.h"

/* Sluice */
#include "sluice/cmd/image.h"

#define TITLE_KEY        "org.opencontainers.image.title"
#define MODEL_PATH_KEY   "org.cnai.model.filepath"
#define PACKED_KEY       "io.deis.oras.content.unpack"
#define MEDIA_TYPE_EMPTY "application/vnd.oci.empty.v1+json"
#define SHOWN_MAX        8
#define NO_SUCH          SIZE_MAX

/* ── the artifact ── */

static bool has_tar(const struct manifest *m)
{
	for (size_t i = 1; i < m->entries_len; i++)
		if (strstr(m->entries[i].media_type, ".tar") || strstr(m->entries[i].media_type, "+tar"))
			return true;
	return false;
}

/* The manifest for this machine, from an index. 0, or an exit code with a reason. */
static int choose(struct plan *p, struct reason *why)
{
	struct platform host;
	char text[PLATFORM_TEXT_SIZE];

	platform_of_host(&host);
	const struct descriptor *best = manifest_pick(&p->manifest, &host);
	if (best) {
		p->artifact = *best;
		manifest_release(&p->manifest);
		return 0;
	}
	platform_format(&host, text);
	reason_set(why, "it is an index, and has nothing for %s alone: extract one of its manifests by digest", text);
	return EX_NOINPUT;
}

static int load(const struct plan_order *order, struct plan *p, struct reason *why)
{
	p->artifact = order->found->descriptor;
	for (unsigned depth = 0;; depth++) {
		int r = walk_load(order->layout, &p->artifact, depth, &p->manifest, why);
		if (r < 0)
			return find_exit_code(r);
		if (p->manifest.kind == MANIFEST_IMAGE)
			return 0;
		int code = choose(p, why);
		if (code != 0)
			return code;
	}
}

static int load_json(const struct plan_order *order, struct plan *p, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	int r = layout_document_load(order->layout, &p->artifact.digest, &text, why);

	if (r == 0)
		r = json_parse(buf_span(&text), &p->root, why);
	return find_exit_code(r);
}

static int check_kind(const struct plan *p, struct reason *why)
{
	if (image_kind_of(&p->manifest) != IMAGE_IMAGE || !has_tar(&p->manifest))
		return 0;
	reason_set(why, "it is an image: its layers are archives of a file system, and not files; "
			"'sluice inspect' shows it");
	return EX_USAGE;
}

/* ── its files ── */

static const struct json_t *annotations_of(const struct plan *p, size_t entry)
{
	return json_member(json_at(json_member(p->root, "layers"), entry - 1), "annotations");
}

/* The title, or the name of what has none. */
static const char *title_of(struct plan *p, size_t entry)
{
	const struct json_t *annotations = annotations_of(p, entry);
	const char *title = json_member_text(annotations, TITLE_KEY);

	if (!title)
		title = json_member_text(annotations, MODEL_PATH_KEY);
	if (title)
		return title;
	title_of_none(&p->manifest.entries[entry].digest, p->untitled[entry]);
	return p->untitled[entry];
}

/* The placeholder for "no content" of the image spec is no file. */
static bool is_placeholder(const struct plan *p, size_t entry)
{
	const struct json_t *annotations = annotations_of(p, entry);

	return strcmp(p->manifest.entries[entry].media_type, MEDIA_TYPE_EMPTY) == 0 &&
	       !json_member_text(annotations, TITLE_KEY) && !json_member_text(annotations, MODEL_PATH_KEY);
}

/* Whether it is selected, alone or with others; marks what fits. */
struct selection {
	const struct opt_texts *titles, *digests;
	bool title_fits[OPT_TEXTS_MAX];
	size_t digest_fits[OPT_TEXTS_MAX]; /* the entry, or NO_SUCH */
};

/* The digits of --digest must fit one digest alone. */
static int select_digest(struct selection *s, size_t i, const struct plan *p, size_t entry, struct reason *why)
{
	const struct digest *d = &p->manifest.entries[entry].digest;
	size_t other = s->digest_fits[i];

	if (other != NO_SUCH && !digest_eq(&p->manifest.entries[other].digest, d)) {
		reason_set(why, "the digits '%s' fit several of its files", s->digests->list[i]);
		return EX_USAGE;
	}
	s->digest_fits[i] = entry;
	return 0;
}

static int is_selected(struct selection *s, struct plan *p, size_t entry, bool *ret_is, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE];
	const char *title = title_of(p, entry);
	bool is = s->titles->len == 0 && s->digests->len == 0;
	int code = 0;

	for (size_t i = 0; i < s->titles->len; i++) {
		bool fits = strcmp(s->titles->list[i], title) == 0;
		s->title_fits[i] |= fits;
		is |= fits;
	}
	digest_format(&p->manifest.entries[entry].digest, digest);
	for (size_t i = 0; code == 0 && i < s->digests->len; i++) {
		if (!find_digits_fit(s->digests->list[i], digest))
			continue;
		code = select_digest(s, i, p, entry, why);
		is = true;
	}
	*ret_is = is;
	return code;
}

static int no_such(const char *option, const char *text, struct plan *p, struct reason *why)
{
	char shown[SHOWN_SIZE];
	size_t listed = 0;

	shown_of(span_str(text), shown);
	reason_set(why, "no file of it fits %s '%s'; there %s", option, shown,
		   p->manifest.entries_len > 1 ? "are:" : "are none");
	for (size_t i = 1; i < p->manifest.entries_len; i++) {
		if (is_placeholder(p, i))
			continue;
		if (listed++ == SHOWN_MAX) {
			reason_set(why, "%s, and more", why->text);
			break;
		}
		reason_set(why, "%s%s %.60s", why->text, listed > 1 ? "," : "", title_of(p, i));
	}
	return EX_NOINPUT;
}

static int tell_unmatched(const struct selection *s, struct plan *p, struct reason *why)
{
	for (size_t i = 0; i < s->titles->len; i++)
		if (!s->title_fits[i])
			return no_such("--title", s->titles->list[i], p, why);
	for (size_t i = 0; i < s->digests->len; i++)
		if (s->digest_fits[i] == NO_SUCH)
			return no_such("--digest", s->digests->list[i], p, why);
	return 0;
}

static bool is_left_out(const struct plan_order *order, const struct descriptor *d)
{
	size_t entry = order->found->entry;

	return d->is_foreign || (entry != SIZE_MAX && names_lists(names_left_out(order->names, entry), &d->digest));
}

/* Whether it is there. What the registry never had is left out, unless it was asked for. */
static int check_stored(const struct plan_order *order, const struct plan *p, const struct titled *file, bool *ret_skip,
			struct reason *why)
{
	const struct descriptor *d = &p->manifest.entries[file->number];
	uint64_t size;
	int r = layout_blob_size(order->layout, &d->digest, &size);

	*ret_skip = false;
	if (r != -ENOENT)
		return 0; /* another damage is told when it is put out, with its path */
	if (is_left_out(order, d) && order->titles->len + order->digests->len == 0) {
		log_warning("left out: foreign layer '%s', which the registry does not have", file->title);
		*ret_skip = true;
		return 0;
	}
	reason_set(why, "its file '%s' is not stored; pull it again", file->title);
	return EX_NOINPUT;
}

static int check_title(const struct titled *file, struct reason *why)
{
	struct reason how;

	if (title_check(file->title, &how) == 0)
		return 0;
	reason_set(why, "its title '%.200s' is no path below a directory: %s; nothing is written", file->title,
		   how.text);
	return EX_DATAERR;
}

static int take_entry(const struct plan_order *order, struct selection *s, struct plan *p, size_t entry,
		      struct reason *why)
{
	struct titled file = {title_of(p, entry), &p->manifest.entries[entry].digest, entry};
	const char *packed = json_member_text(annotations_of(p, entry), PACKED_KEY);
	bool is, skip = false;
	int code = is_selected(s, p, entry, &is, why);

	if (code != 0 || !is)
		return code;
	code = check_title(&file, why);
	if (code == 0)
		code = check_stored(order, p, &file, &skip, why);
	if (code != 0 || skip)
		return code;
	if (packed && strcmp(packed, "true") == 0)
		log_notice("'%s' is a directory that was packed into an archive; the archive is put out", file.title);
	p->files[p->len++] = file;
	return 0;
}

static int take_files(const struct plan_order *order, struct plan *p, struct reason *why)
{
	struct selection s = {.titles = order->titles, .digests = order->digests};
	size_t entries = p->manifest.entries_len;
	int code = 0;

	for (size_t i = 0; i < OPT_TEXTS_MAX; i++)
		s.digest_fits[i] = NO_SUCH;
	p->untitled = calloc(entries + 1, sizeof(*p->untitled));
	p->files = calloc(entries + 1, sizeof(*p->files));
	if (!p->untitled || !p->files) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	for (size_t i = 1; code == 0 && i < entries; i++)
		if (!is_placeholder(p, i))
			code = take_entry(order, &s, p, i, why);
	return code != 0 ? code : tell_unmatched(&s, p, why);
}

int plan_make(const struct plan_order *order, struct plan *ret_plan, struct reason *why)
{
	struct plan *p = ret_plan;

	*p = (struct plan){.root = NULL};
	int code = load(order, p, why);
	if (code == 0)
		code = check_kind(p, why);
	if (code == 0)
		code = load_json(order, p, why);
	if (code == 0)
		code = take_files(order, p, why);
	if (code == 0 && p->len == 0) {
		reason_set(why, "it has no files");
		code = EX_NOINPUT;
	}
	if (code == 0 && titles_arrange(p->files, p->len, &p->len, why) < 0) {
		reason_set(why, "%s; nothing is written", why->text);
		code = EX_DATAERR;
	}
	for (size_t i = 0; code == 0 && i < p->len; i++)
		if (__builtin_add_overflow(p->bytes, plan_content(p, i)->size, &p->bytes))
			p->bytes = UINT64_MAX;
	return code;
}

void plan_release(struct plan *p)
{
	manifest_release(&p->manifest);
	json_free(p->root);
	free(p->untitled);
	free(p->files);
}
