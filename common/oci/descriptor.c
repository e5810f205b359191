/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/descriptor.h"

/* System */
#include <errno.h>
#include <string.h>

static const char *const index_types[] = {MEDIA_TYPE_OCI_INDEX, MEDIA_TYPE_DOCKER_INDEX, NULL};
static const char *const manifest_types[] = {MEDIA_TYPE_OCI_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST, NULL};

/* Media types of non-distributable layers (media-types.md), and Docker's older ones. */
static const char *const foreign_types[] = {
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    NULL,
};

bool media_type_is_index(const char *media_type)
{
	return str_is_one_of(media_type, index_types);
}

bool media_type_is_manifest(const char *media_type)
{
	return str_is_one_of(media_type, manifest_types);
}

static int refuse(const char *what, struct reason *why)
{
	reason_set(why, "a descriptor %s", what);
	return -EINVAL;
}

/* An absent media type stays empty. */
static int media_type_take(const struct json_t *value, struct descriptor *d, struct reason *why)
{
	const char *text = json_member_text(value, "mediaType");
	if (!text)
		return json_has(value, "mediaType") ? refuse("whose mediaType is not a string", why) : 0;
	if (strlen(text) > MEDIA_TYPE_MAX)
		return refuse("whose mediaType is longer than 255 bytes", why);
	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return refuse("whose mediaType has a byte other than printable ASCII", why);
	memcpy(d->media_type, text, strlen(text));
	return 0;
}

/* Without an os and an architecture there is no platform. An invalid one becomes unknown/unknown. */
static void platform_take(const struct json_t *value, struct descriptor *d)
{
	const struct json_t *platform = json_member(value, "platform");
	const char *os = json_member_text(platform, "os");
	const char *architecture = json_member_text(platform, "architecture");
	if (!os || !architecture || os[0] == '\0' || architecture[0] == '\0')
		return;
	d->has_platform = true;
	if (platform_of_parts(os, json_member_text(platform, "os.version"), architecture,
			      json_member_text(platform, "variant"), &d->platform, NULL) < 0)
		platform_of_none(&d->platform);
}

int descriptor_parse(const struct json_t *value, struct descriptor *ret_descriptor, struct reason *why)
{
	struct descriptor d = {.size = 0};
	if (!json_is_object(value))
		return refuse("that is not an object", why);
	int r = media_type_take(value, &d, why);
	if (r < 0)
		return r;
	const char *digest = json_member_text(value, "digest");
	if (!digest)
		return refuse("without a digest", why);
	r = digest_parse(span_str(digest), &d.digest, why);
	if (r < 0)
		return r;
	if (!json_member_u64(value, "size", &d.size))
		return refuse("whose size is missing or not a whole number from 0", why);
	d.is_foreign = str_is_one_of(d.media_type, foreign_types) && json_len(json_member(value, "urls")) > 0;
	platform_take(value, &d);
	*ret_descriptor = d;
	return 0;
}

static int put_platform(struct json_t *object, const struct platform *p)
{
	struct json_t *platform = json_object_make();
	int r = json_set(object, "platform", platform);
	if (r == 0)
		r = json_set_text(platform, "architecture", p->architecture);
	if (r == 0)
		r = json_set_text(platform, "os", p->os);
	if (r == 0 && p->os_version[0] != '\0')
		r = json_set_text(platform, "os.version", p->os_version);
	if (r == 0 && p->variant[0] != '\0')
		r = json_set_text(platform, "variant", p->variant);
	return r;
}

struct json_t *descriptor_to_json(const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE];
	digest_format(&d->digest, digest);
	struct json_t *object = json_object_make();
	int r = object ? 0 : -ENOMEM;
	if (r == 0 && d->media_type[0] != '\0')
		r = json_set_text(object, "mediaType", d->media_type);
	if (r == 0)
		r = json_set_text(object, "digest", digest);
	if (r == 0)
		r = json_set_u64(object, "size", d->size);
	if (r == 0 && d->has_platform)
		r = put_platform(object, &d->platform);
	if (r == 0)
		return object;
	json_free(object);
	return NULL;
}
