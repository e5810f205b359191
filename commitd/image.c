#include "commitd/image.h"

/* System */
#include <errno.h>
#include <string.h>

/* OCI */
#include "common/oci/manifest.h"

struct walk {
	struct layout *layout;
	unsigned documents, blobs; /* visited so far */
	struct reason *why;
};

static void manifest_cleanup(struct manifest *m)
{
	manifest_release(m);
}

/* Whether `d` is stored and as long as it says. */
static enum fail_class check_blob(struct walk *w, struct descriptor *d)
{
	char text[DIGEST_TEXT_SIZE];
	uint64_t size;
	digest_format(&d->digest, text);
	if (++w->blobs > IMAGE_BLOBS_MAX) {
		reason_set(w->why, "the image has more than %d parts", IMAGE_BLOBS_MAX);
		return FAIL_BAD_DATA;
	}
	int r = layout_blob_size(w->layout, &d->digest, &size);
	if (r == -ENOENT) {
		reason_set(w->why, "%s is not stored (%s)", text, *d->media_type ? d->media_type : "no media type");
		return FAIL_NOT_FOUND;
	}
	if (r < 0) {
		reason_set(w->why, "cannot look at %s: %s", text, strerror(-r));
		return FAIL_IO;
	}
	if (d->size == SIZE_UNKNOWN)
		d->size = size;
	if (d->size != size) {
		reason_set(w->why, "%s has %llu bytes, its descriptor says %llu", text, (unsigned long long)size,
			   (unsigned long long)d->size);
		return FAIL_BAD_DATA;
	}
	return FAIL_NONE;
}

static enum fail_class load_document(struct walk *w, const struct descriptor *d, struct manifest *ret_manifest)
{
	AUTO_BUF text = BUF_INIT;
	char digest[DIGEST_TEXT_SIZE];
	struct reason inner;
	digest_format(&d->digest, digest);
	int r = layout_document_load(w->layout, &d->digest, &text, w->why);
	if (r < 0)
		return r == -EFBIG || r == -EBADMSG ? FAIL_BAD_DATA : FAIL_IO;
	reason_set(&inner, "%s", strerror(ENOMEM));
	r = manifest_parse(buf_span(&text), d->media_type, ret_manifest, &inner);
	if (r == 0)
		return FAIL_NONE;
	reason_set(w->why, "%s is no manifest: %s", digest, inner.text);
	return r == -ENOMEM ? FAIL_IO : FAIL_BAD_DATA;
}

static enum fail_class check_document(struct walk *w, struct descriptor *d, unsigned depth);

static bool is_document(const struct descriptor *d)
{
	return !*d->media_type || media_type_is_index(d->media_type) || media_type_is_manifest(d->media_type);
}

/* An index may also name things that are neither index nor manifest: those are only looked at from outside. */
static enum fail_class check_entry(struct walk *w, enum manifest_kind kind, struct descriptor *d, unsigned depth)
{
	if (kind == MANIFEST_INDEX && is_document(d))
		return check_document(w, d, depth + 1);
	return check_blob(w, d);
}

static enum fail_class check_document(struct walk *w, struct descriptor *d, unsigned depth)
{
	if (depth > IMAGE_DEPTH_MAX || ++w->documents > IMAGE_DOCUMENTS_MAX) {
		reason_set(w->why, "the index is nested deeper than %d or names more than %d manifests",
			   MANIFEST_NESTING_MAX, IMAGE_DOCUMENTS_MAX);
		return FAIL_BAD_DATA;
	}
	enum fail_class f = check_blob(w, d);
	if (f != FAIL_NONE)
		return f;
	CLEANUP(manifest_cleanup) struct manifest m = {0};
	f = load_document(w, d, &m);
	if (f != FAIL_NONE)
		return f;
	memcpy(d->media_type, m.media_type, sizeof(d->media_type));
	for (size_t i = 0; i < m.entries_len && f == FAIL_NONE; i++)
		f = check_entry(w, m.kind, &m.entries[i], depth);
	return f;
}

enum fail_class image_check(struct layout *l, struct descriptor *d, struct reason *why)
{
	struct walk w = {.layout = l, .why = why};
	return check_document(&w, d, 1);
}
